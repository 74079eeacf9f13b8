"""What the policy says to one ask.

The answer is a value, `Allowed` or `Refused`, never a bool; a refusal says why, and what would help.  Behind both stand
the same checks, one after the other, which `weigh` gives whole for those who want to know why (SPEC 9.5).
S8: the requester is never among those who may decide, and people are compared by their immutable ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from jit_server.domain import lock as locking
from jit_server.domain.ask import ALL, Ask, admits, covers, describe, narrowed
from jit_server.domain.grant import Grant, too_large
from jit_server.domain.identity import Host, User
from jit_server.domain.lock import LockKind
from jit_server.domain.policy.check import Check
from jit_server.domain.policy.circumstances import Circumstances
from jit_server.domain.policy.conditions import Facts
from jit_server.domain.policy.model import Eligibility, Policy, Role
from jit_server.domain.span import instant

_NOT_ROLES = frozenset({"person", "host"})
"""Checks that blame no role."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The role fits; `approvers` may decide, the requester never among them.

    `until` is when the right to it ends by itself (µs UTC, zero: it does not): no grant of it lasts longer.  `active`:
    it is the person's without approval, reason and second factor.
    """

    role: Role
    approvers: tuple[User, ...]
    until: int = 0
    active: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not; `role` is empty when no single role is to blame, `hint` says what would work."""

    role: str
    why: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One ask, and all that it is held against.

    `people` are at least those of the role's approvers whom the server knows; `ask` is None for the role as such.
    """

    policy: Policy
    role: Role
    person: User
    host: Host
    ask: Ask | None
    people: Collection[User]
    circumstances: Circumstances

    @property
    def facts(self) -> Facts:
        groups = self.policy.groups_of(self.person)
        return Facts(self.person, groups, self.host, self.role.name, self.ask, self.circumstances)

    @property
    def eligibility(self) -> Eligibility | None:
        """By what the role is theirs when the grant would begin."""
        return self.policy.eligibility(self.role, self.person, self.circumstances.begin)

    @property
    def approvers(self) -> tuple[User, ...]:
        return may_decide(self.policy, self.role, self.person.user_id, self.people)


@dataclass(frozen=True, slots=True)
class Weighing:
    """Every check of one role against one ask, in the order they count, and the verdict."""

    role: Role
    checks: tuple[Check, ...]
    verdict: Allowed | Refused


def may_decide(policy: Policy, role: Role, requester_id: str, people: Iterable[User]) -> tuple[User, ...]:
    """Those who may decide on a request of that person for that role, by name; nobody who is locked."""
    able = (
        user
        for user in people
        if not (user.disabled or user.service)
        and user.user_id != requester_id
        and policy.includes(role.approvers, user)
        and locking.on_person(policy.locks, user) is None
    )
    return tuple(sorted(able, key=lambda user: user.name))


def locked(policy: Policy, user: User, host: Host, role: str = "") -> Refused | None:
    """Say which lock forbids this person, this host or, if one is named, this role; None if none does."""
    lock = locking.on_person(policy.locks, user) or locking.on_host(policy.locks, host)
    lock = lock or locking.on_role(policy.locks, role)
    if lock is None:
        return None
    blamed = role if lock.kind is LockKind.ROLE else ""
    hint = f"{lock.created_by} or an administrator can lift it: jitctl unlock {lock.lock_id}"
    return Refused(blamed, str(lock), hint)


def weigh(case: Case) -> Weighing:
    """Make every check, whatever came of those before; the verdict is that of `evaluate`."""
    checks = tuple(_checks(case))
    failed = next((check for check in checks if not check.passed), None)
    return Weighing(case.role, checks, _allowed(case) if failed is None else _refused(case.role, failed))


def evaluate(case: Case) -> Allowed | Refused:
    """Decide whether this person may ask for this role on this host, for that command if one is given."""
    failed = next((check for check in _checks(case) if not check.passed), None)
    return _allowed(case) if failed is None else _refused(case.role, failed)


def unmet(case: Case) -> Refused | None:
    """Say which of the role's conditions is not met, or None if all are (SPEC 9.2)."""
    if not case.role.when:
        return None
    facts = case.facts
    checks = (condition.check(facts) for condition in case.role.when)
    failed = next((check for check in checks if not check.passed), None)
    return None if failed is None else _refused(case.role, failed)


