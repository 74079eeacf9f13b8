"""How rights and asks end before their time: the one place that does it (S6, S10).

Ending needs no policy and no host.  A grant for which no bytes were ever signed is over at once, for no host can hold
it; any other one waits, as `ending`, for the host's word.
"""

from __future__ import annotations

from collections.abc import Iterable

from jit_server.domain.events import EventKind
from jit_server.domain.grant import Grant
from jit_server.domain.lifecycle import LIVE, GrantMove, RequestMove, RequestState
from jit_server.domain.request import AccessRequest
from jit_server.errors import Conflict
from jit_server.services.recording import note_grant, note_request
from jit_server.store import Scope, Transaction


async def end_grant(
    tx: Transaction, grant: Grant, *, kind: EventKind, actor: str, now: int, end_reason: str, why: str = ""
) -> None:
    """End a live grant; raises `Conflict` if it is no longer live.

    `kind` is `grant.revoked` or `grant.drop_asked`, `end_reason` revoked or dropped, `why` what a person said.
    """
    if grant.state not in LIVE:
        raise Conflict(f"the grant is already {grant.state.value}")
    generation = await tx.hosts.raise_generation(grant.host_id)
    await note_grant(tx, kind, grant, actor=actor, now=now, reason=why)
    if grant.signature is None:
        await tx.grants.move(grant, GrantMove.END, ended_at=now, end_reason=end_reason, left_set_at=generation)
        await note_grant(
            tx, EventKind.GRANT_ENDED, grant, actor=actor, now=now, reason=end_reason, proof="it was never signed"
        )
    else:
        await tx.grants.move(grant, GrantMove.REVOKE, end_reason=end_reason, left_set_at=generation)


async def end_all(tx: Transaction, grants: Iterable[Grant], *, actor: str, now: int, why: str) -> int:
    """Revoke those that are live; return how many were."""
    live = [grant for grant in grants if grant.state in LIVE]
    for grant in live:
        await end_grant(tx, grant, kind=EventKind.GRANT_REVOKED, actor=actor, now=now, end_reason="revoked", why=why)
    return len(live)


async def cancel_all(tx: Transaction, requests: Iterable[AccessRequest], *, actor: str, now: int, why: str) -> None:
    """Cancel those that are pending."""
    for request in requests:
        if request.state is RequestState.PENDING:
            await tx.requests.move(request, RequestMove.CANCEL)
            await note_request(tx, EventKind.REQUEST_CANCELLED, request, actor=actor, now=now, reason=why)


async def end_everything(tx: Transaction, scope: Scope, *, actor: str, now: int, why: str) -> int:
    """Revoke every live grant in the scope and cancel every pending request; return the number of grants."""
    ended = await end_all(tx, await tx.grants.select(scope, states=LIVE), actor=actor, now=now, why=why)
    pending = await tx.requests.select(scope, states=(RequestState.PENDING,))
    await cancel_all(tx, pending, actor=actor, now=now, why=why)
    return ended
