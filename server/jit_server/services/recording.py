"""Audit events about requests and grants, with the names they carry (S7)."""

from __future__ import annotations

from jit_server.domain.events import Event, EventKind, JsonValue
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, User
from jit_server.domain.request import AccessRequest
from jit_server.store import Transaction


def host_actor(host: Host) -> str:
    return f"host {host.name}"


async def note_request(
    tx: Transaction,
    kind: EventKind,
    request: AccessRequest,
    *,
    actor: str,
    now: int,
    user: User | None = None,
    host: Host | None = None,
    **details: JsonValue,
) -> None:
    """Append an event about a request; `user` and `host` are looked up unless they are at hand."""
    user = user or await tx.people.get(request.user_id)
    host = host or await tx.hosts.get(request.host_id)
    await tx.audit.append(
        Event(
            at=now,
            kind=kind,
            actor=actor,
            user=user.name if user else "",
            host=host.name if host else "",
            role=request.role,
            request_id=request.request_id,
            details=details,
        )
    )


async def note_grant(
    tx: Transaction,
    kind: EventKind,
    grant: Grant,
    *,
    actor: str,
    now: int,
    user: User | None = None,
    host: Host | None = None,
    **details: JsonValue,
) -> None:
    """Append an event about a grant; `user` and `host` are looked up unless they are at hand."""
    user = user or await tx.people.get(grant.user_id)
    host = host or await tx.hosts.get(grant.host_id)
    await tx.audit.append(
        Event(
            at=now,
            kind=kind,
            actor=actor,
            user=user.name if user else "",
            host=host.name if host else "",
            role=grant.role,
            request_id=grant.request_id,
            grant_id=grant.grant_id,
            details=details,
        )
    )
