"""An eligibility that is to last longer: when that may be asked for, who decides, and what it gives (SPEC 9.7).

Only what ends can be renewed, and only what somebody has to ask for: active assignments come and go with the files.
A renewal hangs on the line of the files that it renews, and ends with it (S10).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from jit_server.domain import lock as locking
from jit_server.domain.identity import Duty, User
from jit_server.domain.policy.decision import Refused, may_decide
from jit_server.domain.policy.model import Eligibility, Policy, Role
from jit_server.domain.request import Decision
from jit_server.domain.span import instant

DAY_US = 86_400 * 1_000_000
OPENS_US = 14 * DAY_US
"""So long before the end it may be asked for."""
CLOSES_US = 30 * DAY_US
"""And so long after it."""
LAPSES_US = 14 * DAY_US
"""So long somebody may take to decide."""


class RenewalState(StrEnum):
    """It begins as pending; what was approved stays so, also when its time is over."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    LAPSED = "lapsed"
    """Nobody decided in time, or there is nothing left to renew."""


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """As stored; times in µs UTC.

    `until` is the end it asks for or, once approved, got; `line_until` the end of the line in the files that it renews.
    `gone_at` is when an approved one ended with that line, zero while it counts.
    """

    renewal_id: str
    role: str
    user_id: str
    asked_at: int
    reason: str
    until: int
    line_until: int
    lapses_at: int
    state: RenewalState = RenewalState.PENDING
    decision: Decision | None = None
    gone_at: int = 0


@dataclass(frozen=True, slots=True)
class Renewable:
    """What may be renewed: the line that ends at `line_until`, by renewals before at `ends_at`; until `until` then."""

    line_until: int
    ends_at: int
    until: int


def renewable(policy: Policy, role: Role, person: User, now: int) -> Renewable | Refused:
    """Say what the person may ask to be renewed now, or why nothing."""
    found = still_renewable(policy, role, person, now)
    if isinstance(found, Refused):
        return found
    what = f"the eligibility of {person.name} for role {role.name}"
    if now < found.ends_at - OPENS_US:
        opens = instant(found.ends_at - OPENS_US)
        return Refused(role.name, f"{what} ends only at {instant(found.ends_at)}", f"ask from {opens} on")
    if now > found.ends_at + CLOSES_US:
        ended = f"{what} ended at {instant(found.ends_at)}, too long ago to be renewed"
        return Refused(role.name, ended, "an administrator can write it into the policy anew")
    return found


def still_renewable(policy: Policy, role: Role, person: User, now: int) -> Renewable | Refused:
    """As `renewable`, of what was asked for in time."""
    lock = locking.on_person(policy.locks, person) or locking.on_role(policy.locks, role.name)
    if person.disabled:
        return Refused("", f"{person.name} is disabled", "an administrator can enable the account: jitctl users enable")
    if lock is not None:
        return Refused(role.name, str(lock), f"ask {lock.created_by}, or an administrator")
    mine = [one for one in policy.eligibilities(role, person) if not one.active and one.since <= now]
    if not mine:
        why = f"{person.name} is not eligible for role {role.name}, so there is nothing to renew"
        return Refused(role.name, why, "jit ls shows what you may ask for")
    if any(one.until == 0 for one in mine):
        return Refused(role.name, f"{person.name} is eligible for role {role.name} without an end")
    if not role.renew_s:
        why = f"eligibilities for role {role.name} are not renewed"
        return Refused(role.name, why, "only a change of the policy makes it last longer")
    line = latest_line(policy, role, person, now)
    if line is None:
        return Refused(role.name, f"what made {person.name} eligible for role {role.name} is no longer in the policy")
    ends_at = max(one.until for one in mine)
    return Renewable(line.until, ends_at, max(ends_at, now) + role.renew_s * 1_000_000)


def latest_line(policy: Policy, role: Role, person: User, now: int) -> Eligibility | None:
    """Of the person's lines in the files that have begun and end, the one that ends last."""
    lines = [
        one
        for one in role.eligible
        if not one.active and one.until and one.since <= now and policy.includes(one.party, person)
    ]
    return max(lines, key=lambda one: one.until, default=None)


def may_decide_on(policy: Policy, role: Role, person_id: str, people: Iterable[User]) -> tuple[User, ...]:
    """Approvers of the role and administrators, by name; never the person (S8), nobody disabled or locked."""
    everybody = tuple(people)
    admins = (
        user
        for user in everybody
        if Duty.ADMIN in user.duties
        and not user.disabled
        and user.user_id != person_id
        and locking.on_person(policy.locks, user) is None
    )
    able = {user.user_id: user for user in (*may_decide(policy, role, person_id, everybody), *admins)}
    return tuple(sorted(able.values(), key=lambda user: user.name))


def hangs_on(policy: Policy, role_name: str, person: User, line_until: int) -> bool:
    """Whether the line that a renewal hangs on is still in the files, and still names the person."""
    role = policy.roles.get(role_name)
    return role is not None and any(
        not one.active and one.until == line_until and policy.includes(one.party, person) for one in role.eligible
    )
