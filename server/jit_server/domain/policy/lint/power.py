"""Roles by which somebody can become root for anything, and what should then stand in the way.

That is `commands: ALL` as root, a command that lets out to a shell as root, or a group that is as good as root.
"""

from __future__ import annotations

from collections.abc import Iterator

from jit_server.domain.ask import ALL
from jit_server.domain.grant import Record
from jit_server.domain.policy.lint.escapes import lets_out
from jit_server.domain.policy.lint.rule import LintFinding, Rule, Surroundings
from jit_server.domain.policy.model import ROOT_GROUPS, Role
from jit_server.domain.span import typed

LONG_ROOT_S = 4 * 3_600
LONG_S = 12 * 3_600
DAY_S = 24 * 3_600
OLD_CODE_S = 3_600
LONG_LEASE_S = 15 * 60
MANY_HOSTS = 10

NO_MFA = Rule(
    "root-without-mfa",
    "Whoever takes over a login of the person, or an unlocked terminal, is root.",
    "mfa: true",
)
NO_APPROVAL = Rule(
    "root-without-approval",
    "Nobody sees that somebody becomes root until it has happened.",
    "write approvals: 1 and name approvers, or narrow the commands",
)
LONG_ROOT = Rule(
    "long-root",
    "For more than four hours all of root is a standing right rather than one for a task.",
    "duration: {max: 4h}, or less; a grant can be extended",
)
UNRECORDED = Rule(
    "root-unrecorded",
    "What was done as root cannot be told afterwards.",
    "record: output and recording: required",
)
STANDING = Rule(
    "standing-root",
    "An active eligibility gives all of root at any time, without approval, code and reason.",
    "make it eligible instead of active, or narrow the commands",
)
OLD_CODE = Rule(
    "old-code",
    "A code that was proved over an hour ago says little about who sits there now.",
    "mfa: {age: 15m}",
)
CHANGES_ALONE = Rule(
    "changes-without-approval",
    "A single administrator can give root to anybody, themselves included, by a change of the policy.",
    "changes: {approvers: {groups: [...]}, approvals: 1}",
)
LONG = Rule(
    "long-duration",
    "More than twelve hours is close to a standing right; hosts refuse more than 24h unless their ceiling is raised.",
    "duration: {max: 12h}, or less",
)
LONG_LEASE = Rule(
    "long-lease",
    "A host that is cut off goes on giving root for so long after its grant was revoked.",
    "offline: {lease: 5m}",
)
USELESS_LEASE = Rule(
    "useless-lease",
    "A lease as long as the longest grant ends nothing early.",
    "make the lease shorter than duration.max, or leave offline out",
)
MANY = Rule(
    "many-hosts-without-approval",
    "One request changes more than ten hosts at once, and nobody else has seen it.",
    "write approvals: 1, or a smaller max_hosts",
)
USELESS_MAX_HOSTS = Rule(
    "useless-max-hosts",
    "A request for so many hosts needs more live grants than one person may have of the role.",
    "max_hosts no greater than concurrent.person",
)
RULES = (
    NO_MFA,
    NO_APPROVAL,
    LONG_ROOT,
    UNRECORDED,
    STANDING,
    OLD_CODE,
    CHANGES_ALONE,
    LONG,
    LONG_LEASE,
    USELESS_LEASE,
    MANY,
    USELESS_MAX_HOSTS,
)


def root_by(role: Role) -> str:
    """Say by what the role is as good as all of root; empty: it is not."""
    groups = ROOT_GROUPS.intersection(role.run_as_groups)
    if groups and role.commands == ALL:
        return f"anything with group {min(groups)}"
    if not role.gives_root:
        return ""
    if role.commands == ALL:
        return "all of root"
    for command in role.commands:
        if lets_out(command) is not None:
            return f"{command}, which lets out to a shell of root,"
    return ""


def check(world: Surroundings) -> Iterator[LintFinding]:
    root = False
    for role in world.roles:
        by = root_by(role)
        root = root or role.gives_root or bool(by)
        if by:
            yield from _root(role, by)
        yield from _unrecorded(role, by)
        yield from _time(role)
        yield from _hosts(role)
    if root and not world.policy.changes.approvals:
        yield CHANGES_ALONE.found("the policy gives root, and a change of it needs nobody else", "changes")


def _root(role: Role, by: str) -> Iterator[LintFinding]:
    name = role.name
    if not role.mfa:
        yield NO_MFA.found(f"role {name} gives {by} without a second factor", "mfa", role=name)
    elif role.mfa_age_s > OLD_CODE_S:
        message = f"role {name} gives {by} with a code that is {typed(role.mfa_age_s)} old"
        yield OLD_CODE.found(message, "mfa", role=name)
    if role.approvals == 0:
        yield NO_APPROVAL.found(f"role {name} gives {by} without an approval", "approvals", role=name)
    if LONG_ROOT_S < role.max_s <= LONG_S:
        yield LONG_ROOT.found(f"role {name} gives {by} for {typed(role.max_s)}", "duration", role=name)
    number = 0
    for one in role.eligible:
        if one.active:
            yield STANDING.found(f"role {name} gives {by} to who need not ask", "active", number, role=name)
            number += 1


def _unrecorded(role: Role, by: str) -> Iterator[LintFinding]:
    if role.gives_root and role.record is Record.NONE:
        yield UNRECORDED.found(f"role {role.name} gives root, and nothing is recorded", "record", role=role.name)
    elif by and not role.required:
        message = f"role {role.name} gives {by} even where it cannot be recorded"
        yield UNRECORDED.found(message, "recording", role=role.name)


def _time(role: Role) -> Iterator[LintFinding]:
    if role.max_s > DAY_S:
        message = f"duration: {typed(role.max_s)}, and hosts refuse more than 24h unless their ceiling is raised"
        yield LONG.found(message, "duration", role=role.name)
    elif role.max_s > LONG_S:
        message = f"duration: {typed(role.max_s)} is close to a standing right"
        yield LONG.found(message, "duration", role=role.name)
    if role.lease_s >= role.max_s:
        message = "offline: a lease as long as the longest grant ends nothing early"
        yield USELESS_LEASE.found(message, "offline", role=role.name)
    elif role.gives_root and role.lease_s > LONG_LEASE_S:
        message = f"offline: a host that is cut off gives root for up to {typed(role.lease_s)} longer"
        yield LONG_LEASE.found(message, "offline", role=role.name)


def _hosts(role: Role) -> Iterator[LintFinding]:
    if role.max_hosts > MANY_HOSTS and role.approvals == 0:
        message = f"max_hosts: one request reaches {role.max_hosts} hosts without an approval"
        yield MANY.found(message, "max_hosts", role=role.name)
    limits = [limit for limit in (role.concurrent.person, role.concurrent.everybody) if limit]
    if limits and role.max_hosts > min(limits):
        message = f"max_hosts: {role.max_hosts}, but only {min(limits)} grants may live at once"
        yield USELESS_MAX_HOSTS.found(message, "max_hosts", role=role.name)
