"""What was written to the viewer's terminal, kept so that the picture can be drawn anew.

A terminal tells nothing of what it shows, so whatever covered it (a status
line, a jump in time, the end of a program on the alternate screen) is undone
by writing its history again.  The viewer's own alternate screen is where all
this happens; a recording's switches between its two screens are therefore not
written but kept here, as two histories.

Histories are bounded: what was drawn more than a mebibyte of output ago, and
never again, is missing from a picture that is drawn anew.
"""

from __future__ import annotations

import re
from collections import deque

from .escape_filter import SOFT_RESET

_MOST = 1024 * 1024
_SWITCH = re.compile(r"(\x1b\[\?(?:47|1047|1049)[hl])")
_REGION = re.compile(r"\x1b\[([0-9]*);?([0-9]*)r")


class _History:
    def __init__(self) -> None:
        self._texts: deque[str] = deque()
        self._length = 0

    def add(self, text: str) -> None:
        self._texts.append(text)
        self._length += len(text)
        while self._length > _MOST and len(self._texts) > 1:
            self._length -= len(self._texts.popleft())

    def __str__(self) -> str:
        return "".join(self._texts)


class Picture:
    """`rows` and `columns` are those of the recording."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows = rows
        self.columns = columns
        self._main = _History()
        self._alternate: _History | None = None
        self._main.add(self._whole_region)

    def record(self, text: str) -> str | None:
        """Add rendered text; return what to write for it, or None when the picture has to be drawn anew."""
        shown: list[str] = []
        anew = False
        for part in _SWITCH.split(text):
            if not _SWITCH.fullmatch(part):
                kept = self._within_rows(part)
                (self._alternate or self._main).add(kept)
                shown.append(kept)
            elif part.endswith("h"):
                if self._alternate is None:
                    self._alternate = _History()
                    shown.append("\x1b[2J")
            elif self._alternate is not None:
                self._alternate = None
                anew = True
        return None if anew else "".join(shown)

    def resize(self, rows: int, columns: int) -> str:
        """The session's terminal has another size from now on; return what to write for it."""
        self.rows, self.columns = rows, columns
        text = f"\x1b7{self._whole_region}\x1b8"
        (self._alternate or self._main).add(text)
        return text

    def redraw(self) -> str:
        """Everything from an empty screen on; the terminal shows it at once if it can."""
        # The history that began with the region may not go back so far any more.
        texts = [f"\x1b[?2026h{SOFT_RESET}{self._whole_region}\x1b[H\x1b[2J", str(self._main)]
        if self._alternate is not None:
            texts += ["\x1b[2J", str(self._alternate)]
        return "".join([*texts, "\x1b[?2026l"])

    @property
    def _whole_region(self) -> str:
        return self._region("", "")

    def _within_rows(self, text: str) -> str:
        return _REGION.sub(lambda found: self._region(found[1], found[2]), text) if "r" in text else text

    def _region(self, top: str, bottom: str) -> str:
        # On a terminal with more rows the recording scrolls where its own would; one with fewer takes what it has.
        if not self.rows:
            return f"\x1b[{top};{bottom}r" if top or bottom else "\x1b[r"
        return f"\x1b[{top or 1};{min(int(bottom or self.rows), self.rows)}r"
