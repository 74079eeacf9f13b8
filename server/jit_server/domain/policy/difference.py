"""What is written otherwise in another policy, role by role and key by key, for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from jit_server.domain.ask import describe
from jit_server.domain.policy.finding import Spot
from jit_server.domain.policy.model import Eligibility, Party, Policy, Role
from jit_server.domain.span import instant, typed

_SHOWN = 5
"""Names, commands or windows shown of each side of a change."""


class What(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class RoleChange:
    """`details` are lines `key: before -> after`."""

    role: str
    what: What
    details: tuple[str, ...] = ()


def same(before: Policy, after: Policy) -> bool:
    """Whether both say the same, whatever their numbers, where it is written, and what stands beside them."""
    return _meaning(before) == _meaning(after)


def _meaning(policy: Policy) -> tuple[object, ...]:
    tests = [replace(test, file="", line=0) for test in policy.tests]
    hidden = [replace(one, spot=Spot("", 0, 0)) for one in policy.suppressions]
    return policy.groups, policy.roles, policy.changes, tests, hidden


def role_changes(before: Policy, after: Policy) -> tuple[RoleChange, ...]:
    """By name; a role also changes when the people of a group of its own do."""
    found = []
    for name in sorted(before.roles.keys() | after.roles.keys()):
        old, new = before.roles.get(name), after.roles.get(name)
        if old is None:
            found.append(RoleChange(name, What.ADDED))
        elif new is None:
            found.append(RoleChange(name, What.REMOVED))
        elif details := tuple(_details(before, old, after, new)):
            found.append(RoleChange(name, What.CHANGED, details))
    return tuple(found)


def _details(before: Policy, old: Role, after: Policy, new: Role) -> Iterator[str]:
    for field in fields(Role):
        was, becomes = getattr(old, field.name), getattr(new, field.name)
        if was == becomes:
            continue
        key = _KEYS.get(field.name, field.name)
        if field.name == "eligible":
            yield from _eligible_details(was, becomes)
        else:
            yield f"{key}: {_said(field.name, was)} -> {_said(field.name, becomes)}"
    for what, ours, theirs in (
        ("people", _names(after, new), _names(before, old)),
        ("approving people", after.named(new.approvers), before.named(old.approvers)),
    ):
        if ours != theirs:
            parts = [f"+ {listed(sorted(ours - theirs))}"] if ours - theirs else []
            parts += [f"- {listed(sorted(theirs - ours))}"] if theirs - ours else []
            yield f"{what}: {', '.join(parts)}"


_KEYS = {
    "run_as_users": "run_as",
    "default_s": "duration.default",
    "max_s": "duration.max",
    "request_timeout_s": "request_timeout",
    "mfa_age_s": "mfa.age",
    "ticket_pattern": "ticket.pattern",
    "record": "record",
    "required": "recording required",
    "lease_s": "offline lease",
    "watch_s": "watch",
    "retain_s": "retain",
    "renew_s": "renew",
}


def _eligible_details(was: tuple[Eligibility, ...], becomes: tuple[Eligibility, ...]) -> Iterator[str]:
    for sign, ours, theirs in (("-", was, becomes), ("+", becomes, was)):
        for one in [one for one in ours if one not in theirs][:_SHOWN]:
            yield f"eligible: {sign} {_window(one)}"


def _window(one: Eligibility) -> str:
    since = f" from {instant(one.since)}" if one.since else ""
    until = f" until {instant(one.until)}" if one.until else " permanently"
    return f"{_party(one.party)}{since}{until}{' (active)' if one.active else ''}"


def _said(name: str, value: object) -> str:
    if isinstance(value, Party):
        return _party(value)
    if name == "commands":
        return listed(describe(value))  # type: ignore[arg-type]
    if name.endswith("_s"):
        return typed(value) if isinstance(value, int) and value else "none"
    if isinstance(value, tuple):
        return listed([str(one) for one in value])
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "none"


def _party(party: Party) -> str:
    groups = [f"group {name}" for name in sorted(party.groups)]
    return listed([*sorted(party.people), *groups])


def _names(policy: Policy, role: Role) -> frozenset[str]:
    return frozenset().union(*(policy.named(one.party) for one in role.eligible))


def listed(names: Sequence[str]) -> str:
    """At most five of them, and how many there are beside."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
