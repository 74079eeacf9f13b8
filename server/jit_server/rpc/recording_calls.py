"""The calls of SessionService about recordings: reading one, as it comes too, and comparing all with the audit log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from jit_protos.v1 import sessions_pb2
from jit_server.domain.session import RecordingState
from jit_server.errors import Invalid, Unauthenticated
from jit_server.ports import Changes, Clock, Subscription
from jit_server.rpc import recording_wire, wire
from jit_server.rpc.finishing import finished
from jit_server.rpc.identity import LoggedIn
from jit_server.services import Services
from jit_server.services.sessions import SessionView

LOOK_AGAIN_S = 0.3
"""A chunk that another server took is seen after so long."""
RENEW_S = 2.0
"""A watcher counts for 5 s."""
PATIENCE_S = 10.0
"""So long after a session's end its last chunks are waited for."""
PAGE = 50

Pieces = AsyncGenerator[sessions_pb2.RecordingPiece, None]


class RecordingCalls:
    """Turns messages into calls of the recording and verification services."""

    def __init__(self, services: Services, changes: Changes, clock: Clock) -> None:
        self._services = services
        self._changes = changes
        self._clock = clock

    async def read(self, caller: LoggedIn, request: sessions_pb2.ReadRecordingRequest) -> Pieces:
        """The session, its chunks from `first_chunk` on, and the session again whenever it changes."""
        wanted = wire.required(request.session_id, "the id of the session")
        view = await finished(self._services.sessions.view(caller.person, wanted))
        session_id = view.session.session_id
        reading = _Reading(self._services, caller, session_id, request.first_chunk)
        with self._changes.subscribe([session_id]) as changed:
            if request.watch:
                pieces = self._follow(reading, changed)
            else:
                await finished(self._services.recordings.note_replay(caller.person, session_id))
                pieces = reading.pieces()
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    yield piece

    async def verify(
        self, caller: LoggedIn, request: sessions_pb2.VerifyRecordingsRequest
    ) -> AsyncGenerator[sessions_pb2.RecordingVerdict, None]:
        """A verdict as soon as it is found."""
        if request.since < 0 or request.until < 0:
            raise Invalid("since and until are no times")
        wanted = wire.bounded(request.session_id, "the id of the session")
        verdicts = self._services.verification.verify(caller.person, wanted, since=request.since, until=request.until)
        async with contextlib.aclosing(verdicts):
            while (verdict := await finished(anext(verdicts, None))) is not None:
                yield recording_wire.verdict_message(verdict)

    async def _follow(self, reading: _Reading, changed: Subscription) -> Pieces:
        """Go on until the session has ended and its last chunks are here; whoever reads is a watcher meanwhile."""
        caller = reading.caller
        await finished(self._services.sessions.watching(caller.person, reading.session_id))
        watching = asyncio.create_task(self._keep_watching(caller, reading.session_id))
        ended_at: float | None = None
        try:
            while True:
                async with contextlib.aclosing(reading.pieces()) as pieces:
                    async for piece in pieces:
                        yield piece
                now = asyncio.get_running_loop().time()
                if reading.shown is not None and reading.shown.session.is_over:
                    ended_at = ended_at or now
                    if reading.shown.session.recording is not RecordingState.ARRIVING or now > ended_at + PATIENCE_S:
                        return
                if watching.done():
                    watching.result()
                if self._clock.now() >= caller.expires_at:
                    raise Unauthenticated("the client certificate has expired", hint="log in again: jitctl login")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_S):
                        await changed.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _keep_watching(self, caller: LoggedIn, session_id: str) -> None:
        # Not between two pieces: a reader that takes its time still watches.
        while True:
            await asyncio.sleep(RENEW_S)
            await finished(self._services.sessions.watching(caller.person, session_id))


class _Reading:
    """How far somebody has read: `next` is the chunk they want next, `shown` the session as they know it."""

    def __init__(self, services: Services, caller: LoggedIn, session_id: str, first: int) -> None:
        self.caller = caller
        self.session_id = session_id
        self.shown: SessionView | None = None
        self._services = services
        self._next = first

    async def pieces(self) -> Pieces:
        """What there is that they have not read, up to the last chunk there is."""
        while True:
            view = await finished(self._services.sessions.view(self.caller.person, self.session_id))
            if view != self.shown:
                self.shown = view
                yield recording_wire.session_piece(view)
            page = await finished(self._services.recordings.chunks(self.session_id, self._next, PAGE))
            for chunk in page:
                content = await finished(self._services.recordings.content(chunk))
                for piece in recording_wire.pieces(chunk, content):
                    yield piece
                self._next = chunk.number + 1
            if len(page) < PAGE:
                return
