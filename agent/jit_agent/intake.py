"""Where what sudo sends is received: into segments, or through memory where nothing can be kept (SPEC 8.3).

There is always room for what comes; where there is none, or too much waits, sudo waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jit_agent.errors import AgentError, SpoolUnavailable
from jit_agent.scratch import Scratch
from jit_agent.segments import Segments
from jit_agent.sudo_connection import Connection
from jit_agent.workshop import Workshop

RETRY_S = 1.0


class Intake:
    def __init__(
        self,
        workshop: Workshop,
        source: Segments | Scratch,
        connection: Connection | None,
        fail: Callable[[AgentError], None],
    ) -> None:
        """`fail` hears why there is no room."""
        self.source = source
        self._workshop = workshop
        self._connection = connection
        self._fail = fail
        self._preparing = self._held = False

    @property
    def segments(self) -> Segments | None:
        return self.source if isinstance(self.source, Segments) else None

    def received(self, count: int) -> None:
        self.source.advance(count)
        self._prepare_in_time()

    def scanned(self, upto: int) -> None:
        """What comes before this byte of the stream was looked at."""
        if isinstance(self.source, Scratch):
            self.source.forget(upto)

    def hold(self, *, busy: bool) -> None:
        """Let sudo wait if it must."""
        if self._connection is not None and (busy or not self.source.receive()):
            self._held = True
            self._connection.pause()

    def go_on(self) -> None:
        """Let sudo wait no longer, if there is room."""
        if self._held and self._connection is not None and self.source.receive():
            self._held = False
            self._connection.resume()

    def stop_keeping(self, at: int) -> None:
        """From this byte of the stream on it goes through memory."""
        source = self.source
        if isinstance(source, Segments):
            self.source = Scratch(at, source.peek(at, source.received - at))
            source.close()
        self.go_on()

    def _prepare_in_time(self) -> None:
        segments = self.segments
        if segments is not None and segments.wants_next and not self._preparing:
            self._preparing = True
            self._workshop.start(self._prepare(segments))

    async def _prepare(self, segments: Segments) -> None:
        try:
            segment = await self._workshop.on_disk(segments.prepare)
        except SpoolUnavailable as e:
            if not segments.receive():
                self._fail(e)
            else:
                # There is room for a while yet, and it is asked for again with the next bytes.
                asyncio.get_running_loop().call_later(RETRY_S, self._prepare_again)
                return
        else:
            segments.add(segment)
        self._preparing = False
        self.go_on()

    def _prepare_again(self) -> None:
        self._preparing = False
        self._prepare_in_time()
