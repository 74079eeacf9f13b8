"""What a plan says about people and hosts: who reaches more, who reaches less, as whom."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from jit_server.domain.ask import ALL, Command
from jit_server.domain.policy.fleet import HostSets, ReachChange, reach_changes
from jit_server.domain.policy.model import Eligibility, LabelTest, Party, Policy, Role, Selector
from jit_testing.server_fakes import START, a_host, a_policy, a_role, a_user, labelled

JOURNAL = Command("/usr/bin/journalctl", None)
PEOPLE = [a_user(name) for name in ("alice", "bob", "carol", "dave")]
HOSTS = [
    *(a_host(f"web{number}", tier="web") for number in range(3)),
    *(a_host(f"db{number}", tier="db") for number in range(2)),
    a_host("gone", removed=True, tier="web"),
    a_host("bare", zone="x"),
]


def root_role(name: str = "web", **what: object) -> Role:
    return replace(a_role(name), **{"run_as_users": ("root",), **what})  # type: ignore[arg-type]


def told(before: Policy, after: Policy) -> list[str]:
    return [line(change) for change in reach_changes(before, after, PEOPLE, HostSets(HOSTS), START)]


def line(change: ReachChange) -> str:
    what = change.run_as if change.everything else f"a command as {change.run_as}"
    return (
        f"{'+' if change.gained else '-'}{','.join(change.people)} {what} on {','.join(change.hosts)}"
        f" by {','.join(change.roles)}"
    )


def test_a_new_role_is_told_once_for_all_its_people_and_hosts() -> None:
    role = root_role(eligible=a_role(eligible=("alice", "bob")).eligible)
    assert told(a_policy(), a_policy(role)) == ["+alice,bob root on web0,web1,web2 by web"]
    assert told(a_policy(role), a_policy()) == ["-alice,bob root on web0,web1,web2 by web"]
    assert told(a_policy(role), a_policy(role)) == []


def test_the_counts_are_whole_though_names_are_at_most_a_hundred() -> None:
    people = [a_user(f"u{number}") for number in range(150)]
    hosts = HostSets([a_host(f"h{number}", tier="web") for number in range(130)])
    role = root_role(eligible=a_role(eligible=[user.name for user in people]).eligible)
    (change,) = reach_changes(a_policy(), a_policy(role), people, hosts, START)
    assert (change.people_count, len(change.people), change.hosts_count, len(change.hosts)) == (150, 100, 130, 100)


def test_what_another_role_gives_too_is_no_difference() -> None:
    role, twin = root_role(), root_role("twin")
    assert told(a_policy(role, twin), a_policy(role)) == []
    wide = root_role("wide", hosts=Selector({}, all_hosts=True))
    assert told(a_policy(role), a_policy(role, wide)) == ["+alice root on db0,db1,bare by wide"]
    assert told(a_policy(role, wide), a_policy(wide)) == []


def test_everything_is_more_than_a_command_and_a_command_more_than_nothing() -> None:
    nothing, some, everything = a_policy(), a_policy(root_role(commands=(JOURNAL,))), a_policy(root_role(commands=ALL))
    assert told(nothing, some) == ["+alice a command as root on web0,web1,web2 by web"]
    assert told(some, everything) == ["+alice root on web0,web1,web2 by web"]
    assert told(everything, some) == ["-alice root on web0,web1,web2 by web"]
    assert told(everything, nothing) == ["-alice root on web0,web1,web2 by web"]


def test_each_account_is_told_apart_and_root_comes_first() -> None:
    role = root_role(run_as_users=("postgres", "root"), hosts=labelled(tier="db"))
    assert told(a_policy(), a_policy(role)) == [
        "+alice root on db0,db1 by web",
        "+alice postgres on db0,db1 by web",
    ]


def test_people_come_and_go_with_their_groups_and_their_time() -> None:
    ops = Eligibility(Party(groups=frozenset({"ops"})))
    before, after = (a_policy(root_role(eligible=(ops,)), ops=who) for who in (("alice", "bob"), ("bob", "carol")))
    assert told(before, after) == ["+carol root on web0,web1,web2 by web", "-alice root on web0,web1,web2 by web"]
    over = a_policy(root_role(eligible=(replace(ops, until=START),)), ops=("alice",))
    coming = a_policy(root_role(eligible=(replace(ops, since=START + 1),)), ops=("alice",))
    assert told(over, coming) == ["+alice root on web0,web1,web2 by web"]


def test_nobody_the_server_does_not_know_and_nobody_disabled_is_counted() -> None:
    role = root_role(eligible=a_role(eligible=("alice", "stranger", "eve")).eligible)
    people = [*PEOPLE, a_user("eve", disabled=True)]
    (change,) = reach_changes(a_policy(), a_policy(role), people, HostSets(HOSTS), START)
    assert (change.people, change.people_count) == (("alice",), 1)


values = st.frozensets(st.sampled_from(["web", "db", "x"]), min_size=1)
selectors = st.one_of(
    st.just(Selector({}, all_hosts=True)),
    st.just(Selector({})),
    st.builds(lambda held, negated: Selector({"tier": LabelTest(held, negated)}), values, st.booleans()),
)
parties = st.builds(
    Party,
    people=st.frozensets(st.sampled_from([user.name for user in PEOPLE])),
    groups=st.frozensets(st.sampled_from(["g1", "g2"])),
)
roles = st.builds(
    lambda name, hosts, party, everything, users: root_role(
        name,
        hosts=hosts,
        eligible=(Eligibility(party),),
        commands=ALL if everything else (JOURNAL,),
        run_as_users=tuple(sorted(users)),
    ),
    st.sampled_from(["r1", "r2", "r3"]),
    selectors,
    parties,
    st.booleans(),
    st.frozensets(st.sampled_from(["root", "app"]), min_size=1),
)
policies = st.builds(
    lambda made, g1, g2: a_policy(*made, g1=g1, g2=g2),
    st.lists(roles, max_size=4, unique_by=lambda role: role.name),
    st.frozensets(st.sampled_from([user.name for user in PEOPLE])),
    st.frozensets(st.sampled_from([user.name for user in PEOPLE])),
)
Cell = tuple[str, str, str, bool]


def cells(policy: Policy) -> set[Cell]:
    """Person by person and host by host: the slow way that cannot be wrong."""
    return {
        (user.name, host.name, run_as, whole)
        for role in policy.roles.values()
        for user in PEOPLE
        if policy.eligibilities(role, user)
        for host in HOSTS
        if not host.removed and role.hosts.matches(host)
        for run_as in role.run_as_users
        for whole in ((True, False) if role.commands == ALL else (False,))
    }


@settings(max_examples=200, deadline=None)
@given(before=policies, after=policies)
def test_the_differences_are_those_of_every_person_and_host(before: Policy, after: Policy) -> None:
    found: dict[bool, set[Cell]] = {True: set(), False: set()}
    for change in reach_changes(before, after, PEOPLE, HostSets(HOSTS), START):
        for person in change.people:
            for host in change.hosts:
                cell = (person, host, change.run_as, change.everything)
                assert cell not in found[change.gained]
                found[change.gained].add(cell)
    had, has = cells(before), cells(after)
    for gained, expected in ((True, has - had), (False, had - has)):
        whole = {cell for cell in expected if cell[3]}
        # Who gains everything somewhere is not told to gain a command there as well.
        assert found[gained] == whole | {cell for cell in expected - whole if (*cell[:3], True) not in whole}
