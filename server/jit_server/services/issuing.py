"""The moment a request becomes a right, or more of one: clocks start, and the host's desired state changes with it."""

from __future__ import annotations

from jit_server.domain.ask import ALL, narrowed
from jit_server.domain.events import EventKind, JsonValue
from jit_server.domain.grant import Grant, remaining_s
from jit_server.domain.identity import Host, User
from jit_server.domain.ids import Kind, RandomBytes, new_id
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.policy.model import Role
from jit_server.domain.request import AccessRequest
from jit_server.domain.span import instant
from jit_server.errors import Denied
from jit_server.services.recording import note_grant
from jit_server.store import Transaction


async def issue(
    tx: Transaction,
    request: AccessRequest,
    role: Role,
    *,
    user: User,
    host: Host,
    approved_by: tuple[str, ...],
    actor: str,
    now: int,
    until: int,
    random_bytes: RandomBytes,
) -> Grant:
    """Store the grant of an approved request, its event, and the host's new generation.

    It ends by `until` (µs UTC, zero: no such end), when the right to the role ends by itself.

    One whose start is still to come is scheduled, and no host hears of it.  One that was asked for from an earlier
    start keeps the end that goes with that.
    """
    commands = narrowed(role.commands, request.ask.argv) if request.ask.exact else role.commands
    term_s = min(request.duration_s, role.max_s)
    scheduled = request.starts_at > now
    not_before = request.starts_at if scheduled else now
    not_after = (request.starts_at or now) + term_s * 1_000_000
    if 0 < until < not_after:
        not_after, term_s = until, remaining_s(until, not_before)
    grant = Grant(
        grant_id=new_id(Kind.GRANT, random_bytes),
        request_id=request.request_id,
        user_id=user.user_id,
        host_id=host.host_id,
        role=role.name,
        local_user=request.local_user,
        run_as_user=request.ask.run_as_user,
        run_as_group=request.ask.run_as_group,
        commands=commands,
        shell=role.shell and commands == ALL,
        record=role.record,
        state=GrantState.SCHEDULED if scheduled else GrantState.ISSUED,
        not_before=not_before,
        not_after=not_after,
        reason=request.reason,
        approved_by=approved_by,
        term_s=term_s,
        once=request.once,
        session=request.session,
        lease_s=role.lease_s,
        required=role.required,
        subcommands=role.subcommands,
        watch_s=role.watch_s,
        retain_s=role.retain_s,
        directory=role.directory,
        environment=role.environment,
    )
    await tx.grants.add(grant)
    if not scheduled:
        await tx.hosts.raise_generation(host.host_id)
    kind = EventKind.GRANT_SCHEDULED if scheduled else EventKind.GRANT_ISSUED
    await note_grant(tx, kind, grant, actor=actor, now=now, user=user, host=host, **terms(grant))
    return grant


def terms(grant: Grant) -> dict[str, JsonValue]:
    """What the event of a grant that begins tells of it."""
    return {
        "not_before": grant.not_before,
        "not_after": grant.not_after,
        "run_as": grant.run_as_user,
        "reason": grant.reason,
        "once": grant.once,
        "session": grant.session,
        "lease_s": grant.lease_s,
        "record": grant.record.value,
        "watch_s": grant.watch_s,
    }


async def prolong(
    tx: Transaction,
    request: AccessRequest,
    grant: Grant,
    *,
    user: User,
    host: Host,
    actor: str,
    now: int,
    until: int,
    alone: bool,
) -> Grant:
    """Store the new end of the live grant an approved request extends, its event, and the host's new generation.

    `until` as in `issue`.  `alone`: within the role's maximum, so that the grant's whole length counts as given at
    once.  Raises `Denied` if the right to the role ends with the grant already.
    """
    new_end = grant.not_after + request.duration_s * 1_000_000
    if 0 < until < new_end:
        new_end = until
    if new_end <= grant.not_after:
        raise Denied(
            f"the right to role {grant.role} ends at {instant(until)}, and {grant.grant_id} lasts until then already"
        )
    term_s = remaining_s(new_end, grant.not_before) if alone else request.duration_s
    longer = await tx.grants.extend(grant, new_end, max(grant.term_s, term_s))
    await tx.hosts.raise_generation(host.host_id)
    await note_grant(
        tx,
        EventKind.GRANT_EXTENDED,
        longer,
        actor=actor,
        now=now,
        user=user,
        host=host,
        request=request.request_id,
        duration_s=request.duration_s,
        old_end=grant.not_after,
        new_end=new_end,
    )
    return longer
