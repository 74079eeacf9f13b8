"""Bytes of a stream in memory, for as long as the message they belong to is not whole.

For the first message, before a session has its segments, and for a session that is drained without being recorded.
"""

from __future__ import annotations

FIRST = 16_384
LIMIT = 4 * 1024 * 1024
"""More than the largest message, so that there is always room for the rest of one."""


class Scratch:
    """Offsets are those of the stream, as in `segments.Segments`."""

    def __init__(self, start: int = 0, data: bytes = b"") -> None:
        """`data` are the bytes of the stream from `start` on that are known already."""
        self._start = start
        self._buffer = bytearray(max(FIRST, 2 * len(data)))
        self._buffer[: len(data)] = data
        self.received = start + len(data)

    def receive(self) -> memoryview:
        """Room for what comes next; empty once `LIMIT` bytes were not forgotten."""
        filled = self.received - self._start
        if filled == len(self._buffer) < LIMIT:
            # Not in place: the event loop may still hold a view of the old one.
            self._buffer = self._buffer + bytearray(len(self._buffer))
        return memoryview(self._buffer)[filled:]

    def advance(self, count: int) -> None:
        self.received += count

    def peek(self, start: int, size: int) -> bytes:
        """At most so many bytes from there on, of what was received and not forgotten."""
        first = start - self._start
        return bytes(memoryview(self._buffer)[first : min(first + size, self.received - self._start)])

    def overwrite(self, start: int, data: bytes) -> None:
        """Put other bytes in the place of some that were received."""
        first = start - self._start
        self._buffer[first : first + len(data)] = data

    def forget(self, before: int) -> None:
        """What comes before this byte of the stream is wanted no more."""
        if before > self._start:
            rest = self.peek(before, self.received - before)
            if len(rest) < FIRST < len(self._buffer):
                self._buffer = bytearray(FIRST)
            self._buffer[: len(rest)] = rest
            self._start = before
