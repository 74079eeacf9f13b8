"""Who can do what where, by the same decision that a request gets (SPEC 9.5).

Conditions and limits on live grants are told, not held against anything: they are for the moment of an ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from jit_server.domain import lock as locking
from jit_server.domain.ask import Ask, describe
from jit_server.domain.identity import User
from jit_server.domain.policy.check import Check
from jit_server.domain.policy.circumstances import Circumstances
from jit_server.domain.policy.decision import Allowed, Case, Refused, Weighing, evaluate, weigh
from jit_server.domain.policy.fleet import HostSets
from jit_server.domain.policy.model import Concurrency, Policy, Role
from jit_server.domain.span import typed


@dataclass(frozen=True, slots=True)
class Capability:
    """One person, one role, and where; `until` µs UTC, zero for permanently, `max_s` in seconds.

    `groups` are those through which the person is eligible, none if they are by name; `hosts` are at most 100 names.
    """

    user: str
    role: str
    active: bool
    groups: tuple[str, ...]
    until: int
    run_as_users: tuple[str, ...]
    commands: tuple[str, ...]
    hosts_count: int
    hosts: tuple[str, ...]
    approvals: int
    approvers: tuple[str, ...]
    mfa: bool
    when: tuple[str, ...]
    max_s: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a question is answered for; `wanted` are the hosts it is about."""

    policy: Policy
    people: Mapping[str, User]
    """By name."""
    hosts: HostSets
    wanted: int
    now: int


def weigh_ask(case: Case) -> Weighing:
    """Every check of one ask as it would be made at a host: its duration is looked at too."""
    weighed, role, wanted_s = weigh(case), case.role, case.circumstances.duration_s
    if not wanted_s:
        return weighed
    fits = wanted_s <= role.max_s
    why = f"role {role.name} {'can' if fits else 'cannot'} be had for {typed(wanted_s)}"
    check = Check("duration", fits, why, "" if fits else f"ask for {typed(role.max_s)} at most")
    checks = (*weighed.checks, check)
    if fits or isinstance(weighed.verdict, Refused):
        return replace(weighed, checks=checks)
    return Weighing(role, checks, Refused(role.name, check.why, check.hint))


def who_can(fleet: Fleet, ask: Ask) -> Iterator[Capability]:
    """Everybody who may ask for this, by role and person."""
    for name in sorted(fleet.policy.roles):
        role = fleet.policy.roles[name]
        if ask.run_as_user in role.run_as_users:
            people = frozenset().union(*(fleet.policy.named(one.party) for one in role.eligible))
            yield from _capabilities(fleet, role, sorted(people), ask)


def what_can(fleet: Fleet, person: User) -> Iterator[Capability]:
    """All that one person may ask for, by role."""
    for role in fleet.policy.roles_of(person):
        yield from _capabilities(fleet, role, [person.name], None)


def _capabilities(fleet: Fleet, role: Role, names: list[str], ask: Ask | None) -> Iterator[Capability]:
    hosts = fleet.hosts.of(role.hosts) & fleet.wanted & ~_locked(fleet)
    host = next(fleet.hosts.each(hosts), None)
    if host is None:
        return
    approvers = tuple(
        user for name in fleet.policy.named(role.approvers) if (user := fleet.people.get(name)) is not None
    )
    bare = replace(role, when=(), concurrent=Concurrency())
    shown = fleet.hosts.named(hosts)
    commands, when = describe(role.commands), tuple(str(condition) for condition in role.when)
    for name in names:
        person = fleet.people.get(name)
        if person is None:
            continue
        case = Case(fleet.policy, bare, person, host, ask, approvers, Circumstances(at=fleet.now))
        match evaluate(case):
            case Allowed(approvers=able, until=until, active=active):
                yield Capability(
                    user=name,
                    role=role.name,
                    active=active,
                    groups=_through(fleet.policy, role, person, fleet.now),
                    until=until,
                    run_as_users=role.run_as_users,
                    commands=commands,
                    hosts_count=hosts.bit_count(),
                    hosts=shown,
                    approvals=0 if active else role.approvals,
                    approvers=tuple(user.name for user in able) if role.approvals and not active else (),
                    mfa=role.mfa and not active,
                    when=when,
                    max_s=role.max_s,
                )


def _locked(fleet: Fleet) -> int:
    """The hosts that a lock keeps from being asked for."""
    if not any(lock.kind is locking.LockKind.HOST for lock in fleet.policy.locks):
        return 0
    names = {lock.target for lock in fleet.policy.locks if lock.kind is locking.LockKind.HOST}
    return sum(1 << number for number, host in enumerate(fleet.hosts.hosts) if host.name in names)


def _through(policy: Policy, role: Role, person: User, now: int) -> tuple[str, ...]:
    lines = [one for one in role.eligible if policy.includes(one.party, person)]
    # By none that holds now: the eligibility was renewed.
    mine = [one for one in lines if one.holds_at(now)] or lines
    if any(person.name in one.party.people for one in mine):
        return ()
    groups = frozenset().union(*(one.party.groups for one in mine))
    return tuple(group for group in policy.groups_of(person) if group in groups)
