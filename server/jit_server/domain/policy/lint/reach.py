"""Hosts that no role reaches, roles that reach no host or give nothing that another does not, and unused names."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jit_server.domain.ask import ALL
from jit_server.domain.policy.conditions import AllOf, AnyOf, Condition, HostLabels
from jit_server.domain.policy.fleet import HostSets
from jit_server.domain.policy.gains import wider
from jit_server.domain.policy.lint.rule import LintFinding, Path, Rule, Surroundings, listed
from jit_server.domain.policy.model import Role, Selector

NO_HOST = Rule(
    "no-host",
    "No enrolled host passes the labels: nobody can use the role.",
    "compare with jitctl hosts ls",
)
UNKNOWN_LABEL = Rule(
    "unknown-label",
    "No enrolled host has the label, or the value of it: most often a slip of the pen.",
    "write a label that jitctl hosts ls shows",
)
UNREACHED = Rule(
    "unreached-hosts",
    "Nobody can be granted anything on these hosts.",
    "write a role for them, or remove the hosts",
)
REDUNDANT = Rule(
    "redundant-role",
    "Another role gives the same people as much, as easily, on the same hosts: two things to look after for one.",
    "remove the role, or narrow the other",
)
UNUSED_NAME = Rule(
    "unused-name",
    "A group, selector, bundle or flow that nothing refers to is read by people as if it meant something.",
    "refer to it, or remove it",
)
RULES = (NO_HOST, UNKNOWN_LABEL, UNREACHED, REDUNDANT, UNUSED_NAME)

_THINGS = {"groups": "group", "hosts": "selector", "commands": "bundle", "flows": "flow"}
_MAX_COMPARED = 500
_MAX_PAIRS = 2_000
"""Pairs of roles that are compared person by person; a policy with more has other worries."""
_Labels = Mapping[str, frozenset[str]]


def check(world: Surroundings) -> Iterator[LintFinding]:
    yield from _hosts(world)
    yield from _redundant(world)
    for section, name in world.unused:
        yield UNUSED_NAME.found(f"{_THINGS.get(section, section)} {name} is not used", section, name)


def _hosts(world: Surroundings) -> Iterator[LintFinding]:
    if not world.hosts.hosts:
        return
    values: dict[str, set[str]] = defaultdict(set)
    for host in world.hosts.hosts:
        for key, value in host.labels.items():
            values[key].add(value)
    labels = {key: frozenset(found) for key, found in values.items()}
    reached = 0
    for role in world.roles:
        there = world.hosts.of(role.hosts)
        reached |= there
        strange = [*_strange(labels, role.hosts, ("hosts",))]
        for condition in role.when:
            for selector in _selectors(condition):
                strange += _strange(labels, selector, ("when",))
        for path, message in strange:
            yield UNKNOWN_LABEL.found(message, *path, role=role.name)
        if not there and not strange:
            yield NO_HOST.found(f"role {role.name} reaches no host: {role.hosts}", "hosts", role=role.name)
    left = world.hosts.every & ~reached
    if left and world.policy.roles:
        count = left.bit_count()
        names = listed(world.hosts.named(left, 5), 5) + (f" and {count - 5} more" if count > 5 else "")
        yield UNREACHED.found(f"no role reaches {names}", "roles")


def _strange(labels: _Labels, selector: Selector, path: Path) -> Iterator[tuple[Path, str]]:
    """Keys and values that no host has; of a negated one the values do not matter."""
    for key, test in selector.labels.items():
        if key not in labels:
            yield (*path, key), f"no host has the label {key}{_meant(key, labels)}"
        elif not test.negated:
            for value in sorted(test.values - labels[key]):
                yield (*path, key), f"no host has {key}={value}{_meant(value, labels[key])}"


def _meant(name: str, known: Mapping[str, object] | frozenset[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known)[:_MAX_COMPARED], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _selectors(condition: Condition) -> Iterator[Selector]:
    match condition:
        case HostLabels(Selector() as selector):
            yield selector
        case AnyOf(conditions) | AllOf(conditions):
            for one in conditions:
                yield from _selectors(one)


def _redundant(world: Surroundings) -> Iterator[LintFinding]:
    policy, gone, left = world.policy, set[str](), _MAX_PAIRS
    outlines = {role.name: _outline(role, world.hosts) for role in world.roles}
    for role in sorted(world.roles, key=lambda one: one.name, reverse=True):
        holders = world.holders(role)
        if not holders:
            continue
        # Whatever covers it is there for any one of its people too.
        for name in sorted(policy.index.eligible(min(holders)) - gone - {role.name}):
            if not outlines[name].may_cover(outlines[role.name]):
                continue
            left -= 1
            if left < 0:
                return
            if not any(wider(policy, policy.roles[name], policy, role, world.now)):
                gone.add(role.name)
                message = f"role {role.name} gives nothing that role {name} does not give the same people"
                yield REDUNDANT.found(message, role=role.name)
                break


@dataclass(frozen=True, slots=True)
class _Outline:
    """What can be compared at once; of a role that covers another it covers the other's."""

    users: frozenset[str]
    programs: frozenset[str] | None
    """None: any."""
    hosts: int
    max_s: int

    def may_cover(self, other: _Outline) -> bool:
        programs = self.programs is None or (other.programs is not None and other.programs <= self.programs)
        return programs and not other.hosts & ~self.hosts and other.users <= self.users and other.max_s <= self.max_s


def _outline(role: Role, hosts: HostSets) -> _Outline:
    programs = None if role.commands == ALL else frozenset(command.path for command in role.commands)
    return _Outline(frozenset(role.run_as_users), programs, hosts.of(role.hosts), role.max_s)
