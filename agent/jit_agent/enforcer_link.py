"""The agent's end of the enforcer socket (SPEC 3): connections for requests, for the gate alone, and for endings.

A sudo that waits to be admitted waits behind no grant that is applied or ended.  Answers carry no number, so a request
that was cancelled or timed out takes its connection with it; the next request makes a new one.  Whether a request that
got no answer was done is unknown, and every request may be repeated.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import socket
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from jit_agent import enforcer_wire
from jit_agent.errors import EnforcerUnavailable
from jit_agent.model import Admission, HostStatus, Proof, SignedGrant
from jit_agent.report_model import Applied

MAX_ANSWER = 262_144
MAX_MESSAGE = 300
"""Characters of a message that the enforcer takes (SPEC 3.2)."""
CONNECT_S = 5.0
ADMIT_S = 5.0
REQUEST_S = 30.0
"""Ending a grant loops until its scope is empty, and sync may end many."""


class EnforcerLink:
    """`ports.Enforcer` over the socket; connects when first needed and again after every failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._requests = _Requests(path)
        self._gate = _Requests(path)

    def close(self) -> None:
        self._requests.close()
        self._gate.close()

    async def apply(self, grant: SignedGrant) -> Applied:
        envelope = base64.b64encode(grant.envelope).decode("ascii")
        return enforcer_wire.parse_applied(await self._requests.ask({"op": "apply", "grant": envelope}))

    async def end(self, grant_id: str, reason: str) -> Proof | None:
        return enforcer_wire.parse_ended(await self._requests.ask({"op": "end", "grant": grant_id, "reason": reason}))

    async def sync(self, live: Sequence[str]) -> tuple[str, ...]:
        return enforcer_wire.parse_synced(await self._requests.ask({"op": "sync", "live": list(live)}))

    async def admit(self, client: tuple[str, int], server: tuple[str, int], session_id: str) -> Admission:
        request = {"op": "admit", "client": list(client), "server": list(server), "session": session_id}
        return enforcer_wire.parse_admission(await self._gate.ask(request, timeout_s=ADMIT_S))

    async def freeze(self, session_id: str, message: str) -> bool:
        return await self._order("freeze", session_id, message)

    async def thaw(self, session_id: str, message: str) -> bool:
        return await self._order("thaw", session_id, message)

    async def kill(self, session_id: str, message: str) -> bool:
        return await self._order("kill", session_id, message)

    async def tell(self, session_id: str, message: str) -> bool:
        return await self._order("tell", session_id, message)

    async def _order(self, op: str, session_id: str, message: str) -> bool:
        # What is said must never be why a session is not stopped.
        request = {"op": op, "session": session_id, "message": message[:MAX_MESSAGE]}
        return enforcer_wire.parse_known(await self._requests.ask(request, timeout_s=ADMIT_S))

    async def status(self) -> HostStatus:
        return enforcer_wire.parse_status(await self._requests.ask({"op": "status"}))

    async def reported(self, grant_id: str) -> None:
        await self._requests.ask({"op": "reported", "grant": grant_id})

    async def endings(self) -> AsyncGenerator[Proof | None, None]:
        try:
            connection = await _connect(self._path)
            try:
                enforcer_wire.parse_answer(await _exchange(connection, enforcer_wire.encode({"op": "watch"})))
                yield None
                while True:
                    yield enforcer_wire.parse_event(await _receive(connection))
            finally:
                connection.close()
        except OSError as e:
            raise EnforcerUnavailable(_what(e)) from e


class _Requests:
    """One connection, one request at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: socket.socket | None = None
        self._turn = asyncio.Lock()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def ask(self, request: dict[str, Any], *, timeout_s: float = REQUEST_S) -> dict[str, Any]:
        packet = enforcer_wire.encode(request)
        async with self._turn:
            try:
                async with asyncio.timeout(timeout_s):
                    answer = await self._exchange_or_reconnect(packet)
            except TimeoutError:
                raise EnforcerUnavailable(f"the enforcer did not answer within {timeout_s:.0f} s") from None
            except OSError as e:
                raise EnforcerUnavailable(_what(e)) from e
        return enforcer_wire.parse_answer(answer)

    async def _exchange_or_reconnect(self, packet: bytes) -> bytes:
        if self._connection is not None:
            try:
                return await self._exchange_on(self._connection, packet)
            except OSError:
                # The enforcer restarted since the last request: once more, on a new connection.
                pass
        return await self._exchange_on(await _connect(self._path), packet)

    async def _exchange_on(self, connection: socket.socket, packet: bytes) -> bytes:
        self._connection = None
        try:
            answer = await _exchange(connection, packet)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return answer


async def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        async with asyncio.timeout(CONNECT_S):
            await asyncio.get_running_loop().sock_connect(connection, str(path))
    except BaseException:
        connection.close()
        raise
    return connection


async def _exchange(connection: socket.socket, packet: bytes) -> bytes:
    await asyncio.get_running_loop().sock_sendall(connection, packet)
    return await _receive(connection)


async def _receive(connection: socket.socket) -> bytes:
    packet = await asyncio.get_running_loop().sock_recv(connection, MAX_ANSWER)
    if not packet:
        raise ConnectionResetError(errno.ECONNRESET, "the enforcer closed the connection")
    return packet


def _what(error: OSError) -> str:
    return f"the enforcer does not answer: {error.strerror or error}"
