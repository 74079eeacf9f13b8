"""Whether a live grant may last longer, and what that takes (SPEC 4.2 `extend`).

Within the role's maximum the person decides alone.  Past it, or where the role says so, an extension is asked for like
a new grant of that length.  S10: the policy, eligibility and locks are asked again each time.
"""

from __future__ import annotations

from dataclasses import dataclass

from jit_server.domain.grant import Grant, remaining_s
from jit_server.domain.identity import Host, User
from jit_server.domain.lifecycle import LIVE, GrantState
from jit_server.domain.policy.decision import Refused, still_covers
from jit_server.domain.policy.model import Extend, Policy, Role
from jit_server.domain.span import typed


@dataclass(frozen=True, slots=True)
class AtOnce:
    """The person may have it now."""

    role: Role
    duration_s: int


@dataclass(frozen=True, slots=True)
class LikeNew:
    """It takes all that a new request takes; `why` says why it does, `free_s` how much longer it may last without."""

    role: Role
    duration_s: int
    why: str
    free_s: int


def closed(grant: Grant, now: int) -> str | None:
    """Say why this grant cannot be extended any more, or not yet; None if it can."""
    if grant.state is GrantState.SCHEDULED:
        return f"{grant.grant_id} has not started yet, so it cannot be extended"
    if grant.state not in LIVE:
        return f"{grant.grant_id} is {grant.state.value}, so it cannot be extended"
    if grant.due_at <= now:
        return f"the time of {grant.grant_id} is up, so it cannot be extended"
    return None


def weigh(
    policy: Policy, grant: Grant, user: User, host: Host, *, duration_s: int, at: int
) -> AtOnce | LikeNew | Refused:
    """Decide on `duration_s` more seconds (zero: the role's default) for a grant that is not `closed`."""
    standing = still_covers(policy, grant, user, host, at)
    if standing is not None:
        return standing
    role = policy.roles[grant.role]
    if role.extend is Extend.NEVER:
        return Refused(role.name, f"grants of role {role.name} are not extended", "ask anew when it has ended")
    more_s = duration_s or role.default_s
    if role.extend is Extend.APPROVAL:
        return LikeNew(role, more_s, f"role {role.name} extends nothing without that", 0)
    free_s = max(0, role.max_s - (grant.not_after - grant.not_before) // 1_000_000)
    if more_s <= free_s:
        return AtOnce(role, more_s)
    return LikeNew(role, more_s, f"past the maximum of role {role.name}, {typed(role.max_s)} in all", free_s)


def reach_s(role: Role, grant: Grant, now: int) -> int:
    """How many more seconds nobody's approval is worth: as far from now as a new grant of the role would reach.

    Without this bound one extension after the other would make a right without an end, and nobody would be asked.
    """
    return max(0, role.max_s - remaining_s(grant.not_after, now))
