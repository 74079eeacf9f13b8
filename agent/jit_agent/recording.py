"""One session from its admission to its last report: what sudo says is kept, in an order that loses nothing (S5, S7).

What was received lies in segments (`intake`) before it is looked at.  From there three tasks take it on: one puts the
bytes on the disk and then, never before, sends sudo its commit points (`committing`); one makes chunks of it
(`sealing`); one stores what sudo tells as reports.  None keeps sudo waiting, and none holds in memory what waits.  The
next run of an agent that was killed reads the segments again from the last sealed byte, and does what this one had not
done.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from jit_agent import stopping
from jit_agent.changes import Bell
from jit_agent.chunk_format import Header
from jit_agent.committing import Committer
from jit_agent.errors import AgentError, Malformed, SpoolUnavailable
from jit_agent.intake import Intake
from jit_agent.report_model import SessionEnded
from jit_agent.scanner import Scanner
from jit_agent.scratch import Scratch
from jit_agent.sealing import Sealer
from jit_agent.segments import Segments
from jit_agent.session_state import SessionState
from jit_agent.sudo_connection import Connection, Drain
from jit_agent.text import safe
from jit_agent.workshop import Workshop

log = logging.getLogger(__name__)

CUT_S = 10.0
WATCHED_CUT_S = 0.2
CUT_OFF = "the agent or the host stopped before sudo had told all"
IDLE_S = 3_600.0
RETRY_S = 1.0
LINGER_S = 0.1
"""How long a report waits for the session's end, to be stored together with it."""
SLICE = 4_096
"""Messages looked at before others get their turn."""
MAX_EVENTS = 256
"""Events not stored yet, beyond which sudo waits a moment."""


