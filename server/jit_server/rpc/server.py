"""The two listeners (SPEC 1.4), their limits (SPEC 7), and how they stop.

A dead peer is found by keepalive pings.  A stopping server takes no new calls, ends its streams with UNAVAILABLE so
that peers connect again, lets calls that are under way finish, and cuts off what is left after the grace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from jit_server.config import Address
from jit_server.errors import JitError
from jit_server.rpc.dispatch import MESSAGE_LIMIT, Calls, Service, handler_of

GRACE_S = 10.0
POLICY_LIMIT = 1024 * 1024 + 64 * 1024
"""SPEC 7: a policy of 1 MiB, and what is around it in its message."""
TO_HOST_LIMIT = 4 * 1024 * 1024

_COMMON: tuple[tuple[str, Any], ...] = (
    # Two servers on one port would share its connections without a word.
    ("grpc.so_reuseport", 0),
    ("grpc.max_send_message_length", TO_HOST_LIMIT),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    # A fleet that comes back at once is queued, not refused at random.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
)
MUTUAL = (
    *_COMMON,
    ("grpc.max_receive_message_length", POLICY_LIMIT),
    ("grpc.max_concurrent_streams", 1_000),
)
BOOTSTRAP = (
    *_COMMON,
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.max_connection_idle_ms", 60_000),
    ("grpc.max_connection_age_ms", 300_000),
)


class CannotListen(JitError):
    """The address cannot be listened on."""

    code = "unavailable"


class Listener:
    """One port with its services."""

    def __init__(
        self,
        address: Address,
        credentials: grpc.ServerCredentials,
        options: Sequence[tuple[str, Any]],
    ) -> None:
        self._calls = Calls()
        self._server = grpc.aio.server(options=list(options))
        try:
            self.port = self._server.add_secure_port(str(address), credentials)
        except RuntimeError:
            raise CannotListen(f"cannot listen on {address}: is another program there?") from None

    def add(self, service: Service[Any]) -> None:
        """Serve this too; before `start`."""
        self._server.add_generic_rpc_handlers((handler_of(service, self._calls),))

    async def start(self) -> None:
        await self._server.start()

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Drain: returns when all calls ended; calls that do not end in `grace_s` seconds are cut off."""
        deadline = asyncio.get_running_loop().time() + grace_s
        self._calls.drain()
        await self._server.stop(grace_s)
        await self._calls.ended(max(1.0, deadline - asyncio.get_running_loop().time()))
