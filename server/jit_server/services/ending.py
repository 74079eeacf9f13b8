"""How rights and asks end before their time: the one place that does it (S6, S10).

Ending needs no policy and no host.  A grant for which no bytes were ever signed is over at once, for no host can hold
it; any other one waits, as `ending`, for the host's word.  With a grant go the requests for more of its time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jit_server.domain.events import SERVER, EventKind
from jit_server.domain.grant import Grant
from jit_server.domain.lifecycle import REVOCABLE, GrantMove, GrantState, RequestMove, RequestState
from jit_server.domain.request import AccessRequest
from jit_server.errors import Conflict
from jit_server.services.recording import note_grant, note_request
from jit_server.store import Transaction
from jit_server.store_values import Scope


async def end_grant(
    tx: Transaction, grant: Grant, *, kind: EventKind, actor: str, now: int, end_reason: str, why: str = ""
) -> None:
    """End a live or scheduled grant; raises `Conflict` if it is neither any more.

    `kind` is `grant.revoked` or `grant.drop_asked`, `end_reason` revoked or dropped, `why` what a person said.
    """
    if grant.state not in REVOCABLE:
        raise Conflict(f"the grant is already {grant.state.value}")
    scheduled = grant.state is GrantState.SCHEDULED
    generation = 0 if scheduled else await tx.hosts.raise_generation(grant.host_id)
    await note_grant(tx, kind, grant, actor=actor, now=now, reason=why)
    if grant.signature is None:
        await tx.grants.move(grant, GrantMove.END, ended_at=now, end_reason=end_reason, left_set_at=generation)
        proof = "it had not started" if scheduled else "it was never signed"
        await note_grant(tx, EventKind.GRANT_ENDED, grant, actor=actor, now=now, reason=end_reason, proof=proof)
    else:
        await tx.grants.move(grant, GrantMove.REVOKE, end_reason=end_reason, left_set_at=generation, ending_since=now)
    await cancel_extensions(tx, grant, now=now)


async def end_all(tx: Transaction, grants: Iterable[Grant], *, actor: str, now: int, why: str) -> int:
    """Revoke those that are live or scheduled; return how many were."""
    live = [grant for grant in grants if grant.state in REVOCABLE]
    for grant in live:
        await end_grant(tx, grant, kind=EventKind.GRANT_REVOKED, actor=actor, now=now, end_reason="revoked", why=why)
    return len(live)


async def cancel_all(tx: Transaction, requests: Iterable[AccessRequest], *, actor: str, now: int, why: str) -> int:
    """Cancel those that are pending; return how many were."""
    pending = [request for request in requests if request.state is RequestState.PENDING]
    for request in pending:
        await tx.requests.move(request, RequestMove.CANCEL)
        await note_request(tx, EventKind.REQUEST_CANCELLED, request, actor=actor, now=now, reason=why)
    return len(pending)


async def cancel_extensions(tx: Transaction, grant: Grant, *, now: int) -> None:
    """Cancel what asks for more time of a grant that ends."""
    await cancel_all(
        tx, await tx.requests.extending(grant.grant_id), actor=SERVER, now=now, why=f"{grant.grant_id} has ended"
    )


@dataclass(frozen=True, slots=True)
class Swept:
    """How many grants were ended and pending requests cancelled."""

    grants: int
    requests: int


async def end_everything(tx: Transaction, scope: Scope, *, actor: str, now: int, why: str) -> Swept:
    """Revoke every live or scheduled grant in the scope and cancel every pending request."""
    pending = await tx.requests.select(scope, states=(RequestState.PENDING,))
    cancelled = await cancel_all(tx, pending, actor=actor, now=now, why=why)
    grants = await tx.grants.select(scope, states=REVOCABLE)
    return Swept(await end_all(tx, grants, actor=actor, now=now, why=why), cancelled)
