"""What HostService offers about sessions: `FakeRecordings` takes chunks, and people are told what a test says."""

# ruff: noqa: N802 (gRPC names the methods)
from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from jit_protos.v1 import host_pb2, host_pb2_grpc, sessions_pb2
from jit_testing.fake_recordings import FakeRecordings


def session(session_id: str = "ses-0000000000000001", **changes: Any) -> sessions_pb2.Session:
    """One that ended well, as the server tells it."""
    fields: dict[str, Any] = {
        "session_id": session_id,
        "grant_id": "gnt-0000000000000001",
        "role": "web-operator",
        "user": "alice",
        "host": "web1",
        "run_as_user": "root",
        "command": "/usr/bin/id",
        "argv": ["/usr/bin/id"],
        "state": sessions_pb2.SESSION_STATE_ENDED,
        "started_at": 1_700_000_000_000_000,
        "ended_at": 1_700_000_001_000_000,
        "record": "output",
        "recording": sessions_pb2.RECORDING_STATE_WHOLE,
    }
    return sessions_pb2.Session(**(fields | changes))


class FakeSessionCalls(host_pb2_grpc.HostServiceServicer):
    """Part of `FakeServer`."""

    def __init__(self) -> None:
        self.recordings = FakeRecordings()
        self.sessions: list[sessions_pb2.SessionDetails] = []

    async def _ask(self, request: Any, context: Any) -> None:
        raise NotImplementedError

    async def Record(
        self, request_iterator: AsyncIterator[sessions_pb2.RecordingPiece], context: Any
    ) -> AsyncIterator[host_pb2.RecordingKept]:
        async with aclosing(self.recordings.take(request_iterator, context)) as kept:
            async for word in kept:
                yield word

    async def ListMySessions(
        self, request: host_pb2.LocalListSessionsRequest, context: Any
    ) -> sessions_pb2.ListSessionsResponse:
        await self._ask(request, context)
        found = [details.session for details in self.sessions[: request.limit]]
        return sessions_pb2.ListSessionsResponse(sessions=found, truncated=len(found) < len(self.sessions))

    async def GetMySession(self, request: host_pb2.LocalSessionRef, context: Any) -> sessions_pb2.SessionDetails:
        await self._ask(request, context)
        found = next((one for one in self.sessions if one.session.session_id.startswith(request.session_id)), None)
        if found is None:
            metadata = (("jit-error-code", "not_found"), ("jit-error-hint", "jit log"))
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such session", trailing_metadata=metadata)
            raise AssertionError
        return found
