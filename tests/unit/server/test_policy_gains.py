"""SPEC 9.4: by which changes somebody gains as root, and by which nobody does; each beside its opposite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from jit_server.adapters import cel
from jit_server.domain.ask import ALL, Command
from jit_server.domain.grant import Record
from jit_server.domain.policy.conditions import AllOf, AnyOf, Condition, Live
from jit_server.domain.policy.expression import Expression
from jit_server.domain.policy.gains import gains_as_root
from jit_server.domain.policy.model import (
    ChangeControl,
    Concurrency,
    Eligibility,
    Extend,
    LabelTest,
    Party,
    Policy,
    Renewal,
    Role,
    Selector,
)
from jit_testing.server_fakes import SECOND, START, a_policy, a_role, labelled

DAY = 86_400 * SECOND
RESTART = Command("/usr/bin/systemctl", ("restart", "nginx"))
STATUS = Command("/usr/bin/systemctl", ("status", "nginx"))
ROLE = replace(
    a_role(commands=(RESTART, STATUS), mfa=True, reason=True, ticket=True, watch_s=60, lease_s=600),
    ticket_pattern="INC-[0-9]{4}",
    environment=("LANG",),
    run_as_groups=("adm",),
    concurrent=Concurrency(2, 5),
    once=True,
    max_hosts=2,
    renew_s=60,
    subcommands=True,
    extend=Extend.APPROVAL,
    directory="/srv",
)


def named(*people: str) -> Party:
    return Party(people=frozenset(people))


def tier(*values: str, negated: bool = False) -> Selector:
    return Selector({"tier": LabelTest(frozenset(values), negated)})


Change = Callable[[Role], Role]

# What widens a role; the other way round is never a gain.
WIDER: dict[str, Change] = {
    "a person more": lambda role: replace(role, eligible=(Eligibility(named("alice", "bob")),)),
    "approval is gone": lambda role: replace(role, approvals=0),
    "active": lambda role: replace(role, eligible=(replace(role.eligible[0], active=True),)),
    "another approver": lambda role: replace(role, approvers=named("carol", "dave")),
    "another command": lambda role: replace(role, commands=(RESTART, STATUS, Command("/usr/bin/id", ()))),
    "any arguments": lambda role: replace(role, commands=(RESTART, STATUS, Command("/usr/bin/systemctl", None))),
    "everything": lambda role: replace(role, commands=ALL),
    "other hosts": lambda role: replace(role, hosts=tier("web", "db")),
    "all hosts but some": lambda role: replace(role, hosts=tier("db", negated=True)),
    "all hosts": lambda role: replace(role, hosts=Selector({}, all_hosts=True)),
    "another account": lambda role: replace(role, run_as_users=(*role.run_as_users, "postgres")),
    "another group": lambda role: replace(role, run_as_groups=("adm", "docker")),
    "a variable more": lambda role: replace(role, environment=("LANG", "TERM")),
    "longer": lambda role: replace(role, max_s=role.max_s + 1),
    "no code": lambda role: replace(role, mfa=False),
    "an old code": lambda role: replace(role, mfa_age_s=60),
    "no reason": lambda role: replace(role, reason=False),
    "no ticket": lambda role: replace(role, ticket=False),
    "less recorded": lambda role: replace(role, record=Record.NONE),
    "record not required": lambda role: replace(role, required=False),
    "no subcommands": lambda role: replace(role, subcommands=False),
    "kept shorter": lambda role: replace(role, retain_s=role.retain_s - 1),
    "unwatched": lambda role: replace(role, watch_s=0),
    "watched later": lambda role: replace(role, watch_s=61),
    "extended alone": lambda role: replace(role, extend=Extend.SELF),
    "no lease": lambda role: replace(role, lease_s=0),
    "many sudos": lambda role: replace(role, once=False),
    "more at once": lambda role: replace(role, concurrent=Concurrency(3, 5)),
    "any number at once": lambda role: replace(role, concurrent=Concurrency(2, 0)),
    "more hosts at once": lambda role: replace(role, max_hosts=3),
    "renewed for longer": lambda role: replace(role, renew_s=61),
}

# What is no less and no more, and so counts as a gain in both directions.
ELSEWHERE: dict[str, Change] = {
    "another directory": lambda role: replace(role, directory="/tmp"),
    "another ticket": lambda role: replace(role, ticket_pattern="CHG-[0-9]{4}"),
}

# What nobody gains by, in either direction.
NEITHER: dict[str, Change] = {
    "words": lambda role: replace(role, description="other words"),
    "the default": lambda role: replace(role, default_s=1),
    "the time to decide": lambda role: replace(role, request_timeout_s=1),
}


def gains(before: Role, after: Role) -> tuple[str, ...]:
    return gains_as_root(a_policy(before), a_policy(after), START)


@pytest.mark.parametrize("name", WIDER)
def test_what_widens_a_role_is_a_gain_and_its_opposite_is_none(name: str) -> None:
    wider = WIDER[name](ROLE)
    assert len(gains(ROLE, wider)) == 1
    assert gains(wider, ROLE) == ()


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_cannot_be_told_to_be_less_is_a_gain(name: str) -> None:
    other = ELSEWHERE[name](ROLE)
    assert gains(ROLE, other) != ()
    assert gains(other, ROLE) != ()


@pytest.mark.parametrize("name", NEITHER)
def test_what_gives_nothing_is_no_gain(name: str) -> None:
    other = NEITHER[name](ROLE)
    assert gains(ROLE, other) == gains(other, ROLE) == ()


def test_a_role_that_does_not_give_root_is_nobodys_concern() -> None:
    before = replace(ROLE, run_as_users=("www-data",))
    assert gains(before, replace(before, commands=ALL, approvals=0)) == ()
    assert gains(before, ROLE) == ("role web gives root and is new",)
    assert gains(ROLE, before) == ()


@pytest.mark.parametrize("as_good", [{"run_as_users": ("toor",)}, {"run_as_groups": ("adm", "docker")}])
def test_a_role_by_which_one_becomes_root_another_way_counts_as_one_that_gives_root(as_good: dict[str, object]) -> None:
    """SPEC 9.4: `docker` as the group of a harmless account is root, and so is uid 0 by its other name."""
    harmless = replace(ROLE, run_as_users=("www-data",))
    rooted = replace(harmless, **as_good)  # type: ignore[arg-type]
    assert gains(harmless, rooted) == ("role web gives root and is new",)
    assert gains(rooted, replace(rooted, approvals=0)) == ("role web: approval is loosened",)
    assert gains(rooted, harmless) == ()


def test_a_new_role_is_a_gain_once_somebody_can_have_it() -> None:
    nobody = replace(ROLE, eligible=())
    empty = replace(ROLE, eligible=(Eligibility(Party(groups=frozenset({"ops"}))),))
    assert gains_as_root(a_policy(), a_policy(nobody), START) == ()
    assert gains_as_root(a_policy(), a_policy(empty, ops=()), START) == ()
    assert gains_as_root(a_policy(), a_policy(empty, ops=("alice",)), START) != ()
    assert gains_as_root(a_policy(ROLE), a_policy(), START) == ()


def test_a_group_that_grows_is_a_gain_of_those_who_come() -> None:
    role = replace(ROLE, eligible=(Eligibility(Party(groups=frozenset({"ops"}))),))
    small, large = a_policy(role, ops=("alice",)), a_policy(role, ops=("alice", "bob"))
    (why,) = gains_as_root(small, large, START)
    assert why.startswith("role web: bob may ask for it")
    assert gains_as_root(large, small, START) == ()


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(("text", "counts"), [("'trusted' in groups", True), ("user == 'alice'", False)])
def test_a_group_that_a_condition_looks_at_is_as_good_as_the_condition(text: str, counts: bool, within: bool) -> None:
    """SPEC 9.2, 9.4: whoever comes into the group meets the condition, though the condition stands as it stood."""
    asked: Condition = Expression(text, cel.compiled(text))
    condition = AnyOf((Live(1), AllOf((Live(2), asked)))) if within else asked
    role = replace(ROLE, when=(condition,))
    outside, inside = a_policy(role, trusted=("bob",)), a_policy(role, trusted=("bob", "alice"))
    assert bool(gains_as_root(outside, inside, START)) is counts
    assert gains_as_root(inside, inside, START) == ()
    # bob may not ask for the role: what he is in changes nothing of it.
    assert gains_as_root(a_policy(role), outside, START) == ()


@pytest.mark.parametrize(
    ("since", "until", "gained"),
    [
        (0, 0, True),
        (0, START + 2 * DAY, True),
        (0, START + DAY, False),
        (START - DAY, START + DAY, False),
        (START + 1, START + DAY - 1, False),
        (0, START - 1, False),
    ],
)
def test_a_time_that_was_not_held_before_is_a_gain(since: int, until: int, gained: bool) -> None:
    """SPEC 9.4: an hour as root is enough; an hour that is past is none."""
    before = replace(ROLE, eligible=(Eligibility(named("alice"), until=START + DAY),))
    after = replace(ROLE, eligible=(Eligibility(named("alice"), since=since, until=until),))
    assert bool(gains(before, after)) is gained


@pytest.mark.parametrize(
    ("former", "renew_s", "gained"),
    [
        ((), 60, True),
        ((), 0, False),
        ((Eligibility(named("alice"), until=START - DAY),), 60, True),
        ((Eligibility(named("alice"), until=START + DAY, active=True),), 60, True),
        ((Eligibility(named("alice"), until=START - 1),), 60, False),
        ((Eligibility(named("alice"), until=START + DAY),), 60, False),
        ((Eligibility(named("alice")),), 60, False),
    ],
)
def test_a_line_that_has_ended_is_a_gain_where_it_could_be_renewed(
    former: tuple[Eligibility, ...], renew_s: int, gained: bool
) -> None:
    """A renewal needs one administrator only: a line of yesterday would be a way around the second person."""
    role = replace(ROLE, renew_s=renew_s)
    after = replace(role, eligible=(Eligibility(named("alice"), until=START - 1),))
    assert bool(gains(replace(role, eligible=former), after)) is gained


def test_a_line_beside_which_a_renewal_counts_again_is_a_gain() -> None:
    """A renewal lasts while its line is there; so to put the line back is to give the right again."""

    def until(*ends: int) -> Policy:
        lines = tuple(Eligibility(named("alice"), until=end) for end in ends)
        return a_policy(replace(ROLE, eligible=lines, renew_s=0))

    renewals = (Renewal("web", "usr-alice", START + 9 * DAY, line_until=START - 1),)
    for former in (until(), until(START + DAY)):
        again = until(*[one.until for one in former.roles["web"].eligible], START - 1)
        assert gains_as_root(former, again, START) == ()
        assert gains_as_root(replace(former, renewals=renewals), replace(again, renewals=renewals), START) != ()
        assert gains_as_root(replace(again, renewals=renewals), replace(former, renewals=renewals), START) == ()


@pytest.mark.parametrize(
    ("before", "after", "gained"),
    [
        (labelled(tier="web"), Selector({**labelled(tier="web").labels, **labelled(stage="dev").labels}), False),
        (Selector({**labelled(tier="web").labels, **labelled(stage="dev").labels}), labelled(tier="web"), True),
        (tier("db", negated=True), tier("db", "dmz", negated=True), False),
        (tier("db", "dmz", negated=True), tier("db", negated=True), True),
        (tier("db", negated=True), tier("web"), False),
        (tier("db", negated=True), tier("web", "db"), True),
        (Selector({}), labelled(tier="web"), True),
        (labelled(tier="web"), Selector({}), False),
        (Selector({}, all_hosts=True), tier("db", negated=True), False),
    ],
)
def test_hosts_are_compared_by_what_could_match_not_by_what_does(
    before: Selector, after: Selector, gained: bool
) -> None:
    assert bool(gains(replace(ROLE, hosts=before), replace(ROLE, hosts=after))) is gained


def control(approvals: int = 1, *people: str, root_only: bool = True) -> ChangeControl:
    return ChangeControl(named(*people), approvals, root_only)


@pytest.mark.parametrize(
    "after",
    [ChangeControl(), control(2, "carol", "dave"), control(1, "carol"), control(1, "carol", "dave", root_only=False)],
)
def test_every_change_of_who_approves_changes_counts(after: ChangeControl) -> None:
    def governed(changes: ChangeControl) -> Policy:
        return replace(a_policy(ROLE), changes=changes)

    before = governed(control(1, "carol", "dave"))
    assert gains_as_root(before, governed(after), START) == ("who has to approve changes of the policy changes",)
    assert gains_as_root(before, before, START) == ()


def test_a_group_that_approves_changes_is_who_is_in_it() -> None:
    changes = ChangeControl(Party(groups=frozenset({"leads"})), 1)
    before, after = (replace(a_policy(ROLE, leads=leads), changes=changes) for leads in (("carol",), ("carol", "eve")))
    assert gains_as_root(before, after, START) != ()


@pytest.mark.parametrize("decided", [{"renew_s": 60, "watch_s": 0}, {"renew_s": 0, "watch_s": 60}])
def test_who_may_renew_or_watch_counts_where_nobody_has_to_approve(decided: dict[str, int]) -> None:
    free = replace(ROLE, approvals=0, renew_s=0, watch_s=0)
    assert gains(free, replace(free, approvers=named("carol", "mallory"))) == ()
    one = replace(free, renew_s=decided["renew_s"], watch_s=decided["watch_s"])
    assert gains(one, replace(one, approvers=named("carol", "mallory")))
    assert gains(one, replace(one, approvers=named("carol"))) == ()
