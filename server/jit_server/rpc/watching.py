"""How streams wait: a hint wakes them, and without one they look again after a while (level, not edge: SPEC 5.2)."""

from __future__ import annotations

import asyncio
import contextlib

from jit_protos.v1 import common_pb2
from jit_server.ports import Subscription

LOOK_AGAIN_S = 30.0
_LIVE_STATES = frozenset(
    {
        common_pb2.GRANT_STATE_SCHEDULED,
        common_pb2.GRANT_STATE_ISSUED,
        common_pb2.GRANT_STATE_ACTIVE,
        common_pb2.GRANT_STATE_ENDING,
        common_pb2.GRANT_STATE_UNCONFIRMED,
    }
)


async def woken(subscription: Subscription) -> None:
    """Return when something changed, or when it is time to look anyway."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_AGAIN_S):
            await subscription.wait()


def is_final(request: common_pb2.Request) -> bool:
    """Whether nothing of this request, or of those that were made with it, can change any more."""
    if request.state == common_pb2.REQUEST_STATE_PENDING:
        return False
    pending = common_pb2.REQUEST_STATE_PENDING
    if any(host.state == pending or host.grant_state in _LIVE_STATES for host in request.batch):
        return False
    return not request.HasField("grant") or request.grant.state not in _LIVE_STATES
