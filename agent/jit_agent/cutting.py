"""Which bytes of sudo's stream make which chunk (SPEC 8.2); pure, and deterministic.

After a restart the same bytes are cut at the same places again: those of chunks that were written already are known by
their sizes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from jit_agent.errors import Malformed

MAX_CHUNK = 1024 * 1024


Piece = tuple[int, int] | bytes
"""From where to where in the stream; or a message that is not there as it came."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One chunk: stretches of the stream, bytes that stand for others, and what is true after it.

    `upto`: every message that begins before this byte is in a chunk, or in none.  Times are ns since the session began.
    `written`: it is on the disk already, or has no stretches and is no chunk.
    """

    number: int
    ranges: tuple[Piece, ...]
    start_ns: int
    end_ns: int
    upto: int
    output_bytes: int
    input_bytes: int
    written: bool


class Cutter:
    """Takes the messages in order; `cuts` are the chunks that are full."""

    def __init__(
        self,
        *,
        number: int = 0,
        elapsed_ns: int = 0,
        output_bytes: int = 0,
        input_bytes: int = 0,
        written: Iterable[int] = (),
    ) -> None:
        """`number` is the next chunk's, the others hold where it begins; `written`: the sizes of those that exist."""
        self._number = number
        self._start_ns = elapsed_ns
        self._written = deque(written)
        self._ranges: list[Piece] = []
        self._size = 0
        self.elapsed_ns = elapsed_ns
        self.output_bytes = output_bytes
        self.input_bytes = input_bytes
        self.cuts: deque[Cut] = deque()

    @property
    def pending(self) -> bool:
        """Whether there is anything that no chunk holds yet."""
        return bool(self._ranges)

    def add(self, start: int, end: int, delay_ns: int, *, output: int = 0, read: int = 0) -> None:
        """A message that belongs to the recording, so long after the one before it; what the command wrote or read."""
        self._make_room(end - start, start)
        self.wait(delay_ns, output=output, read=read)
        last = self._ranges[-1] if self._ranges else None
        if isinstance(last, tuple) and last[1] == start:
            self._ranges[-1] = (last[0], end)
        else:
            self._ranges.append((start, end))
        self._grow(end - start, end)

    def replace(
        self, start: int, end: int, delay_ns: int, message: bytes, *, output: int = 0, read: int = 0
    ) -> None:  # fmt: skip
        """A message that is told of by another one."""
        self._make_room(len(message), start)
        self.wait(delay_ns, output=output, read=read)
        self._ranges.append(message)
        self._grow(len(message), end)

    def wait(self, delay_ns: int, *, output: int = 0, read: int = 0) -> None:
        """Time that passed with nothing for the recording."""
        self.elapsed_ns += delay_ns
        self.output_bytes += output
        self.input_bytes += read

    def cut(self, at: int) -> None:
        """Make a chunk of what there is, now that everything before this byte of the stream was seen."""
        if self._ranges and not self._written:
            self._close(at, written=False)

    def skip(self, at: int) -> None:
        """Note, without a chunk, that everything before this byte was seen; only while nothing is pending."""
        self._append(at, written=True)

    def _make_room(self, size: int, at: int) -> None:
        if self._size and self._size + size > MAX_CHUNK:
            self.cut(at)

    def _grow(self, size: int, end: int) -> None:
        self._size += size
        if self._written:
            if self._size > self._written[0]:
                raise Malformed("the chunks on the disk are not those of this session")
            if self._size == self._written[0]:
                self._written.popleft()
                self._close(end, written=True)
        elif self._size >= MAX_CHUNK:
            self.cut(end)

    def _close(self, upto: int, *, written: bool) -> None:
        self._append(upto, written=written)
        self._number += 1
        self._start_ns = self.elapsed_ns
        self._ranges.clear()
        self._size = 0

    def _append(self, upto: int, *, written: bool) -> None:
        self.cuts.append(
            Cut(
                self._number, tuple(self._ranges), self._start_ns, self.elapsed_ns, upto,
                self.output_bytes, self.input_bytes, written,
            )
        )  # fmt: skip
