"""Which people reach which hosts as whom, and how another policy changes it (SPEC 9.4).

Sets of hosts are integers with a bit for each, so that 10,000 hosts and 50,000 people are compared in seconds.
Reach is what somebody may ask for now or later; conditions and approvals do not lessen it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jit_server.domain.ask import ALL
from jit_server.domain.identity import Host, User
from jit_server.domain.policy.model import LabelTest, Policy, Role, Selector

SHOWN = 100
"""Names of people, hosts and roles that are listed; the counts are whole."""


class HostSets:
    """The hosts that were not removed, as bits of integers."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        self.hosts = tuple(host for host in hosts if not host.removed)
        self.every = (1 << len(self.hosts)) - 1
        numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, host in enumerate(self.hosts):
            for label in host.labels.items():
                numbers[label].append(number)
        self._labels: dict[str, dict[str, int]] = defaultdict(dict)
        for (key, value), of_label in numbers.items():
            self._labels[key][value] = _bits(of_label)

    def of(self, selector: Selector) -> int:
        """Those the selector matches."""
        if selector.all_hosts:
            return self.every
        found = self.every if selector.labels else 0
        for key, test in selector.labels.items():
            found &= self._passing(key, test)
        return found

    def those(self, host_ids: Collection[str]) -> int:
        return sum(1 << number for number, host in enumerate(self.hosts) if host.host_id in host_ids)

    def named(self, hosts: int, limit: int = SHOWN) -> tuple[str, ...]:
        """The names of the first of them, at most so many."""
        return tuple(host.name for host, _ in zip(self.each(hosts), range(limit), strict=False))

    def each(self, hosts: int) -> Iterator[Host]:
        while hosts:
            lowest = hosts & -hosts
            yield self.hosts[lowest.bit_length() - 1]
            hosts ^= lowest

    def _passing(self, key: str, test: LabelTest) -> int:
        values = self._labels.get(key, {})
        found = 0
        for value, hosts in values.items():
            if test.holds(value):
                found |= hosts
        return found


@dataclass(frozen=True, slots=True)
class ReachChange:
    """Some people gain or lose the same right on the same hosts; `everything`: anything at all, not single commands."""

    gained: bool
    run_as: str
    everything: bool
    people_count: int
    people: tuple[str, ...]
    hosts_count: int
    hosts: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Given:
    """What one role gives: to whom, where, as whom."""

    people: frozenset[str]
    hosts: int
    run_as: tuple[str, ...]
    everything: bool


@dataclass(slots=True)
class _Group:
    people: list[str] = field(default_factory=list)
    roles: set[str] = field(default_factory=set)


_Right = tuple[bool, str, bool, int]
"""Gained, as whom, everything, where."""


def reach_changes(
    before: Policy, after: Policy, people: Collection[User], hosts: HostSets, now: int
) -> tuple[ReachChange, ...]:
    """Every difference once: as root before others, everything before single commands, and the widest first."""
    able = [user for user in people if not user.disabled]
    persons = frozenset(user.name for user in able if not user.service)
    services = frozenset(user.name for user in able if user.service)
    old, new = _given(before, persons, services, hosts, now), _given(after, persons, services, hosts, now)
    changed = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
    touched = frozenset().union(*(given[name].people for given in (old, new) for name in changed if name in given))
    rights: dict[_Right, _Group] = defaultdict(_Group)
    for (mine_before, mine_after), alike in _alike(before, after, old, new, touched).items():
        for right, roles in _difference(old, mine_before, new, mine_after):
            group = rights[right]
            group.people += alike
            group.roles |= roles
    found = [_change(right, group, hosts) for right, group in rights.items()]
    return tuple(sorted(found, key=_order))


def _given(
    policy: Policy, persons: frozenset[str], services: frozenset[str], hosts: HostSets, now: int
) -> dict[str, _Given]:
    return {
        name: _Given(
            people=(_holders(policy, role, now) & persons) | (_holders(policy, role, now, active=True) & services),
            hosts=hosts.of(role.hosts),
            run_as=role.run_as_users,
            everything=role.commands == ALL,
        )
        for name, role in policy.roles.items()
    }


def _holders(policy: Policy, role: Role, now: int, *, active: bool = False) -> frozenset[str]:
    """The names of those who may ask for the role now or later, by the files; `active`: without approval."""
    lines = (one for one in role.eligible if (one.until == 0 or one.until > now) and (one.active or not active))
    return frozenset().union(*(policy.named(one.party) for one in lines))


def _alike(
    before: Policy, after: Policy, old: Mapping[str, _Given], new: Mapping[str, _Given], touched: Iterable[str]
) -> dict[tuple[frozenset[str], frozenset[str]], list[str]]:
    """People who hold the same roles before, and the same roles after, go together."""
    alike: dict[tuple[frozenset[str], frozenset[str]], list[str]] = defaultdict(list)
    for name in touched:
        mine_before = frozenset(role for role in before.index.eligible(name) if name in old[role].people)
        mine_after = frozenset(role for role in after.index.eligible(name) if name in new[role].people)
        alike[mine_before, mine_after].append(name)
    return alike


def _difference(
    old: Mapping[str, _Given], mine_before: Iterable[str], new: Mapping[str, _Given], mine_after: Iterable[str]
) -> Iterator[tuple[_Right, frozenset[str]]]:
    had, has = _reach(old, mine_before), _reach(new, mine_after)
    for run_as in had.keys() | has.keys():
        (had_all, had_any), (has_all, has_any) = had.get(run_as, (0, 0)), has.get(run_as, (0, 0))
        for gained, given, mine, (from_all, from_any), (to_all, to_any) in (
            (True, new, mine_after, (had_all, had_any), (has_all, has_any)),
            (False, old, mine_before, (has_all, has_any), (had_all, had_any)),
        ):
            everything = to_all & ~from_all
            something = to_any & ~from_any & ~everything
            for whole, where in ((True, everything), (False, something)):
                if where:
                    roles = (name for name in mine if run_as in given[name].run_as and given[name].hosts & where)
                    yield (gained, run_as, whole, where), frozenset(roles)


def _reach(given: Mapping[str, _Given], mine: Iterable[str]) -> dict[str, tuple[int, int]]:
    """As whom: where everything, and where anything."""
    reach: dict[str, tuple[int, int]] = {}
    for name in mine:
        role = given[name]
        for run_as in role.run_as:
            everything, anything = reach.get(run_as, (0, 0))
            reach[run_as] = (everything | (role.hosts if role.everything else 0), anything | role.hosts)
    return reach


def _change(right: _Right, group: _Group, hosts: HostSets) -> ReachChange:
    gained, run_as, everything, where = right
    return ReachChange(
        gained=gained,
        run_as=run_as,
        everything=everything,
        people_count=len(group.people),
        people=tuple(sorted(group.people)[:SHOWN]),
        hosts_count=where.bit_count(),
        hosts=hosts.named(where),
        roles=tuple(sorted(group.roles)[:SHOWN]),
    )


def _order(change: ReachChange) -> tuple[object, ...]:
    return (
        not change.gained,
        change.run_as != "root",
        not change.everything,
        -change.people_count * change.hosts_count,
        change.run_as,
        change.people,
        change.hosts,
    )


def _bits(numbers: Sequence[int]) -> int:
    mask = bytearray(numbers[-1] // 8 + 1)
    for number in numbers:
        mask[number // 8] |= 1 << number % 8
    return int.from_bytes(mask, "little")
