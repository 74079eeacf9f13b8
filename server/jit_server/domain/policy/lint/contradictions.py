"""Conditions that can never be met together, and those that are always met."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network

from jit_server.domain.policy.arrival import LoginKinds, Source
from jit_server.domain.policy.circumstances import LoginKind
from jit_server.domain.policy.conditions import AllOf, AnyOf, Condition, HostLabels
from jit_server.domain.policy.finding import Severity
from jit_server.domain.policy.hours import Hours
from jit_server.domain.policy.lint.rule import LintFinding, Rule, Surroundings
from jit_server.domain.policy.model import Role, Selector

NEVER = Rule(
    "never-met",
    "The conditions exclude each other: nobody will ever get the role.",
    "write them under any: where one of them is enough, or correct them",
    Severity.ERROR,
)
EVERY_ADDRESS = Rule(
    "any-source",
    "A network of all addresses keeps nobody out.",
    "name your own networks, or write login: ssh",
)
RULES = (NEVER, EVERY_ADDRESS)

_MAX_WAYS = 64
_DAYS_AHEAD = 54 * 7
_DAY_US = 86_400 * 1_000_000
_Span = tuple[int, int]
_Network = IPv4Network | IPv6Network


def check(world: Surroundings) -> Iterator[LintFinding]:
    for role in world.roles:
        if not role.when:
            continue
        ways = list(itertools.islice(_ways(role.when), _MAX_WAYS + 1))
        reasons = [_impossible(role, way, world.now) for way in ways]
        if len(ways) <= _MAX_WAYS and all(reasons):
            yield NEVER.found(f"when: {reasons[0]}", "when", role=role.name)
        open_to_all = {str(one) for way in ways for source in way for one in _everywhere(source)}
        if open_to_all:
            message = f"when: source {', '.join(sorted(open_to_all))} is every address there is"
            yield EVERY_ADDRESS.found(message, "when", "source", role=role.name)


def _ways(conditions: Sequence[Condition]) -> Iterator[tuple[Condition, ...]]:
    """Each set of simple conditions that would be enough."""
    if not conditions:
        yield ()
        return
    first, *rest = conditions
    match first:
        case AllOf(inner):
            yield from _ways([*inner, *rest])
        case AnyOf(inner):
            for one in inner:
                yield from _ways([one, *rest])
        case _:
            for way in _ways(rest):
                yield (first, *way)


def _impossible(role: Role, way: Sequence[Condition], now: int) -> str:
    """Say why these cannot be met together, on any host the role could reach; empty: they can."""
    hours = [one for one in way if isinstance(one, Hours)]
    if hours and not _open(hours, now):
        return f"{' and '.join(map(str, hours))}: no moment of a year is within {'all of it' if hours[1:] else 'it'}"
    sources = [one for one in way if isinstance(one, Source)]
    if len(sources) > 1 and not _common(sources):
        return f"no address is {' and '.join(map(str, sources))}"
    kinds = [frozenset(one.kinds) for one in way if isinstance(one, LoginKinds)]
    if kinds:
        left = frozenset.intersection(*kinds)
        if not left:
            return "no login is of both kinds"
        if sources and left == {LoginKind.CONSOLE}:
            return "a login at the console comes from no address"
    selectors = (one.hosts for one in way if isinstance(one, HostLabels))
    return _no_host([role.hosts, *(one for one in selectors if isinstance(one, Selector))])


def _open(hours: Sequence[Hours], now: int) -> bool:
    """Whether there is a moment within all of them, looked for a week ahead and then the whole year."""
    return any(_overlap([_spans(one, now, days) for one in hours]) for days in (7, _DAYS_AHEAD))


def _spans(hours: Hours, now: int, days: int) -> list[_Span]:
    return sorted(span for window in hours.windows for span in window.spans(now + _DAY_US, days))


def _overlap(all_spans: Sequence[list[_Span]]) -> bool:
    left = all_spans[0]
    for spans in all_spans[1:]:
        both = []
        mine, theirs = 0, 0
        while mine < len(left) and theirs < len(spans):
            begin, end = max(left[mine][0], spans[theirs][0]), min(left[mine][1], spans[theirs][1])
            if begin < end:
                both.append((begin, end))
            if left[mine][1] <= spans[theirs][1]:
                mine += 1
            else:
                theirs += 1
        left = both
    return bool(left)


def _common(sources: Sequence[Source]) -> bool:
    left: set[_Network] = set(sources[0].networks)
    for source in sources[1:]:
        left = {
            max(mine, theirs, key=lambda one: one.prefixlen)
            for mine in left
            for theirs in source.networks
            if mine.overlaps(theirs)
        }
    return bool(left)


def _no_host(selectors: Sequence[Selector]) -> str:
    for key in sorted({key for one in selectors for key in one.labels}):
        tests = [one.labels[key] for one in selectors if key in one.labels]
        wanted = [test.values for test in tests if not test.negated]
        refused = frozenset().union(*(test.values for test in tests if test.negated))
        if wanted and not frozenset.intersection(*wanted) - refused:
            return f"no host has a {key} that the role and its conditions all want"
    return ""


def _everywhere(condition: Condition) -> Iterator[_Network]:
    if isinstance(condition, Source):
        yield from (one for one in condition.networks if one.prefixlen == 0)
