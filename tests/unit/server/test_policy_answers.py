"""SPEC 9.5: what the policy answers is what requests are given."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from jit_server.adapters import cel
from jit_server.domain.ask import ALL, Ask, Command
from jit_server.domain.identity import Duty, HostCaller, Person
from jit_server.domain.lock import LockKind
from jit_server.domain.policy.expression import Expression
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.model import Eligibility, LabelTest, Party, Policy, Role, Selector
from jit_server.errors import Denied, Invalid, NotFound
from jit_server.services.locks import NewLock
from jit_server.services.policy_answers import Question
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import A_LOGIN, START, a_policy, a_role, an_ask

JOURNAL = Command("/usr/bin/journalctl", None)
ROOT = Ask(())


async def in_force(world: CoreWorld, policy: Policy) -> None:
    plan = await world.services.policy_changes.apply(world.root, world.parser.learn(policy))
    assert plan.version or not plan.draft.changes_anything, plan.draft


@pytest.fixture
async def fleet(world: CoreWorld) -> CoreWorld:
    for name in ("alice", "bob", "carol"):
        await world.person(name)
    for name, tier in (("web1", "web"), ("web2", "web"), ("db1", "db")):
        await world.host(name, tier=tier)
    return world


async def test_who_can_says_who_where_by_what_and_by_whose_leave(fleet: CoreWorld) -> None:
    party = Party(groups=frozenset({"ops"}))
    role = replace(
        a_role(commands=(JOURNAL,), mfa=True),
        eligible=(Eligibility(party, until=START + 10**9), Eligibility(Party(people=frozenset({"bob"})), active=True)),
    )
    await in_force(fleet, a_policy(role, ops=("alice", "stranger")))
    mine, active = await fleet.services.policy_answers.who_can(fleet.root, ROOT)
    assert (mine.user, mine.role, mine.active, mine.groups, mine.until) == (
        "alice",
        "web",
        False,
        ("ops",),
        START + 10**9,
    )
    assert (mine.hosts, mine.hosts_count, mine.commands) == (("web1", "web2"), 2, ("/usr/bin/journalctl …",))
    assert (mine.approvals, mine.approvers, mine.mfa, mine.max_s) == (1, ("carol",), True, 7_200)
    assert (active.user, active.active, active.groups, active.until) == ("bob", True, (), 0)
    assert (active.approvals, active.approvers, active.mfa) == (0, (), False)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ((), ("db1", "web1", "web2")),
        (("tier=web",), ("web1", "web2")),
        (("tier!=web",), ("db1",)),
        (("tier=web", "db1"), ("db1", "web1", "web2")),
        (("web2",), ("web2",)),
        (("tier=x",), ()),
        (("tier=web", "tier!=web"), ()),
    ],
)
async def test_who_can_is_about_the_hosts_that_were_named(
    fleet: CoreWorld, hosts: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    await in_force(fleet, a_policy(a_role(hosts=Selector({}, all_hosts=True))))
    found = await fleet.services.policy_answers.who_can(fleet.root, ROOT, hosts)
    assert [one.hosts for one in found] == ([expected] if expected else [])


async def test_who_can_refuses_hosts_that_are_none(fleet: CoreWorld) -> None:
    with pytest.raises(NotFound, match="no host 'web9'"):
        await fleet.services.policy_answers.who_can(fleet.root, ROOT, ("web9",))
    for bad in ("Web 1", "=x", "tier=", "tier==web"):
        with pytest.raises(Invalid):
            await fleet.services.policy_answers.who_can(fleet.root, ROOT, (bad,))


async def test_who_can_asks_for_a_command_and_an_account(fleet: CoreWorld) -> None:
    await in_force(fleet, a_policy(a_role(commands=(JOURNAL,))))

    async def can(ask: Ask) -> bool:
        return bool(await fleet.services.policy_answers.who_can(fleet.root, ask))

    assert await can(an_ask("/usr/bin/journalctl", "-f"))
    assert not await can(an_ask("/usr/bin/id"))
    assert await can(replace(ROOT, run_as_user="www-data"))
    assert not await can(replace(ROOT, run_as_user="postgres"))
    assert not await can(replace(ROOT, shell=True))


async def test_explain_tells_every_check_and_what_would_make_it_pass(fleet: CoreWorld) -> None:
    await in_force(fleet, a_policy(a_role(commands=(JOURNAL,), mfa=True, ticket=True)))
    asked = Question("alice", "web1", an_ask("/usr/bin/id"))
    explained = await fleet.services.policy_answers.explain(fleet.root, asked)
    assert not explained.allowed
    assert explained.verdict == ("no: by role web, which comes nearest, role web does not allow /usr/bin/id")
    (role,) = explained.roles
    failed = [check for check in role.checks if not check.passed]
    assert [(check.rule, check.hint) for check in failed] == [("commands", "it allows: /usr/bin/journalctl …")]
    assert {"eligible", "hosts", "run_as", "approvals"} <= {check.rule for check in role.checks if check.passed}

    explained = await fleet.services.policy_answers.explain(
        fleet.root, replace(asked, ask=an_ask("/usr/bin/journalctl"))
    )
    assert (explained.allowed, explained.verdict) == (True, "yes, by role web")
    (role,) = explained.roles
    assert (role.approvals, role.approvers, role.needs) == (1, ("carol",), ("ticket", "code"))


async def test_explain_shows_readers_the_roles_of_the_host_and_people_only_their_own(fleet: CoreWorld) -> None:
    await in_force(
        fleet,
        a_policy(a_role(), a_role("other", eligible=("bob",)), a_role("far", eligible=("bob",), hosts=Selector({}))),
    )
    alice = Person(await _user(fleet, "alice"))
    answers = fleet.services.policy_answers
    assert [role.role for role in (await answers.explain(fleet.root, Question("alice", "web1"))).roles] == [
        "web",
        "other",
    ]
    assert [role.role for role in (await answers.explain(alice, Question("", "web1"))).roles] == ["web"]
    assert [role.role for role in (await answers.explain(alice, Question("alice", "web1", role="other"))).roles] == [
        "other"
    ]
    with pytest.raises(Denied):
        await answers.explain(alice, Question("bob", "web1"))
    with pytest.raises(Denied):
        await answers.explain(alice, Question("", "web1", files=(PolicyFile("p", "x"),)))
    with pytest.raises(NotFound, match="no role 'nix'"):
        await answers.explain(alice, Question("", "web1", role="nix"))


async def test_explain_answers_for_another_moment_duration_and_policy(fleet: CoreWorld) -> None:
    lasting = Eligibility(Party(people=frozenset({"alice"})), since=START + 10**9)
    await in_force(fleet, a_policy(replace(a_role(), eligible=(lasting,))))
    draft = fleet.parser.learn(a_policy(a_role()))
    answers = fleet.services.policy_answers

    async def may(**what: object) -> bool:
        question = replace(Question("alice", "web1"), **what)  # type: ignore[arg-type]
        return (await answers.explain(fleet.root, question)).allowed

    assert not await may()
    assert await may(at=START + 10**9)
    assert await may(files=draft)
    assert await may(files=draft, duration_s=7_200)
    assert not await may(files=draft, duration_s=7_201)
    with pytest.raises(Invalid, match=r"policy\.yaml:1:1: not a policy"):
        await may(files=(PolicyFile("policy.yaml", "nonsense"),))


async def test_explain_holds_a_duration_that_is_named_against_an_expression(fleet: CoreWorld) -> None:
    """SPEC 9.2: what is given with the request is left open, and a duration that was asked about is given already."""
    text = "duration <= duration('1h') && user != 'bob'"
    await in_force(fleet, a_policy(replace(a_role(), when=(Expression(text, cel.compiled(text)),))))

    async def may(duration_s: int) -> bool:
        question = Question("alice", "web1", duration_s=duration_s)
        return (await fleet.services.policy_answers.explain(fleet.root, question)).allowed

    assert [await may(duration_s) for duration_s in (0, 3_600, 3_601)] == [True, True, False]


async def test_what_can_is_for_oneself_and_for_readers(fleet: CoreWorld) -> None:
    await in_force(fleet, a_policy(a_role(), a_role("db", hosts=Selector({"tier": LabelTest(frozenset({"db"}))}))))
    alice, otto = Person(await _user(fleet, "alice")), await fleet.person("otto", Duty.AUDITOR)
    for caller, whom in ((alice, ""), (alice, "alice"), (otto, "alice"), (fleet.root, "alice")):
        found = await fleet.services.policy_answers.what_can(caller, whom)
        assert [(one.role, one.hosts) for one in found] == [("db", ("db1",)), ("web", ("web1", "web2"))]
    for denied in (
        fleet.services.policy_answers.what_can(alice, "bob"),
        fleet.services.policy_answers.who_can(alice, ROOT),
        fleet.services.policy_answers.test_command(alice, "web", ("id",), ()),
    ):
        with pytest.raises(Denied):
            await denied


async def test_a_command_line_is_held_against_one_role(fleet: CoreWorld) -> None:
    await in_force(fleet, a_policy(a_role(commands=(Command("/usr/bin/systemctl", ("restart", "nginx")),))))
    test_command = fleet.services.policy_answers.test_command
    assert (await test_command(fleet.root, "web", ("/usr/bin/systemctl", "restart", "nginx"), ())).allowed
    found = await test_command(fleet.root, "web", ("/usr/bin/systemctl", "restart", "sshd"), ())
    assert (found.allowed, found.by) == (False, "/usr/bin/systemctl restart nginx")
    assert (await test_command(fleet.root, "all", ("/x",), fleet.parser.learn(a_policy(a_role("all"))))).allowed
    with pytest.raises(NotFound):
        await test_command(fleet.root, "nix", ("/x",), ())
    with pytest.raises(Invalid):
        await test_command(fleet.root, "web", (), ())


def a_random_policy(chance: random.Random, people: list[str]) -> Policy:
    def some(names: list[str]) -> frozenset[str]:
        return frozenset(chance.sample(names, chance.randrange(len(names) + 1)))

    def party() -> Party:
        return Party(some(people), some(["g1", "g2"]))

    def role(name: str) -> Role:
        test = LabelTest(some(["web", "db"]) or frozenset({"web"}), chance.random() < 0.3)
        lines = tuple(
            Eligibility(
                party(),
                since=chance.choice((0, START + 10**9)),
                until=chance.choice((0, 0, START - 1)),
                active=chance.random() < 0.3,
            )
            for _ in range(chance.randrange(3))
        )
        return replace(
            a_role(name, approvals=chance.randrange(3), commands=chance.choice((ALL, (JOURNAL,)))),
            hosts=Selector({"tier": test}, all_hosts=chance.random() < 0.2),
            run_as_users=tuple(sorted(some(["root", "app"]) or {"root"})),
            eligible=lines,
            approvers=party(),
        )

    return a_policy(*(role(f"r{number}") for number in range(4)), g1=some(people), g2=some(people))


@pytest.mark.parametrize("seed", range(20))
async def test_who_can_and_what_can_say_what_requests_are_given(fleet: CoreWorld, seed: int) -> None:
    """With locks and disabled people, which are in every decision."""
    chance = random.Random(seed)
    people = ["alice", "bob", "carol", "dave"]
    await fleet.person("dave")
    await in_force(fleet, a_policy(a_role("first")))
    await in_force(fleet, a_random_policy(chance, people))
    if chance.random() < 0.3:
        await fleet.services.people.disable(fleet.root, chance.choice(people))
    if chance.random() < 0.5:
        kind, target = chance.choice(((LockKind.USER, "bob"), (LockKind.HOST, "web2"), (LockKind.ROLE, "r1")))
        await fleet.services.locks.create(fleet.root, NewLock(kind.value, target, "because"))
    hosts = {host.host.name: HostCaller(host.host.host_id) for host in await fleet.services.hosts.list_all(fleet.root)}
    given = set()
    for person in people:
        for name, host in hosts.items():
            for run_as in ("root", "app"):
                ask = Ask((), run_as_user=run_as)
                try:
                    plan = await fleet.services.requests.plan(host, fleet.local(person), ask, A_LOGIN)
                except Denied:
                    continue
                given |= {(person, name, choice.role.name, run_as) for choice in plan.choices}
    answers = fleet.services.policy_answers
    said = {
        (one.user, host, one.role, run_as)
        for run_as in ("root", "app")
        for one in await answers.who_can(fleet.root, Ask((), run_as_user=run_as))
        for host in one.hosts
    }
    assert said == given
    asked_each = {
        (one.user, host, one.role, run_as)
        for person in people
        for one in await answers.what_can(fleet.root, person)
        for host in one.hosts
        for run_as in one.run_as_users
    }
    assert asked_each == given


async def _user(world: CoreWorld, name: str) -> str:
    async with world.store.read() as tx:
        user = await tx.people.by_name(name)
    assert user is not None
    return user.user_id
