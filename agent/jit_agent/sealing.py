"""The chunks of one session, written one after the other (SPEC 8.2, 8.3), and what may go once they are.

A chunk's bytes are read from the segments when its turn comes, so what waits is on the disk, not in memory.  What was
sealed is remembered before the segments that held it are removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from jit_agent.changes import Bell
from jit_agent.chunk_format import Header
from jit_agent.cutting import Cut
from jit_agent.errors import SpoolUnavailable
from jit_agent.packing import Frames
from jit_agent.scanner import Sealing
from jit_agent.segment_file import CAPACITY
from jit_agent.segments import Segments
from jit_agent.session_state import SessionState
from jit_agent.text import safe
from jit_agent.workshop import Workshop

log = logging.getLogger(__name__)

IDLE_S = 3_600.0
RETRY_S = 1.0
BATCH = 16
"""Chunks that are put on the disk at once where so many wait: what that takes is the same for one and for many."""


class Sealer:
    def __init__(
        self, workshop: Workshop, state: SessionState, segments: Segments | None, chunks: tuple[Header, ...]
    ) -> None:
        """`chunks`: those that exist already, whether the state knows of them or not."""
        self.state = state
        """What is true of the session at the last sealed byte, and what was noted since."""
        progress = state.progress
        self.durable = progress.sealed // CAPACITY * CAPACITY
        """Before this byte of the stream nothing but the chunks is needed, even if the machine dies now."""
        self._workshop = workshop
        self._segments = segments
        self.lost = "a part of it was lost on this host" if any(header.is_hole for header in chunks) else ""
        """What an earlier run kept and is gone; empty if nothing is."""
        self._digest = hashlib.sha256(b"".join(header.sha256 for header in chunks[: progress.chunks]))
        self._known = {header.number: header.sha256 for header in chunks[progress.chunks :]}
        self._queue: deque[Sealing] = deque()
        self._changed = Bell()
        self._noted = self._finished = False

    @property
    def digest(self) -> bytes:
        """That of the recording; empty without a chunk."""
        return self._digest.digest() if self.state.progress.chunks else b""

    def add(self, sealing: Sealing) -> None:
        self._queue.append(sealing)
        self._changed.ring()

    def note(self, state: SessionState) -> None:
        """What was changed of the session is written down."""
        self.state, self._noted = state, True
        self._changed.ring()

    def finish(self) -> None:
        """Nothing more is added."""
        self._finished = True
        self._changed.ring()

    def close(self) -> None:
        """This run goes no further; what there is stays for the next."""
        if self._segments is not None:
            self._segments.close()

    async def run(self) -> None:
        """Until it is finished and all is sealed; a disk that takes nothing is asked again and again.

        A machine that died may have lost bytes of the stream that a chunk on its disk still holds: it counts as well.
        """
        seen, said = 0, ""
        while not (self._finished and not self._queue and not self._noted):
            await self._changed.wait_beyond(seen, timeout_s=IDLE_S)
            seen = self._changed.count
            try:
                await self._seal_all()
                said = ""
            except SpoolUnavailable as e:
                if str(e) != said:
                    log.error("Session %s waits for the disk: %s", self.state.session_id, safe(str(e)))
                said = str(e)
                await asyncio.sleep(RETRY_S)
                self._changed.ring()
        for number in sorted(self._known):
            self._digest.update(self._known.pop(number))
            self.state = replace(self.state, progress=replace(self.state.progress, chunks=number + 1))

    async def _seal_all(self) -> None:
        if self._noted:
            self._noted = False
            try:
                await self._save(durable=False)
            except SpoolUnavailable:
                self._noted = True
                raise
        while self._queue:
            await self._seal_some()

    async def _seal_some(self) -> None:
        """The next few chunks, then what is true once they are on the disk."""
        batch = list(islice(self._queue, BATCH))
        new = [one.cut for one in batch if one.cut.ranges and one.cut.number not in self._known]
        if new:
            # Fewer than asked for, if the disk does not take them all; kept for a repeated try, to be written once.
            digests = await self._workshop.in_background(self._write, new)
            self._known.update(zip((cut.number for cut in new), digests, strict=False))
        for sealing in batch:
            if sealing.cut.ranges:
                if sealing.cut.number not in self._known:
                    break
                self._digest.update(self._known.pop(sealing.cut.number))
            self._queue.popleft()
            self.state = replace(self.state, progress=sealing.progress)
        await self._let_go(self.state.progress.sealed)

    async def _let_go(self, upto: int) -> None:
        segments = self._segments
        releasable = segments is not None and segments.releasable(upto)
        await self._save(durable=releasable)
        if segments is not None and releasable:
            self.durable = upto
            await self._workshop.on_disk(segments.release, upto)

    async def _save(self, *, durable: bool) -> None:
        """Once the first segment is gone, which says whose session it is, there is nothing to fall back on."""
        folder = self._workshop.folder(self.state.session_id)
        if self._segments is not None:
            await self._workshop.on_disk(self.state.save, folder, durable=durable or self.durable > 0)

    def _write(self, cuts: list[Cut]) -> list[bytes]:
        chunks, session_id = self._workshop.chunks, self.state.session_id
        frames = self._frames(cuts)
        return chunks.write_all(session_id, cuts[0].number, frames, compress=self._workshop.compress)

    def _frames(self, cuts: list[Cut]) -> Iterator[Frames]:
        if self._segments is None:
            raise SpoolUnavailable("there is nothing to seal from")
        for cut in cuts:
            yield Frames(cut.start_ns, cut.end_ns, self._segments.join(cut.ranges))