def ends_by_itself(case: Case) -> int:
    """When the right to the role ends by itself, µs UTC; zero: it does not.  No grant of it lasts longer."""
    eligibility = case.eligibility
    ends = [0 if eligibility is None else eligibility.until]
    if case.role.when:
        facts = case.facts
        ends.extend(condition.holds_until(facts) for condition in case.role.when)
    return min((end for end in ends if end), default=0)


def still_covers(policy: Policy, grant: Grant, user: User, host: Host, at: int) -> Refused | None:
    """S10: say why a live or scheduled grant is no longer within the policy, or None if it is.

    Conditions were for the moment it began; what it may last at most is in its end already.
    """
    role = policy.roles.get(grant.role)
    if role is None:
        return Refused(grant.role, f"role {grant.role} is no longer in the policy")
    checks = (
        *_standing(policy, role, user, host, at),
        *_run_as(role, grant.run_as_user, grant.run_as_group),
    )
    for check in checks:
        if not check.passed:
            return _refused(role, check)
    if not covers(role.commands, grant.commands) or (grant.shell and not role.shell):
        return Refused(role.name, f"role {role.name} no longer allows all of it")
    if role.directory not in ("", grant.directory) or not set(grant.environment) <= set(role.environment):
        return Refused(role.name, f"role {role.name} no longer allows its directory or environment")
    if grant.term_s > role.max_s:
        return Refused(role.name, f"role {role.name} no longer allows so long")
    if role.approvals and not grant.approved_by:
        # It was active, or needed nobody, when it began.
        eligibility = policy.eligibility(role, user, at)
        if eligibility is None or not eligibility.active:
            return Refused(role.name, f"role {role.name} needs an approval by now, and none was given")
    return None


def _refused(role: Role, check: Check) -> Refused:
    return Refused("" if check.rule in _NOT_ROLES else role.name, check.why, check.hint)


def _allowed(case: Case) -> Allowed:
    eligibility = case.eligibility
    active = eligibility is not None and eligibility.active
    return Allowed(case.role, case.approvers, ends_by_itself(case), active)


def _checks(case: Case) -> Iterator[Check]:
    yield from _standing(case.policy, case.role, case.person, case.host, case.circumstances.at)
    if case.circumstances.begin > case.circumstances.at:
        yield _eligible(case.policy, case.role, case.person, case.circumstances.begin)
    if case.ask is not None:
        yield from _asked(case.role, case.ask)
    if case.role.when:
        facts = case.facts
        yield from (condition.check(facts) for condition in case.role.when)
    yield from _concurrent(case.role, case.circumstances)
    yield _size(case.role, case.ask)
    yield _approvals(case)


def _standing(policy: Policy, role: Role, user: User, host: Host, at: int) -> Iterator[Check]:
    if user.disabled:
        hint = "an administrator can enable the account: jitctl users enable"
        yield Check("person", False, f"{user.name} is disabled", hint)
    if host.removed:
        yield Check("host", False, f"host {host.name} was removed")
    lock = locked(policy, user, host, role.name)
    if lock is not None:
        yield Check("lock" if lock.role else "person", False, lock.why, lock.hint)
    yield _eligible(policy, role, user, at)
    reached = role.hosts.matches(host)
    yield Check(
        "hosts",
        reached,
        f"role {role.name} {'reaches' if reached else 'does not reach'} {host.name}",
        "" if reached else f"it is for hosts with {role.hosts}",
    )


