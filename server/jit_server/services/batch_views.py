"""How the hosts of a request for several stand, for the views."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.store import Transaction


@dataclass(frozen=True, slots=True)
class BatchHostView:
    """One host of a request for several; without a request it was left out, and `why` says why."""

    host: str
    request_id: str = ""
    state: RequestState | None = None
    grant_state: GrantState | None = None
    why: str = ""


async def batch_hosts(
    tx: Transaction, batch_ids: Collection[str], host_name: Callable[[str], Awaitable[str]]
) -> Mapping[str, tuple[BatchHostView, ...]]:
    """All hosts of each batch by name, those that were left out last."""
    if not batch_ids:
        return {}
    batches = await tx.batches.of(batch_ids)
    requests = await tx.requests.of_batches(batch_ids)
    grants = await tx.grants.of_requests([request.request_id for request in requests])
    found: dict[str, list[BatchHostView]] = defaultdict(list)
    for request in requests:
        name, grant = await host_name(request.host_id), grants.get(request.request_id)
        why = batches[request.batch_id].left_out.get(name, "")
        state = None if grant is None else grant.state
        found[request.batch_id].append(BatchHostView(name, request.request_id, request.state, state, why))
    for batch_id, batch in batches.items():
        mine = {one.host for one in found[batch_id]}
        found[batch_id].sort(key=lambda one: one.host)
        found[batch_id] += [
            BatchHostView(name, why=why) for name, why in sorted(batch.left_out.items()) if name not in mine
        ]
    return {batch_id: tuple(hosts) for batch_id, hosts in found.items()}
