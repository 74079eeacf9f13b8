"""The bytes of one session as sudo sent them, in files that outlive this process (SPEC 8.3).

The stream is cut, without regard to messages, into segments of one size.  The kernel receives straight into the newest,
whose room is reserved, so what it gave us is in the file whatever becomes of us.  `receive`, `advance` and `peek` are
the event loop's; the rest blocks, raises `SpoolUnavailable`, and may run in threads, one call of each kind at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from jit_agent import segment_file
from jit_agent.cutting import Piece
from jit_agent.durable_files import sync_folder
from jit_agent.errors import SpoolUnavailable
from jit_agent.room import Room
from jit_agent.segment_file import CAPACITY, SIZE, Segment

FIRST = "000000.raw"
_NOTHING = memoryview(b"")


class Segments:
    """All of one session, in its folder."""

    def __init__(self, folder: Path, room: Room) -> None:
        self._folder = folder
        self._room = room
        self._current: Segment | None = None
        self._next: Segment | None = None
        self._first = self._count = 0
        """Number of the oldest segment that is still there, and how many there are."""
        self.received = 0
        """Bytes of the stream so far."""
        self._named = True
        """Whether the machine may die now and the session is still found."""

    def open(self) -> None:
        """Make folder and first segment.

        No command waits here for the disk: its room is reserved (S5), and whose it is becomes durable with the first
        bytes that are put on the disk (`sync`), before anything of it is confirmed (S7).
        """
        self._room.take(SIZE)
        try:
            self._folder.mkdir(mode=0o700)
            self._current = segment_file.create(self._path(0), 0)
        except OSError as e:
            self._room.give_back(SIZE)
            with suppress(OSError):
                self._folder.rmdir()
            raise SpoolUnavailable(f"{self._folder} cannot be written: {e.strerror}") from e
        self._count, self._named = 1, False

    def identify(self, identity: bytes) -> None:
        """Say whose session it is, before its first byte is received; raises `SpoolUnavailable` for more than fits."""
        if self._current is None:
            raise SpoolUnavailable(f"{self._folder} has no segment")
        try:
            self._current.identify(identity)
        except ValueError as e:
            raise SpoolUnavailable(f"a session cannot be recorded: {e}") from e

    def receive(self) -> memoryview:
        """Room for what comes next; empty while there is none, until `prepare` has made some."""
        current = self._current
        return _NOTHING if current is None else current.bytes[self.received - current.number * CAPACITY :]

    def advance(self, count: int) -> None:
        """So many bytes were received into that room."""
        current = self._current
        if current is None:
            return
        self.received += count
        filled = self.received - current.number * CAPACITY
        current.note(filled)
        if filled == CAPACITY:
            current.close()
            self._current, self._next = self._next, None

    @property
    def wants_next(self) -> bool:
        """Whether it is time to `prepare`."""
        current = self._current
        if current is None:
            return True
        return self._next is None and self.received - current.number * CAPACITY > CAPACITY // 2

    def prepare(self) -> Segment:
        """Reserve the segment after the current one, for `add`."""
        self._room.take(SIZE)
        number = self._first + self._count
        try:
            return segment_file.create(self._path(number), number)
        except OSError as e:
            self._room.give_back(SIZE)
            raise SpoolUnavailable(f"{self._path(number)} cannot be made: {e.strerror}") from e

    def add(self, segment: Segment) -> None:
        """Go on in this segment when the current one is full."""
        self._count += 1
        if self._current is None:
            self._current = segment
        else:
            self._next = segment

    def append(self, data: bytes) -> None:
        """Bytes, less than a segment, that were received before there was one."""
        self.receive()[: len(data)] = data
        self.advance(len(data))

    def peek(self, start: int, size: int) -> bytes:
        """At most so many bytes from there on, of what was received."""
        end, current = min(start + size, self.received), self._current
        if current is not None and start >= (base := current.number * CAPACITY):
            return bytes(current.bytes[start - base : end - base])
        return self.read(start, end)

    def read(self, start: int, end: int) -> bytes:
        """These bytes of the stream."""
        parts = []
        for number, offset, count in _pieces(start, end):
            try:
                parts.append(segment_file.read(self._path(number), offset, count))
            except OSError as e:
                raise SpoolUnavailable(f"{self._path(number)} cannot be read: {e.strerror}") from e
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def overwrite(self, start: int, data: bytes) -> None:
        """Put other bytes in the place of some that were received."""
        current = self._current
        if current is not None and start >= (base := current.number * CAPACITY):
            current.bytes[start - base : start - base + len(data)] = data
            return
        done = 0
        for number, offset, count in _pieces(start, start + len(data)):
            try:
                segment_file.overwrite(self._path(number), offset, data[done : done + count])
            except OSError as e:
                raise SpoolUnavailable(f"{self._path(number)} cannot be written: {e.strerror}") from e
            done += count

    def join(self, pieces: Iterable[Piece]) -> bytes:
        """Several stretches of the stream, and what stands between them, one after the other."""
        parts = [piece if isinstance(piece, bytes) else self.read(*piece) for piece in pieces]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def sync(self, start: int, end: int) -> None:
        """Put these bytes of the stream on the disk; what is removed already is there as chunks."""
        for number, offset, count in _pieces(start, end):
            try:
                segment_file.sync(self._path(number), offset, count)
            except FileNotFoundError:
                continue
            except OSError as e:
                raise SpoolUnavailable(f"{self._path(number)} cannot be written: {e.strerror}") from e
        try:
            self._name()
        except OSError as e:
            raise SpoolUnavailable(f"{self._folder} cannot be written: {e.strerror}") from e

    def settle(self) -> None:
        """Put on the disk that there is such a session, and what was said of it."""
        try:
            segment_file.sync(self._path(0), 0, self.received)
            self._name()
        except OSError as e:
            raise SpoolUnavailable(f"{self._folder} cannot be written: {e.strerror}") from e

    def releasable(self, before: int) -> bool:
        """Whether a segment holds nothing from this byte of the stream on."""
        return (self._first + 1) * CAPACITY <= before

    def release(self, before: int) -> None:
        """Remove the segments that hold nothing from this byte of the stream on."""
        while self.releasable(before):
            try:
                self._path(self._first).unlink(missing_ok=True)
            except OSError as e:
                raise SpoolUnavailable(f"{self._path(self._first)} cannot be removed: {e.strerror}") from e
            self._first, self._count = self._first + 1, self._count - 1
            self._room.give_back(SIZE)

    def adopt(self, first: int, received: int | None) -> None:
        """Take over what an earlier run left from byte `first` of the stream on.

        `received` is the kernel's word of how far the connection was read; None where that is gone, and the files tell.
        """
        self._first = first // CAPACITY
        while self._path(self._first + self._count).exists():
            self._count += 1
        self._room.count(SIZE * self._count)
        try:
            self.received = max(first, self._left()) if received is None else received
            if received is not None and (number := received // CAPACITY) < self._first + self._count:
                self._current = segment_file.reopen(self._path(number), number)
                self._current.note(received % CAPACITY)
                if number + 1 < self._first + self._count:
                    self._next = segment_file.reopen(self._path(number + 1), number + 1)
        except OSError as e:
            raise SpoolUnavailable(f"the segments in {self._folder} cannot be read: {e.strerror}") from e

    def close(self) -> None:
        for segment in (self._current, self._next):
            if segment is not None:
                segment.close()
        self._current = self._next = None

    def remove(self) -> None:
        """Close, and remove every segment."""
        self.close()
        for path in self._folder.glob("*.raw"):
            path.unlink(missing_ok=True)
        self._room.give_back(SIZE * self._count)
        self._count = 0

    def _name(self) -> None:
        """Make the names last that lead to the first segment."""
        if not self._named:
            for folder in (self._folder, self._folder.parent):
                sync_folder(folder)
            self._named = True

    def _left(self) -> int:
        """How far the stream can be believed."""
        for number in range(self._first, self._first + self._count):
            if (filled := segment_file.filled(self._path(number), number)) < CAPACITY:
                return number * CAPACITY + filled
        return (self._first + self._count) * CAPACITY

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.raw"


def _pieces(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """A stretch of the stream as (segment, offset in it, bytes)."""
    while start < end:
        number, offset = divmod(start, CAPACITY)
        count = min(end - start, CAPACITY - offset)
        yield number, offset, count
        start += count
