"""A recording as it is shown: a place on the tape, and the picture there."""

from __future__ import annotations

from collections.abc import Callable

from .frames import Data, Event, Exit, Resize
from .picture import Picture
from .rendering import Rendering, plain
from .tape import Reel, Tape

Until = Callable[[Event], bool]


class Projector:
    """`rows` and `columns` are those the session began with; zero when it had no terminal."""

    def __init__(self, tape: Tape, rows: int, columns: int) -> None:
        self._tape = tape
        self._size = rows, columns
        self.rewind()

    def rewind(self) -> None:
        self._reel = Reel(self._tape)
        self._rendering = Rendering()
        self._picture = Picture(*self._size)
        self.exit: Exit | None = None

    @property
    def position(self) -> int:
        """How many events are behind."""
        return self._reel.position

    @property
    def at_ns(self) -> int:
        return self._reel.at_ns

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the session's terminal at this place."""
        return self._picture.rows, self._picture.columns

    def peek(self) -> Event | None:
        return self._reel.peek()

    def step(self) -> str | None:
        """Take the next event; return what to write for it, or None when the picture has to be drawn anew."""
        event = self._reel.take()
        match event:
            case Data():
                return self._picture.record(self._rendering.text(event))
            case Resize(rows=rows, columns=columns):
                return self._picture.resize(rows, columns)
            case Exit():
                self.exit = event
        return ""

    def skip(self, until: Until) -> bool:
        """Take events unseen while `until` is false of the next one; return whether it came to be true."""
        while (event := self._reel.peek()) is not None:
            if until(event):
                return True
            self.step()
        return False

    def redraw(self) -> str:
        return self._picture.redraw()


def find(tape: Tape, text: str, after: int) -> int | None:
    """The position behind the first output with `text` in it beyond position `after`, or else the first of all.

    Case does not matter, nor where output was cut into pieces.
    """
    wanted = text.casefold()
    reel, rendering = Reel(tape), Rendering()
    tail = ""
    first = None
    for event in reel.rest():
        if not isinstance(event, Data):
            continue
        window = tail + plain(rendering.text(event)).casefold()
        place = window.find(wanted)
        if place < 0:
            tail = window[-len(wanted) + 1 :] if len(wanted) > 1 else ""
            continue
        if reel.position > after:
            return reel.position
        first = first or reel.position
        tail = ""
    return first
