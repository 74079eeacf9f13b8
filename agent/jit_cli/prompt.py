"""Questions to the person at the terminal, on /dev/tty as sudo asks them, so that pipes stay free.

Nothing is a yes (S9): an empty answer, EOF, five silent minutes and no terminal
are all None, and Ctrl-C is KeyboardInterrupt.
"""

from __future__ import annotations

import os
import select
import termios
from contextlib import contextmanager

from jit_cli.terminal import safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

ANSWER_WITHIN_S = 300.0
_LONGEST = 4096


class NoTerminal(Exception):
    """There is nobody to ask."""


class Terminal:
    """The controlling terminal; a context manager."""

    def __init__(self) -> None:
        try:
            self._tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise NoTerminal from error

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._tty)

    def ask(self, question: str) -> str | None:
        """Return the answer without surrounding blanks; None for no answer."""
        while True:
            self._write(f"{safe(question)}: ")
            line = self._line()
            if line is None:
                self._write("\n")
                return None
            answer = line.strip()
            if answer.isprintable():
                return answer or None
            self._write("that holds characters nobody can see; type it again\n")

    def ask_hidden(self, question: str) -> str | None:
        """Like `ask`, and what is typed is not shown."""
        with self._silent():
            answer = self.ask(question)
            self._write("\n")
        return answer

    def choose(self, question: str, choices: list[str]) -> int | None:
        """Return the index of the choice; None for no answer.  A wrong number is asked again, twice."""
        for number, choice in enumerate(choices, start=1):
            self._write(f"  {number}) {safe(choice)}\n")
        for _ in range(3):
            answer = self.ask(f"{question} [1-{len(choices)}]")
            if answer is None:
                return None
            if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(choices):
                return int(answer) - 1
        return None

    def _write(self, text: str) -> None:
        # The terminal may have gone; the read that follows finds out.
        os.write(self._tty, text.encode(errors="backslashreplace"))

    def _line(self) -> str | None:
        ready, _, _ = select.select([self._tty], [], [], ANSWER_WITHIN_S)
        if not ready:
            return None
        untrusted = os.read(self._tty, _LONGEST)
        if not untrusted:
            return None
        return untrusted.decode(errors="surrogateescape").removesuffix("\n")

    @contextmanager
    def _silent(self) -> Iterator[None]:
        before = termios.tcgetattr(self._tty)
        quiet = list(before)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(self._tty, termios.TCSADRAIN, quiet)
        try:
            yield
        finally:
            termios.tcsetattr(self._tty, termios.TCSADRAIN, before)
