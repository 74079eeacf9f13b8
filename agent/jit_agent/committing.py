"""What sudo is told is kept (S7): bytes go to the disk first, and the commit point that covers them after that.

sudo waits for the last one before it ends, so nothing else is waited for.  Whose session it is lies in its first
segment beside what sudo said, so whatever a report would say follows from what is on the disk, also when the machine
dies before the report is stored.  Only where there are no segments has the report to be stored first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from jit_agent import sudo_wire
from jit_agent.changes import Bell
from jit_agent.errors import AgentError, SpoolUnavailable
from jit_agent.intake import Intake
from jit_agent.scanner import Scanner
from jit_agent.sealing import Sealer
from jit_agent.sudo_connection import Connection
from jit_agent.workshop import Workshop

COMMIT_S = 10.0
IDLE_S = 3_600.0
RETRY_S = 1.0


class Committer:
    def __init__(
        self,
        workshop: Workshop,
        scanner: Scanner,
        sealer: Sealer,
        intake: Intake,
        connection: Connection | None,
        *,
        tell: Callable[[], Awaitable[bool]],
        fail: Callable[[AgentError], None],
    ) -> None:
        """`tell` stores all events and says whether they are; `fail` hears why the disk takes nothing."""
        self._workshop = workshop
        self._scanner = scanner
        self._sealer = sealer
        self._intake = intake
        self._connection = connection
        self._tell = tell
        self._fail = fail
        self._changed = Bell()
        progress = sealer.state.progress
        self._synced = self._told = progress.sealed
        """Before which byte of the stream all is on the disk, and where the last event ends."""
        self._committed_ns = progress.elapsed_ns
        self._is_due = self._finished = False
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """The scanner went on."""
        scanner = self._scanner
        if scanner.events:
            self._told = scanner.events[-1][0]
        if scanner.ended is not None and scanner.expects_commit:
            self._commit()
        elif self._timer is None and scanner.elapsed_ns > self._committed_ns:
            self._timer = asyncio.get_running_loop().call_later(COMMIT_S, self._commit)
        if self._told > self._synced:
            self._changed.ring()

    def finish(self) -> None:
        """Nothing more comes; what is due is still done."""
        self._finished = True
        self._changed.ring()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def run(self) -> None:
        """Until it is finished, and sudo has its last commit point if it waits for one."""
        seen = 0
        while True:
            await self._changed.wait_beyond(seen, timeout_s=IDLE_S)
            seen, finished = self._changed.count, self._finished
            is_due, self._is_due = self._is_due, False
            at, elapsed_ns = self._scanner.at, self._scanner.elapsed_ns
            # The event is put on the disk while its command starts, so that less is left to do when that ends.
            if not await self._put(at if is_due and self._sealer.state.records_io else self._told, is_due=is_due):
                self._is_due = self._is_due or is_due
                self._changed.ring()
                continue
            if is_due and self._connection is not None:
                self._committed_ns = elapsed_ns
                self._connection.write(sudo_wire.commit_point(elapsed_ns))
            if finished:
                return

    def _commit(self) -> None:
        self._timer, self._is_due = None, True
        self._changed.ring()

    async def _put(self, upto: int, *, is_due: bool) -> bool:
        """Whether everything before this byte of the stream is durable; what is not is tried again."""
        segments = self._intake.segments
        if segments is None:
            return not is_due or await self._tell()
        if upto <= self._synced:
            return True
        try:
            await self._workshop.on_disk(segments.sync, min(self._sealer.durable, upto), upto)
        except SpoolUnavailable as e:
            self._fail(e)
            await asyncio.sleep(RETRY_S)
            return False
        self._synced = upto
        return True
