"""What sudo's stream says, message by message: reports, chunks to be sealed, and the session's end.

It looks at what lies in a source and changes nothing there but typed input that no recording may hold (SPEC 8.1), at
once and to what is seen as the same again; so the same bytes, read again by the next run of the agent, say the same.
Hostile until proved otherwise: what does not belong where it comes is `Malformed`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from jit_agent import sudo_wire
from jit_agent.cutting import Cut, Cutter
from jit_agent.errors import Malformed
from jit_agent.passwords import REMEMBERED, Watch
from jit_agent.report_model import SessionEnded, SessionEvent, SessionRejected, SessionStarted, Subcommand
from jit_agent.segment_file import CAPACITY
from jit_agent.session_state import Progress, SessionState
from jit_agent.sudo_frames import HEAD, INPUT, OUTPUT, PREFIX, Buffer, Kind, blank, parse_buffer

MAX_REJECTIONS = 8
"""Rejections and alerts of one session that are recorded; sudo sends one."""
MAX_NESTED = 5_000
"""Programs that a session's command starts and that are reported one by one."""


class Source(Protocol):
    @property
    def received(self) -> int: ...

    def peek(self, start: int, size: int) -> bytes: ...

    def overwrite(self, start: int, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Sealing:
    """A chunk to be, and how far the session is dealt with once it is on the disk."""

    cut: Cut
    progress: Progress


class Scanner:
    """Begins where the state says; `events` are in order, each with the byte of the stream it ends before."""

    def __init__(self, state: SessionState, written: Iterable[int] = ()) -> None:
        """`written`: decoded sizes of the chunks beyond those the state knows of."""
        self._state = state
        self._progress = progress = state.progress
        self._cutter = Cutter(
            number=progress.chunks,
            elapsed_ns=progress.elapsed_ns,
            output_bytes=progress.output_bytes,
            input_bytes=progress.input_bytes,
            written=written,
        )
        self._kept = frozenset[int]()
        if state.records_io and not state.incomplete:
            self._kept = frozenset(range(6, 13)) - (INPUT if state.record == "output" else frozenset())
        self._terminal, self._pipes = Watch.load(progress.terminal), Watch.load(progress.pipes)
        self._need = progress.sealed + PREFIX
        self.at = progress.sealed
        """Every message before this byte was looked at."""
        self.events: list[tuple[int, SessionEvent]] = []
        self.sealings: deque[Sealing] = deque()
        self.ended: SessionEnded | None = None
        self.rejected = False

    @property
    def accepted(self) -> bool:
        return self._progress.accepted

    @property
    def expects_commit(self) -> bool:
        return self._progress.expects_commit

    @property
    def told(self) -> bool:
        """Whether sudo said anything that is reported."""
        return self._progress.accepted or self._progress.rejections > 0

    @property
    def elapsed_ns(self) -> int:
        return self._cutter.elapsed_ns

    @property
    def output_bytes(self) -> int:
        return self._cutter.output_bytes

    @property
    def input_bytes(self) -> int:
        return self._cutter.input_bytes

    @property
    def pending(self) -> bool:
        """Whether something waits for its chunk."""
        return self._cutter.pending

    @property
    def over(self) -> bool:
        return self.ended is not None or self.rejected

    def scan(self, source: Source, limit: int) -> bool:
        """Look at up to so many whole messages; whether there are more.  Raises `Malformed` at the first bad one."""
        for _ in range(limit):
            if source.received < self._need or self.over:
                return False
            head = source.peek(self.at, HEAD)
            size = sudo_wire.parse_length(head[:PREFIX])
            end = self.at + PREFIX + size
            if source.received < end:
                self._need = end
                return False
            buffer = parse_buffer(head, size)
            if buffer is None:
                event = sudo_wire.parse(source.peek(self.at + PREFIX, size), nested=self.accepted)
                buffer = event if isinstance(event, Buffer) else None
                if buffer is None:
                    self._take(event, end)
                elif buffer.size and self._keeps_input:
                    raise Malformed("sudo's input and output come in a form that passwords cannot be taken out of")
            if buffer is not None:
                self._take_buffer(buffer, end, source)
            self.at, self._need = end, end + PREFIX
            if self.at - self._progress.sealed > CAPACITY and not self._cutter.pending:
                # Nothing of this is kept, and its segments can go.
                self._cutter.skip(self.at)
                self._collect()
        return source.received >= self._need and not self.over

    def cut(self) -> None:
        """Make a chunk of what waits for one."""
        self._cutter.cut(self.at)
        self._collect()

    def stop_keeping(self) -> None:
        """From here on nothing is for the recording."""
        self._kept = frozenset()

    @property
    def _keeps_input(self) -> bool:
        return Kind.TTYIN in self._kept

    def _take_buffer(self, buffer: Buffer, end: int, source: Source) -> None:
        if not self.accepted:
            raise Malformed("sudo sends input or output of a command it did not tell")
        output = buffer.size if buffer.kind in OUTPUT else 0
        read = buffer.size if buffer.kind in INPUT else 0
        if not self._kept:
            self._cutter.wait(buffer.delay_ns, output=output, read=read)
            return
        before = self._terminal, self._pipes
        if self._keeps_input and buffer.size:
            self._hide_passwords(buffer, end, source)
        if buffer.kind in self._kept:
            self._cutter.add(self.at, end, buffer.delay_ns, output=output, read=read)
        else:
            # What was typed is not for this recording; that time passed is.
            message = blank(buffer.kind, buffer.delay_ns)
            self._cutter.replace(self.at, end, buffer.delay_ns, message, output=output, read=read)
        self._collect(before)

    def _hide_passwords(self, buffer: Buffer, end: int, source: Source) -> None:
        """Whoever sits at the terminal also reads what a command writes elsewhere; who feeds its pipes reads pipes."""
        if buffer.kind in OUTPUT:
            count = min(buffer.size, REMEMBERED)
            shown = source.peek(end - count, count)
            self._terminal = self._terminal.show(shown)
            if buffer.kind != Kind.TTYOUT:
                self._pipes = self._pipes.show(shown)
            return
        typed = source.peek(end - buffer.size, buffer.size)
        if buffer.kind == Kind.TTYIN:
            self._terminal, recorded = self._terminal.type(typed)
        else:
            self._pipes, recorded = self._pipes.type(typed)
        if recorded != typed:
            source.overwrite(end - buffer.size, recorded)

    def _take(self, event: sudo_wire.Event, end: int) -> None:
        match event:
            case sudo_wire.Accept() if not self.accepted:
                self._progress = replace(self._progress, accepted=True, expects_commit=event.expects_commit)
                self.events.append((end, self._started(event)))
            case sudo_wire.Accept() | sudo_wire.Reject() if self.accepted and self._state.subcommands:
                self._take_nested(event, end)
            case sudo_wire.Exit() if self.accepted:
                self.ended = SessionEnded(self._state.session_id, event.exit_value, event.signal, event.run_time_us)
                if self._kept:
                    self._cutter.add(self.at, end, 0)
                    self._collect()
            case sudo_wire.Reject() | sudo_wire.Alert():
                self._progress = replace(self._progress, rejections=self._progress.rejections + 1)
                if self._progress.rejections > MAX_REJECTIONS:
                    raise Malformed("sudo rejects more often than is recorded")
                reason = event.reason if isinstance(event, sudo_wire.Reject) else f"alert: {event.reason}"
                rejected = SessionRejected(self._state.session_id, self._state.person, event.argv, reason)
                self.events.append((end, rejected))
                self.rejected = isinstance(event, sudo_wire.Reject) and not self.accepted
            case sudo_wire.Restart():
                raise Malformed("an interrupted record cannot be resumed")
            case _:
                raise Malformed(f"sudo's {type(event).__name__.lower()} message is out of order")

    def _take_nested(self, event: sudo_wire.Accept | sudo_wire.Reject, end: int) -> None:
        self._progress = replace(self._progress, nested=self._progress.nested + 1)
        if self._progress.nested > MAX_NESTED:
            return
        session_id = self._state.session_id
        rejected = (event.reason or "rejected") if isinstance(event, sudo_wire.Reject) else ""
        told = Subcommand(session_id, event.argv, event.command, event.cwd, event.run_as_user, rejected)
        if self._progress.nested == MAX_NESTED:
            note = f"… (more than {MAX_NESTED} programs: the others are not listed)"
            told = Subcommand(session_id, (note,), note, "", "", "")
        self.events.append((end, told))

    def _started(self, accept: sudo_wire.Accept) -> SessionStarted:
        """Who it was is the enforcer's word, not sudo's: a name can be spelled in many ways, a uid in one."""
        state = self._state
        started = SessionStarted(
            session_id=state.session_id,
            person=state.person,
            run_as_user=accept.run_as_user,
            argv=accept.argv,
            command=accept.command,
            cwd=accept.cwd,
            tty=accept.tty,
            standing=not state.grant_id,
            record=state.record,
            environment=accept.environment,
            rows=accept.rows,
            columns=accept.columns,
        )
        if state.record == "none":
            return replace(started, argv=(), command="", cwd="", tty="", environment=(), rows=0, columns=0)
        return started

    def _collect(self, before: tuple[Watch, Watch] | None = None) -> None:
        """`before`: what the watches knew before the message that is looked at, for chunks that end before it."""
        while self._cutter.cuts:
            cut = self._cutter.cuts.popleft()
            terminal, pipes = before if before and cut.upto == self.at else (self._terminal, self._pipes)
            self._progress = replace(
                self._progress,
                sealed=cut.upto,
                chunks=cut.number + bool(cut.ranges),
                elapsed_ns=cut.end_ns,
                output_bytes=cut.output_bytes,
                input_bytes=cut.input_bytes,
                terminal=terminal.dump(),
                pipes=pipes.dump(),
            )
            self.sealings.append(Sealing(cut, self._progress))
