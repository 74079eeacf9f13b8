"""HostService.Record: chunks come, what is durable is told (SPEC 8.4).

It stands beside the host's stream, so nothing of that waits for a recording.  What a host can make the server hold is
bounded: one call a host, of that one chunk at a time, checked before it is taken in, so many chunks of all hosts, and
so many bytes a second.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from jit_protos.v1 import sessions_pb2
from jit_server.domain.identity import HostCaller
from jit_server.domain.recording import Chunk, is_plausible
from jit_server.errors import Invalid, Unavailable
from jit_server.rpc import recording_wire
from jit_server.rpc.dispatch import Write
from jit_server.rpc.finishing import finished
from jit_server.rpc.replacing import Newest
from jit_server.services import Services
from jit_server.services.recordings import Kept, Refused, Wanted

BYTES_PER_S = 64 * 1024 * 1024
BURST = 128 * 1024 * 1024
LEAST = 4_096
"""What a chunk counts for at least: a small one costs two transactions as well."""
MAX_HOSTS = 20_000
MAX_HELD = 64
"""Chunks in memory, of all hosts."""
CHUNK_S = 60.0
"""A chunk that was begun comes in this time, or its call ends."""
MAX_REFUSED = 1_000

Pieces = AsyncIterator[sessions_pb2.RecordingPiece]


class Pace:
    """How fast each host may send: `BYTES_PER_S` in the long run, after a rest `BURST` at once."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, *, rate: float = BYTES_PER_S, burst: float = BURST
    ) -> None:
        self._monotonic = monotonic
        self._rate = rate
        self._burst = burst
        self._paid_until: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, host_id: str, size: int) -> float:
        """Count so many bytes of the host; return how long it is to wait before the next."""
        now = self._monotonic()
        rested = now - self._burst / self._rate
        paid_until = max(self._paid_until.pop(host_id, rested), rested) + max(size, LEAST) / self._rate
        self._paid_until[host_id] = paid_until
        if len(self._paid_until) > MAX_HOSTS:
            self._paid_until.popitem(last=False)
        return max(0.0, paid_until - now)


class RecordingUploads:
    """All calls of Record that this process serves."""

    def __init__(self, services: Services, pace: Pace | None = None) -> None:
        self._services = services
        self._pace = pace or Pace()
        self._newest = Newest("upload")
        self._held = asyncio.Semaphore(MAX_HELD)

    async def serve(self, caller: HostCaller, pieces: Pieces, write: Write) -> None:
        """Take chunks until the host ends the call, or a newer one of the same host takes its place."""
        async with self._newest.alone(caller.host_id):
            refused: set[str] = set()
            # Whose next chunk this call may send without a look first; `keep` looks again, and decides.
            following: tuple[str, int] | None = None
            skipping: tuple[str, int] | None = None
            async for piece in pieces:
                if piece.offset:
                    # The rest of a chunk that is not wanted.
                    if (piece.session_id, piece.chunk) != skipping:
                        raise Invalid("a chunk of a recording does not begin with its first piece")
                    continue
                chunk = recording_wire.chunk(piece)
                skipping = None
                answer: Wanted | Kept | Refused | None = None
                if following == (chunk.session_id, chunk.number) and is_plausible(chunk):
                    answer = Wanted()
                elif chunk.session_id not in refused:
                    answer = await finished(self._services.recordings.weigh(caller, chunk))
                if isinstance(answer, Wanted):
                    answer = await self._take(caller, chunk, piece, pieces)
                    if answer is None:
                        return
                else:
                    skipping = (chunk.session_id, chunk.number)
                following = (chunk.session_id, answer.chunks) if isinstance(answer, Kept) else None
                if isinstance(answer, Refused):
                    refused = {*refused, chunk.session_id} if len(refused) < MAX_REFUSED else {chunk.session_id}
                if answer is not None:
                    await write(recording_wire.kept_message(chunk.session_id, answer))
                await asyncio.sleep(self._pace.wait_s(caller.host_id, chunk.size))

    async def _take(
        self, caller: HostCaller, chunk: Chunk, first: sessions_pb2.RecordingPiece, pieces: Pieces
    ) -> Kept | Refused | None:
        """Take the chunk's bytes and keep them; None if the call ended before they were all there."""
        async with self._held:
            content = bytearray(recording_wire.data(first, chunk, 0))
            try:
                async with asyncio.timeout(CHUNK_S):
                    while len(content) < chunk.size:
                        piece = await anext(pieces, None)
                        if piece is None:
                            return None
                        content += recording_wire.data(piece, chunk, len(content))
            except TimeoutError:
                raise Unavailable("a chunk of a recording was begun and did not come") from None
            return await finished(self._services.recordings.keep(caller, chunk, bytes(content)))
