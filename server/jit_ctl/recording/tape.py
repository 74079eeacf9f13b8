"""A recording on this machine while somebody looks at it: chunks in a file that has no name, and where they are.

Chunks are added by the thread that fetches them and decoded when they are
shown, so memory is bounded however long the session was.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from .chunks import Chunk, decode
from .frames import Event, events

_IN_MEMORY = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Place:
    offset: int
    size: int
    chunk: Chunk
    """Without its bytes."""
    begin_ns: int


class Tape:
    """The chunks so far, from the first one; each was whole and readable when it came."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.length_ns = 0
        """When the last chunk so far ends, in ns since the session's start."""
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self._places: list[_Place] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def append(self, chunk: Chunk) -> None:
        """Raise `CtlError` when the chunk is damaged; it is then not on the tape."""
        begin_ns = end_ns = self.length_ns
        for event in self._read(chunk, begin_ns):
            end_ns = event.at_ns
        with self._lock:
            if self._file.closed:  # whoever looked has left
                return
            offset = self._file.seek(0, os.SEEK_END)
            self._file.write(chunk.data)
            self._places.append(_Place(offset, len(chunk.data), replace(chunk, data=b""), begin_ns))
        self.length_ns = max(end_ns, chunk.end_ns)

    def events(self, number: int) -> list[Event]:
        """What chunk `number` tells."""
        place = self._places[number]
        with self._lock:
            self._file.seek(place.offset)
            data = self._file.read(place.size)
        return list(self._read(replace(place.chunk, data=data), place.begin_ns))

    def _read(self, chunk: Chunk, begin_ns: int) -> Iterator[Event]:
        return events(self.session_id, chunk.number, decode(self.session_id, chunk), begin_ns)


class Reel:
    """A place on a tape; `position` counts up through everything that happened, from 0."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._chunk = 0
        self._events: list[Event] = []
        self._index = 0
        self.position = 0
        self.at_ns = 0
        """Of what was taken last."""

    def peek(self) -> Event | None:
        """What comes next; None when the tape holds no more yet."""
        while self._index == len(self._events):
            if self._chunk == len(self._tape):
                return None
            self._events = self._tape.events(self._chunk)
            self._index = 0
            self._chunk += 1
        return self._events[self._index]

    def take(self) -> Event | None:
        """The next event, and go past it."""
        event = self.peek()
        if event is not None:
            self._index += 1
            self.position += 1
            self.at_ns = event.at_ns
        return event

    def rest(self) -> Iterator[Event]:
        while (event := self.take()) is not None:
            yield event
