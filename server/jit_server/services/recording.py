"""Audit events about requests, grants and sessions, with the names they carry (S7)."""

from __future__ import annotations

from collections.abc import Mapping

from jit_server.domain.events import Event, EventKind, JsonValue
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, User
from jit_server.domain.request import AccessRequest
from jit_server.domain.session import Session
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
    """Append an event about a request, of an extension about its grant too.

    `user` and `host` are looked up unless they are at hand.
    """
    await _note(tx, kind, request, request.extends, actor=actor, now=now, user=user, host=host, details=details)


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
    await _note(tx, kind, grant, grant.grant_id, actor=actor, now=now, user=user, host=host, details=details)


async def note_session(
    tx: Transaction, kind: EventKind, session: Session, *, actor: str, now: int, **details: JsonValue
) -> None:
    """Append an event about a session or its recording."""
    await tx.audit.append(
        Event(
            at=now,
            kind=kind,
            actor=actor,
            user=session.user,
            host=session.host,
            role=session.role,
            request_id=session.request_id,
            grant_id=session.grant_id,
            details={"session": session.session_id, **details},
        )
    )


async def _note(
    tx: Transaction,
    kind: EventKind,
    about: AccessRequest | Grant,
    grant_id: str,
    *,
    actor: str,
    now: int,
    user: User | None,
    host: Host | None,
    details: Mapping[str, JsonValue],
) -> None:
    user = user or await tx.people.get(about.user_id)
    host = host or await tx.hosts.get(about.host_id)
    await tx.audit.append(
        Event(
            at=now,
            kind=kind,
            actor=actor,
            user=user.name if user else "",
            host=host.name if host else "",
            role=about.role,
            request_id=about.request_id,
            grant_id=grant_id,
            details=details,
        )
    )
