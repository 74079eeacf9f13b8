"""HostService.Record: chunks come, what is durable is told (SPEC 8.4).

It stands beside the host's stream, so nothing of that waits for a recording.  What a host can make the server hold is
bounded: one call a host, of that one chunk at a time, checked before it is taken in, so many chunks of all hosts, and
so many bytes a second.  What the host is told to be kept is on the disk and committed.
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
from jit_server.rpc.finishing import finished, first_to_end
from jit_server.rpc.replacing import Newest
from jit_server.services import Services
from jit_server.services.recordings import Kept, RecordingService, Refused, Wanted

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

    def __init__(self, services: Services) -> None:
        self._services = services
        self._pace = Pace()
        self._newest = Newest("upload")
        self._held = asyncio.Semaphore(MAX_HELD)

    async def serve(self, caller: HostCaller, pieces: Pieces, write: Write) -> None:
        """Take chunks until the host ends the call, or a newer one of the same host takes its place."""
        async with self._newest.alone(caller.host_id):
            await _Upload(self._services.recordings, caller, write, self._pace, self._held).run(pieces)


class _Upload:
    """One call.  While the row of a chunk is committed, the bytes of the next are taken and made durable."""

    def __init__(
        self, recordings: RecordingService, caller: HostCaller, write: Write, pace: Pace, held: asyncio.Semaphore
    ) -> None:
        self._recordings = recordings
        self._caller = caller
        self._write = write
        self._pace = pace
        self._held = held
        self._stored: asyncio.Queue[Chunk] = asyncio.Queue(1)
        """Chunks whose bytes are durable, and that nobody has been told to be kept."""
        self._refused: set[str] = set()
        self._next: tuple[str, int] | None = None
        """Whose next chunk may come without a look first; `keep` looks again, and decides."""

    async def run(self, pieces: Pieces) -> None:
        await first_to_end(self._take(pieces), self._keep())

    async def _take(self, pieces: Pieces) -> None:
        skipping: tuple[str, int] | None = None
        async for piece in pieces:
            if piece.offset:
                # The rest of a chunk that is not wanted.
                if (piece.session_id, piece.chunk) != skipping:
                    raise Invalid("a chunk of a recording does not begin with its first piece")
                continue
            chunk = recording_wire.chunk(piece)
            if await self._wants(chunk):
                skipping = None
                if not await self._store(chunk, piece, pieces):
                    break
            else:
                skipping = (chunk.session_id, chunk.number)
            await asyncio.sleep(self._pace.wait_s(self._caller.host_id, chunk.size))
        await self._stored.join()

    async def _keep(self) -> None:
        while True:
            chunk = await self._stored.get()
            # One that followed a refused one gets no answer, as any other of its recording.
            if chunk.session_id not in self._refused:
                await self._answer(chunk, await finished(self._recordings.keep(self._caller, chunk)))
            self._stored.task_done()

    async def _wants(self, chunk: Chunk) -> bool:
        """Whether the chunk's bytes are to be taken; if not, that is answered."""
        if chunk.session_id in self._refused:
            return False
        if self._next == (chunk.session_id, chunk.number) and is_plausible(chunk):
            return True
        # What is decided now depends on what came before, and is answered after it.
        await self._stored.join()
        if chunk.session_id in self._refused:
            return False
        answer = await finished(self._recordings.weigh(self._caller, chunk))
        if isinstance(answer, Wanted):
            return True
        await self._answer(chunk, answer)
        return False

    async def _store(self, chunk: Chunk, first: sessions_pb2.RecordingPiece, pieces: Pieces) -> bool:
        """Take the chunk's bytes and make them durable; False if the call ended before they were all there."""
        async with self._held:
            content = await _bytes_of(chunk, first, pieces)
            if content is None:
                return False
            wrong = await finished(self._recordings.put(chunk, content))
        if wrong:
            await self._stored.join()
            if chunk.session_id not in self._refused:
                await self._answer(chunk, await finished(self._recordings.refuse(self._caller, chunk, wrong)))
            return True
        self._next = (chunk.session_id, chunk.number + 1)
        await self._stored.put(chunk)
        return True

    async def _answer(self, chunk: Chunk, answer: Kept | Refused) -> None:
        if isinstance(answer, Refused):
            if len(self._refused) >= MAX_REFUSED:
                self._refused.clear()
            self._refused.add(chunk.session_id)
        await self._write(recording_wire.kept_message(chunk.session_id, answer))


async def _bytes_of(chunk: Chunk, first: sessions_pb2.RecordingPiece, pieces: Pieces) -> bytes | None:
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
    return bytes(content)