def _eligible(policy: Policy, role: Role, user: User, at: int) -> Check:
    if policy.eligibility(role, user, at) is not None:
        return Check("eligible", True, f"{user.name} is eligible for role {role.name}")
    mine = policy.eligibilities(role, user)
    if not mine:
        hint = "jit ls shows what you may ask for"
        return Check("eligible", False, f"{user.name} is not eligible for role {role.name}", hint)
    coming = [one.since for one in mine if one.since > at]
    if coming:
        why = f"{user.name} is eligible for role {role.name} only from {instant(min(coming))}"
        return Check("eligible", False, why)
    why = f"{user.name} was eligible for role {role.name} until {instant(max(one.until for one in mine))}"
    return Check("eligible", False, why, "ask for it to be renewed: jit renew" if role.renew_s else "")


def _asked(role: Role, ask: Ask) -> Iterator[Check]:
    yield from _run_as(role, ask.run_as_user, ask.run_as_group)
    if ask.wants_shell:
        given = role.shell and role.commands == ALL
        hint = "" if given else "name the command to run instead of -s or -i"
        yield Check("shell", given, f"role {role.name} gives {'a' if given else 'no'} shell", hint)
    command = ask.command
    if command is not None:
        fits = admits(role.commands, ask.argv)
        lines = describe(role.commands)
        shown = "; ".join(lines[:5]) + (f"; and {len(lines) - 5} more" if len(lines) > 5 else "")
        why = f"role {role.name} {'allows' if fits else 'does not allow'} {command}"
        yield Check("commands", fits, why, "" if fits else f"it allows: {shown}")


def _run_as(role: Role, run_as_user: str, run_as_group: str) -> Iterator[Check]:
    fits = run_as_user in role.run_as_users
    why = f"role {role.name} {'runs' if fits else 'does not run'} commands as {run_as_user}"
    yield Check("run_as", fits, why, "" if fits else f"it runs them as {', '.join(role.run_as_users)}")
    if run_as_group:
        fits = run_as_group in role.run_as_groups
        allowed = ", ".join(role.run_as_groups) or "no other group"
        why = f"role {role.name} {'runs' if fits else 'does not run'} commands with group {run_as_group}"
        yield Check("run_as_groups", fits, why, "" if fits else f"it allows {allowed}")


def _concurrent(role: Role, circumstances: Circumstances) -> Iterator[Check]:
    limits = role.concurrent
    for limit, live, whose in (
        (limits.person, circumstances.live_of_role, "of yours"),
        (limits.everybody, circumstances.live_of_role_everybody, "of all people"),
    ):
        if limit:
            room = live < limit
            hint = "" if room else "wait until one ends, or end one: jit drop"
            grants = "1 grant" if limit == 1 else f"{limit} grants"
            why = f"role {role.name} gives {grants} at once, and {live} {whose} {'is' if live == 1 else 'are'} live"
            yield Check("concurrent", room, why, hint)


def _size(role: Role, ask: Ask | None) -> Check:
    commands = narrowed(role.commands, ask.argv) if ask is not None and ask.exact else role.commands
    oversize = too_large(commands, role.directory, role.environment)
    if oversize is None:
        return Check("size", True, f"role {role.name} fits into one grant")
    why = f"role {role.name} cannot be granted: {oversize}"
    return Check("size", False, why, "ask for less, or split the role")


def _approvals(case: Case) -> Check:
    role, eligibility = case.role, case.eligibility
    if role.approvals == 0 or (eligibility is not None and eligibility.active):
        return Check("approvals", True, f"role {role.name} needs no approval")
    approvers = case.approvers
    needed = "1 approval" if role.approvals == 1 else f"{role.approvals} approvals"
    able = ", ".join(approver.name for approver in approvers)
    if len(approvers) >= role.approvals:
        return Check("approvals", True, f"role {role.name} needs {needed}, of {able}")
    return Check(
        "approvals",
        False,
        f"role {role.name} needs {needed}, and {f'only {able}' if able else 'nobody'} could give one",
        "an administrator has to name more approvers in the policy",
    )
