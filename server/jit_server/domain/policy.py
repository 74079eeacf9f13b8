"""The policy, and what it says to one ask.

Nothing matches by default: a role reaches only the hosts whose labels it names and only the people it lists.  The
answer to an ask is a value, `Allowed` or `Refused`, never a bool; a refusal says why, and what would help.
S8: the requester is never among those who may decide, and people are compared by their immutable ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from jit_server.domain import lock as locking
from jit_server.domain.ask import ALL, Ask, Commands, covers, describe
from jit_server.domain.grant import DEFAULT_RETAIN_S, Grant, Record, too_large
from jit_server.domain.identity import Host, User
from jit_server.domain.lock import Lock, LockKind

DEFAULT_REQUEST_TIMEOUT_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Selector:
    """Hosts that have all of `labels`; no labels select no host, unless `all_hosts`."""

    labels: Mapping[str, str]
    all_hosts: bool = False

    def matches(self, host: Host) -> bool:
        if self.all_hosts:
            return True
        return bool(self.labels) and all(host.labels.get(key) == value for key, value in self.labels.items())


@dataclass(frozen=True, slots=True)
class Party:
    """People, by name and by group."""

    people: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


class Extend(StrEnum):
    """How a live grant of a role comes to last longer."""

    SELF = "self"
    """By the person alone, up to the role's maximum in all; past it like a new request."""
    APPROVAL = "approval"
    """Always like a new request."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Role:
    """What may be done, where, by whom, and under which conditions; durations in seconds.

    `lease_s` zero: grants last until their end though the server is not heard (SPEC 2.6).  `watch_s` zero: sessions run
    unwatched; else they start watched, and one that nobody watches is frozen and killed after so long (SPEC 8.5).
    """

    name: str
    description: str
    hosts: Selector
    run_as_users: tuple[str, ...]
    run_as_groups: tuple[str, ...]
    commands: Commands
    shell: bool
    eligible: Party
    approvers: Party
    approvals: int
    default_s: int
    max_s: int
    request_timeout_s: int = DEFAULT_REQUEST_TIMEOUT_S
    mfa: bool = True
    reason: bool = True
    ticket: bool = False
    record: Record = Record.OUTPUT
    extend: Extend = Extend.SELF
    lease_s: int = 0
    required: bool = True
    """No record, no command (S5)."""
    subcommands: bool = False
    watch_s: int = 0
    retain_s: int = DEFAULT_RETAIN_S

    @property
    def terms(self) -> tuple[object, ...]:
        """What an approver relies on; a pending request does not outlive a change of it."""
        return (
            self.run_as_users,
            self.run_as_groups,
            self.commands,
            self.shell,
            self.approvals,
            self.mfa,
            self.record,
            self.extend,
            self.lease_s,
            self.required,
            self.subcommands,
            self.watch_s,
            self.retain_s,
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """All roles of one version, and the locks that stand now, which no version has.

    Version 0 is the policy before the first, which allows nothing.
    """

    version: int
    groups: Mapping[str, frozenset[str]]
    roles: Mapping[str, Role]
    locks: tuple[Lock, ...] = ()

    def includes(self, party: Party, user: User) -> bool:
        if user.name in party.people:
            return True
        return any(user.name in self.groups.get(group, frozenset()) for group in party.groups)

    def groups_of(self, user: User) -> tuple[str, ...]:
        return tuple(sorted(name for name, members in self.groups.items() if user.name in members))

    def approver_of(self, user: User) -> frozenset[str]:
        """The roles this person may decide on; none for a disabled person."""
        if user.disabled:
            return frozenset()
        return frozenset(role.name for role in self.roles.values() if self.includes(role.approvers, user))


NO_POLICY = Policy(0, {}, {})


@dataclass(frozen=True, slots=True)
class Allowed:
    """The role fits; `approvers` may decide, the requester never among them."""

    role: Role
    approvers: tuple[User, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not; `role` is empty when no single role is to blame, `hint` says what would work."""

    role: str
    why: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """One policy file as it was given; `name` is for messages only."""

    name: str
    text: str


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the lint has to say; line and column from 1, zero when it is about the whole file."""

    file: str
    line: int
    column: int
    severity: Severity
    message: str


def may_decide(policy: Policy, role: Role, requester_id: str, people: Iterable[User]) -> tuple[User, ...]:
    """Those who may decide on a request of that person for that role, by name; nobody who is locked."""
    able = (
        user
        for user in people
        if not user.disabled
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


def evaluate(
    policy: Policy, role: Role, user: User, host: Host, ask: Ask | None, *, people: Collection[User]
) -> Allowed | Refused:
    """Decide whether this person may ask for this role on this host, for that command if one is given."""
    standing = _standing(policy, role, user, host)
    if standing is not None:
        return standing
    if ask is not None:
        mismatch = _mismatch(role, ask)
        if mismatch is not None:
            return mismatch
    exact = ask.command if ask is not None and ask.exact else None
    oversize = too_large(role.commands if exact is None else (exact,))
    if oversize is not None:
        return Refused(role.name, f"role {role.name} cannot be granted: {oversize}", "ask for less, or split the role")
    approvers = may_decide(policy, role, user.user_id, people)
    if len(approvers) < role.approvals:
        needed = "1 approval" if role.approvals == 1 else f"{role.approvals} approvals"
        able = f"only {', '.join(approver.name for approver in approvers)}" if approvers else "nobody"
        return Refused(
            role.name,
            f"role {role.name} needs {needed}, and {able} could give one",
            "an administrator has to name more approvers in the policy",
        )
    return Allowed(role, approvers)


def still_covers(policy: Policy, grant: Grant, user: User, host: Host) -> Refused | None:
    """S10: say why a live or scheduled grant is no longer within the policy, or None if it is."""
    role = policy.roles.get(grant.role)
    if role is None:
        return Refused(grant.role, f"role {grant.role} is no longer in the policy")
    standing = _standing(policy, role, user, host)
    if standing is not None:
        return standing
    run_as = _run_as_mismatch(role, grant.run_as_user, grant.run_as_group)
    if run_as is not None:
        return run_as
    if not covers(role.commands, grant.commands) or (grant.shell and not role.shell):
        return Refused(role.name, f"role {role.name} no longer allows all of it")
    if grant.term_s > role.max_s:
        return Refused(role.name, f"role {role.name} no longer allows so long")
    return None


def _standing(policy: Policy, role: Role, user: User, host: Host) -> Refused | None:
    if user.disabled:
        return Refused("", f"{user.name} is disabled", "an administrator can enable the account: jitctl users enable")
    if host.removed:
        return Refused("", f"host {host.name} was removed")
    lock = locked(policy, user, host, role.name)
    if lock is not None:
        return lock
    if not policy.includes(role.eligible, user):
        return Refused(
            role.name, f"{user.name} is not eligible for role {role.name}", "jit ls shows what you may ask for"
        )
    if not role.hosts.matches(host):
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(role.hosts.labels.items())) or "no host"
        return Refused(role.name, f"role {role.name} does not reach {host.name}", f"it is for hosts with {wanted}")
    return None


def _run_as_mismatch(role: Role, run_as_user: str, run_as_group: str) -> Refused | None:
    if run_as_user not in role.run_as_users:
        return Refused(
            role.name,
            f"role {role.name} does not run commands as {run_as_user}",
            f"it runs them as {', '.join(role.run_as_users)}",
        )
    if run_as_group and run_as_group not in role.run_as_groups:
        allowed = ", ".join(role.run_as_groups) or "no other group"
        return Refused(
            role.name, f"role {role.name} does not run commands with group {run_as_group}", f"it allows {allowed}"
        )
    return None


def _mismatch(role: Role, ask: Ask) -> Refused | None:
    run_as = _run_as_mismatch(role, ask.run_as_user, ask.run_as_group)
    if run_as is not None:
        return run_as
    if ask.wants_shell and not (role.shell and role.commands == ALL):
        return Refused(role.name, f"role {role.name} gives no shell", "name the command to run instead of -s or -i")
    command = ask.command
    if command is not None and not covers(role.commands, (command,)):
        lines = describe(role.commands)
        shown = "; ".join(lines[:5]) + (f"; and {len(lines) - 5} more" if len(lines) > 5 else "")
        return Refused(role.name, f"role {role.name} does not allow {command}", f"it allows: {shown}")
    return None