class Recording:
    """A session; `state` is what the next run would go on from."""

    def __init__(
        self,
        workshop: Workshop,
        state: SessionState,
        source: Segments | Scratch,
        connection: Connection | None,
        chunks: tuple[Header, ...] = (),
    ) -> None:
        """A scratch as `source`: nothing can be kept but reports.  `connection` None: sudo is gone.

        `chunks` are those that exist already.
        """
        self._workshop = workshop
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._segments = source if isinstance(source, Segments) else None
        self._scanner = Scanner(state, [header.decoded_size for header in chunks[state.progress.chunks :]])
        self._sealer = Sealer(workshop, state, self._segments, chunks)
        self._intake = Intake(workshop, source, connection, self._fail)
        self._committer = Committer(
            workshop, self._scanner, self._sealer, self._intake, connection, tell=self._tell, fail=self._fail
        )
        self._changed = Bell()
        self._over = asyncio.Event()
        self._telling = asyncio.Lock()
        self._failure = ""
        self._gone = False
        self._cut_timer: asyncio.TimerHandle | None = None
        self.watched = False

    @property
    def state(self) -> SessionState:
        return self._sealer.state

    @property
    def lost(self) -> asyncio.Event | None:
        """Set once sudo is gone; None if it was from the beginning."""
        return None if self._connection is None else self._connection.lost

    def note(self, **changes: object) -> None:
        """Remember something of the session, for the next run too."""
        self._sealer.note(replace(self.state, **changes))  # type: ignore[arg-type]  # the fields' own types

    def watch(self, watched: bool) -> None:
        """Whether somebody reads along, and chunks have to be cut quickly."""
        self.watched = watched
        if watched and self._cut_timer is not None:
            self._cut_timer.cancel()
            self._cut_timer = None
            self._arm()

    async def run(self) -> None:
        """Until the session is over and everything of it is where it belongs; leaves it as it is when cancelled."""
        committing = asyncio.create_task(self._committer.run())
        sealing = asyncio.create_task(self._sealer.run())
        reporting = asyncio.create_task(self._report())
        try:
            if self._connection is None:
                self._gone = True
            else:
                self._connection.hand_to(self)
            self._scan()
            await self._over.wait()
            await self._end(committing)
            # Only now: sudo waits for its commit point, and for nothing else.
            self._changed.ring()
            self._scanner.cut()
            self._hand_over()
            self._sealer.finish()
            await sealing
            await reporting
            await self._close()
        except asyncio.CancelledError:
            if self._connection is not None:
                # For this run only: where systemd keeps the connection, the next one goes on.
                self._connection.hand_to(Drain())
                self._connection.close()
            self._sealer.close()
            raise
        finally:
            self._committer.close()
            if self._cut_timer is not None:
                self._cut_timer.cancel()
            for task in (committing, sealing, reporting):
                task.cancel()
            await asyncio.gather(committing, sealing, reporting, return_exceptions=True)

    async def _end(self, committing: asyncio.Task[None]) -> None:
        """What sudo waits for, and then no more of its connection."""
        connection, scanner = self._connection, self._scanner
        if self._failure:
            committing.cancel()
            self.note(incomplete=self.state.incomplete or self._failure)
            if connection is not None:
                await stopping.tell_sudo(self._workshop, connection, self._failure)
            if scanner.accepted:
                await stopping.kill(self._workshop, self.state.session_id, self._failure)
            return
        self._committer.finish()
        if connection is None:
            await committing
        elif scanner.rejected or (scanner.ended is not None and not scanner.expects_commit):
            # It waits for nothing, or for us to close.
            self._workshop.start(connection.part(b""))
            await committing
        else:
            await committing
            # sudo closes by itself, once it has the commit point; whatever else comes is drained.
            drain = Drain()
            connection.hand_to(drain)
            connection.resume()
            self._workshop.start(_drain(connection, drain))

    # What the connection calls.

    def receive(self) -> memoryview:
        return self._intake.source.receive()

    def received(self, count: int) -> None:
        self._intake.received(count)
        self._scan()
        self._intake.hold(busy=len(self._scanner.events) > MAX_EVENTS and not self.state.incomplete)

    def ended(self) -> None:
        self._gone = True
        self._scan()

    def _scan(self) -> None:
        """Look at what came, a slice at a time."""
        if self._over.is_set():
            return
        try:
            more = self._scanner.scan(self._intake.source, SLICE)
        except (Malformed, SpoolUnavailable) as e:
            self._fail(e)
            return
        self._intake.scanned(self._scanner.at)
        self._hand_over()
        self._committer.look()
        if more:
            self._loop.call_soon(self._scan)
        elif self._scanner.over or self._gone:
            self._over.set()
        if self._scanner.events:
            self._changed.ring()
        self._arm()

    def _hand_over(self) -> None:
        while self._scanner.sealings:
            self._sealer.add(self._scanner.sealings.popleft())

    def _arm(self) -> None:
        """Nothing waits for its chunk for ever."""
        if self._cut_timer is None and self._scanner.pending:
            self._cut_timer = self._loop.call_later(WATCHED_CUT_S if self.watched else CUT_S, self._cut)

    def _cut(self) -> None:
        self._cut_timer = None
        self._scanner.cut()
        self._hand_over()

    # What goes wrong.

    def _fail(self, error: AgentError) -> None:
        """The record cannot go on: the session ends, or is marked and drained, as its role says."""
        session = self.state
        if self._over.is_set() or session.incomplete:
            return
        log.error("sudo session %s cannot be recorded any further: %s", session.session_id, safe(str(error)))
        if session.required or isinstance(error, Malformed) or self._connection is None:
            self._failure = safe(str(error), 300)
            self._over.set()
            return
        self._stop_keeping(error)

    def _stop_keeping(self, error: AgentError) -> None:
        """Go on without a record."""
        self._scanner.cut()
        self._hand_over()
        self._scanner.stop_keeping()
        self.note(incomplete=safe(str(error), 300))
        self._intake.stop_keeping(self._scanner.at)

    # What becomes a report.

    async def _report(self) -> None:
        """What sudo tells, but for what comes shortly before its end, which is stored together with that."""
        seen = 0
        while not self._over.is_set():
            await self._changed.wait_beyond(seen, timeout_s=IDLE_S)
            if len(self._scanner.events) < MAX_EVENTS:
                await self._linger()
            seen = self._changed.count
            if not self._over.is_set():
                await self._tell()

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_S):
                await self._over.wait()
        except TimeoutError:
            return

    async def _tell(self) -> bool:
        """Store what is to be reported; whether all is.  What is not is tried again."""
        async with self._telling:
            events = self._scanner.events[:]
            try:
                if events:
                    await self._workshop.reports.session_events(self.state.session_id, self.state.grant_id, events)
            except SpoolUnavailable as e:
                self._fail(e)
                await asyncio.sleep(RETRY_S)
                self._changed.ring()
                return False
            del self._scanner.events[: len(events)]
        self._intake.go_on()
        return True

    async def _close(self) -> None:
        """The session's last report: its exit, or that its record was lost; a mere rejection has none."""
        scanner, state = self._scanner, self.state
        ended = scanner.ended
        if ended is None and (scanner.accepted or not scanner.told):
            cut_off = state.records_io and self._connection is None
            ended = SessionEnded(state.session_id, lost=True, incomplete=CUT_OFF if cut_off else "")
        if ended is not None:
            ended = replace(
                ended,
                chunks=state.progress.chunks,
                digest=self._sealer.digest,
                output_bytes=scanner.output_bytes,
                input_bytes=scanner.input_bytes,
                incomplete=state.incomplete or self._sealer.lost or ended.incomplete,
            )
        await self._workshop.close(state, ended, self._segments, scanner.events)


async def _drain(connection: Connection, drain: Drain) -> None:
    try:
        await drain.over.wait()
    finally:
        connection.close()
