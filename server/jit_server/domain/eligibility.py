"""One person's eligibilities as they are told, and the instants at which something is to be told of them (SPEC 9.7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from jit_server.domain.identity import User
from jit_server.domain.policy.decision import Refused
from jit_server.domain.policy.model import Eligibility, Policy, Role
from jit_server.domain.renewal import CLOSES_US, DAY_US, renewable

DAYS_BEFORE = (14, 1)
"""So many days before an end it is told, and then once more when it has come."""


class EntryState(StrEnum):
    COMING = "coming"
    CURRENT = "current"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the files, or one renewal, for one person; times in µs UTC, zero for always and for permanently.

    `groups` are those of the line that the person is in, none if they are named.  `renewable_s`: it can be renewed now,
    for so many seconds more.
    """

    user: str
    role: str
    active: bool
    groups: tuple[str, ...]
    since: int
    until: int
    state: EntryState
    renewed: bool = False
    renewable_s: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of them: of one role (empty: of all), and that end before then (µs UTC; zero: whenever)."""

    role: str = ""
    ending_before: int = 0

    def has(self, role: str) -> bool:
        return self.role in ("", role)

    def includes(self, one: Eligibility, now: int) -> bool:
        return not self.ending_before or now < one.until <= self.ending_before


@dataclass(frozen=True, slots=True)
class Due:
    """That a person's right to a role ends in so many days, or, with none left, has ended, is to be told now."""

    role: str
    person: User
    active: bool
    until: int
    days_left: int


def entries(
    policy: Policy, person: User, waiting: Collection[tuple[str, str]], now: int, wanted: Wanted
) -> Iterator[Entry]:
    """One person's, by role; `waiting` are the roles and people for which a renewal is pending."""
    for role in policy.roles_of(person):
        lines = policy.eligibilities(role, person) if wanted.has(role.name) else ()
        if not any(wanted.includes(one, now) for one in lines):
            continue
        offer = _offer(policy, role, person, now) if (role.name, person.user_id) not in waiting else (0, 0)
        written = sum(1 for one in role.eligible if one in lines)
        for number, one in enumerate(lines):
            if not wanted.includes(one, now):
                continue
            groups = one.party.groups if person.name not in one.party.people else frozenset[str]()
            yield Entry(
                user=person.name,
                role=role.name,
                active=one.active,
                groups=tuple(group for group in policy.groups_of(person) if group in groups),
                since=one.since,
                until=one.until,
                state=_state(one, now),
                renewed=number >= written,
                renewable_s=offer[1] if offer[1] and one.until == offer[0] and not one.active else 0,
                reason=one.reason,
            )


def due(policy: Policy, people: Iterable[User], now: int) -> Iterator[Due]:
    """What is to be told now, of each end the nearest thing only; whether it was told is not known here."""
    near = _near(policy, now)
    for person in people:
        if person.disabled:
            continue
        for name in policy.index.eligible(person.name) & near:
            mine = policy.eligibilities(policy.roles[name], person)
            for active in (False, True):
                until = _end([one for one in mine if one.active is active and one.since <= now])
                left = _days_left(until, now)
                if left is not None:
                    yield Due(name, person, active, until, left)


def next_instant(policy: Policy, now: int) -> int:
    """The next time (µs UTC) at which something may be due that is not yet; zero for none."""
    instants = (end - days * DAY_US for end in _ends(policy) for days in (*DAYS_BEFORE, 0) if end - days * DAY_US > now)
    return min(instants, default=0)


def _near(policy: Policy, now: int) -> frozenset[str]:
    """The roles of which something ends soon or has ended not long ago."""
    first, last = now - CLOSES_US, now + max(DAYS_BEFORE) * DAY_US
    written = {role.name for role in policy.roles.values() if any(first < one.until <= last for one in role.eligible)}
    renewed = {one.role for one in policy.renewals if first < one.until <= last and one.role in policy.roles}
    return frozenset(written | renewed)


def _ends(policy: Policy) -> Iterator[int]:
    for role in policy.roles.values():
        yield from (one.until for one in role.eligible if one.until)
    yield from (one.until for one in policy.renewals)


def _end(mine: list[Eligibility]) -> int:
    """When the last of them ends; zero if one never does, or there is none."""
    return 0 if any(one.until == 0 for one in mine) else max((one.until for one in mine), default=0)


def _days_left(until: int, now: int) -> int | None:
    """14, 1 or 0; None if nothing is to be told yet, or it is too long ago."""
    if not until or until - max(DAYS_BEFORE) * DAY_US > now or until <= now - CLOSES_US:
        return None
    if until <= now:
        return 0
    return min(days for days in DAYS_BEFORE if until - days * DAY_US <= now)


def _offer(policy: Policy, role: Role, person: User, now: int) -> tuple[int, int]:
    """The end that could be renewed now, and for how many seconds more; zeros if none could."""
    if not role.renew_s:
        return 0, 0
    what = renewable(policy, role, person, now)
    return (0, 0) if isinstance(what, Refused) else (what.ends_at, role.renew_s)


def _state(one: Eligibility, now: int) -> EntryState:
    if one.since > now:
        return EntryState.COMING
    return EntryState.CURRENT if one.holds_at(now) else EntryState.OVER
