"""A person's seat at a host: their terminal, what it showed, and what any terminal would show of the same bytes."""

from __future__ import annotations

import base64
import codecs
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

from jit_testing.lab import Lab
from jit_testing.remote import Remote

ROWS, COLUMNS = 24, 80


@dataclass(frozen=True, slots=True)
class Size:
    rows: int
    columns: int


Shown = bytes | Size
"""Bytes that came to a terminal, or a change of its size."""


class Seat:
    """`with Seat(lab, host, person, *words) as seat:`; raises `LabError` when what was waited for does not come."""

    def __init__(self, lab: Lab, host: str, person: str, *words: str, rows: int = ROWS, columns: int = COLUMNS) -> None:
        self._far = Remote(lab, host, Path(__file__).with_name("on_host") / "seat.py")
        self._far.ask(do="sit", person=person, words=words, rows=rows, columns=columns)
        self.shown: list[Shown] = [Size(rows, columns)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._far.close()

    def type(self, keys: str, until: str, within_s: float = 20) -> int:
        """Type these keys and read until this pattern came; when it had come, in nanoseconds UTC."""
        answer = self._far.ask(do="type", keys=keys, until=until, within_s=within_s)
        self.shown.append(base64.b64decode(answer["saw"]))
        return int(answer["at"])

    def look(self, for_s: float) -> None:
        """Read what comes in this time."""
        self.shown.append(base64.b64decode(self._far.ask(do="look", for_s=for_s)["saw"]))

    def resize(self, rows: int, columns: int) -> None:
        self._far.ask(do="resize", rows=rows, columns=columns)
        self.shown.append(Size(rows, columns))

    def leave(self, within_s: float = 20) -> int:
        """Read until the command ended; its exit status, negative for a signal's."""
        answer = self._far.ask(do="leave", within_s=within_s)
        self.shown.append(base64.b64decode(answer["saw"]))
        return int(answer["status"])

    def text(self) -> str:
        """Everything that was shown so far, control sequences and all."""
        return b"".join(one for one in self.shown if isinstance(one, bytes)).decode(errors="replace")


class _Emulator(pyte.Screen):
    def select_graphic_rendition(self, *attributes: int, private: bool = False) -> None:
        """pyte knows no private ones (vim sends some), and they change nothing that is seen."""
        if not private:
            super().select_graphic_rendition(*attributes)


def screen(shown: list[Shown]) -> list[str]:
    """What is on a terminal after this, by an emulator that has no part in either side."""
    emulator = _Emulator(COLUMNS, ROWS)
    stream = pyte.Stream(emulator)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for one in shown:
        if isinstance(one, Size):
            emulator.resize(one.rows, one.columns)
        else:
            stream.feed(decoder.decode(one))
    return [line.rstrip() for line in emulator.display]
