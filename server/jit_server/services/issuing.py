"""The moment a request becomes a grant: its clock starts now, and the host's desired state changes with it."""

from __future__ import annotations

from jit_server.domain.ask import ALL
from jit_server.domain.events import EventKind
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, User
from jit_server.domain.ids import Kind, RandomBytes, new_id
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.policy import Role
from jit_server.domain.request import AccessRequest
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
    random_bytes: RandomBytes,
) -> Grant:
    """Store the grant of an approved request, its event, and the host's new generation."""
    exact = request.ask.command if request.ask.exact else None
    commands = role.commands if exact is None else (exact,)
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
        state=GrantState.ISSUED,
        not_before=now,
        not_after=now + min(request.duration_s, role.max_s) * 1_000_000,
        reason=request.reason,
        approved_by=approved_by,
    )
    await tx.grants.add(grant)
    await tx.hosts.raise_generation(host.host_id)
    await note_grant(
        tx,
        EventKind.GRANT_ISSUED,
        grant,
        actor=actor,
        now=now,
        user=user,
        host=host,
        not_after=grant.not_after,
        run_as=grant.run_as_user,
        reason=grant.reason,
    )
    return grant
