"""Whoever looks at a program on a terminal: what it shows, by a terminal emulator."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pexpect
import pyte

# What pyte has no notion of, and would print in part.
_UNKNOWN = re.compile(r"\x1b\[\?2026[hl]")
# Behind what the player shows at once; a note is seen even by a viewer that is too slow to look while it stands.
_SHOWN = re.compile(r"(?<=\x1b\[\?25l)|(?<=\x1b\[\?2026l)")


class Viewer:
    """`child` is a pexpect child; all that it wrote is in `text_seen`."""

    def __init__(self, child: Any, rows: int, columns: int) -> None:
        self.child = child
        self.text_seen = ""
        self._not_looked_at: list[str] = []
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip("\n")

    @property
    def last_line(self) -> str:
        return self.lines[-1]

    def press(self, keys: str) -> None:
        self.child.send(keys)

    def until(self, seen: Callable[[Viewer], bool], within_s: float = 20.0) -> float:
        """Read until `seen` is true; return when that was, by `time.monotonic`; fail when it never is."""
        deadline = time.monotonic() + within_s
        while not seen(self):
            if self._not_looked_at:
                self._stream.feed(self._not_looked_at.pop(0))
                continue
            try:
                self._take(self.child.read_nonblocking(65_536, timeout=max(0.0, deadline - time.monotonic())))
            except (pexpect.TIMEOUT, pexpect.EOF) as error:
                raise AssertionError(f"never seen; the screen is:\n{self.text}") from error
        return time.monotonic()

    def until_shown(self, text: str, within_s: float = 20.0) -> float:
        return self.until(lambda viewer: text in viewer.text, within_s)

    def end(self) -> int:
        """Read what is left; return the exit status."""
        self.child.expect(pexpect.EOF)
        self._take(self.child.before)
        while self._not_looked_at:
            self._stream.feed(self._not_looked_at.pop(0))
        return int(self.child.process.wait(20))

    def _take(self, text: str) -> None:
        self.text_seen += text
        self._not_looked_at += [_UNKNOWN.sub("", part) for part in _SHOWN.split(text)]
