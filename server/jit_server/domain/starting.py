"""S10: whether a grant that was agreed on before may start now that its time has come."""

from __future__ import annotations

from collections.abc import Collection

from jit_server.domain.grant import Grant, Record
from jit_server.domain.identity import Host, User
from jit_server.domain.policy.decision import Refused, may_decide, still_covers
from jit_server.domain.policy.model import Policy, Role
from jit_server.domain.request import AccessRequest


def refusal(
    policy: Policy, grant: Grant, request: AccessRequest, user: User, host: Host, *, people: Collection[User], at: int
) -> Refused | None:
    """Say why it may not, or None if the policy, the locks and those who approved still stand behind it."""
    standing = still_covers(policy, grant, user, host, at)
    if standing is not None:
        return standing
    role = policy.roles[grant.role]
    eligibility = policy.eligibility(role, user, at)
    active = eligibility is not None and eligibility.active
    if role.mfa and not (active or request.mfa_passed):
        return Refused(role.name, f"role {role.name} wants a second factor by now, and none was shown")
    if _is_laxer(grant, role):
        return Refused(role.name, f"role {role.name} is recorded more closely by now")
    if role.watch_s and not 0 < grant.watch_s <= role.watch_s:
        return Refused(role.name, f"role {role.name} is watched more closely by now")
    return None if active else _too_few(policy, role, grant, request, people)


def _too_few(
    policy: Policy, role: Role, grant: Grant, request: AccessRequest, people: Collection[User]
) -> Refused | None:
    able = {user.user_id for user in may_decide(policy, role, grant.user_id, people)}
    counted = len(able.intersection(grant.approved_by))
    needed = max(role.approvals, request.approvals_needed)
    if counted >= needed:
        return None
    approvals = "1 approval" if needed == 1 else f"{needed} approvals"
    return Refused(role.name, f"role {role.name} needs {approvals}, and of those given only {counted} still count")


def _is_laxer(grant: Grant, role: Role) -> bool:
    """Whether less would be kept of the grant's sessions than the role wants now."""
    if _strictness(role.record) > _strictness(grant.record):
        return True
    return (role.required and not grant.required) or (role.subcommands and not grant.subcommands)


def _strictness(record: Record) -> int:
    return list(Record).index(record)
