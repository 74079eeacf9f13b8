"""The viewer's terminal: taken over for the player, and given back whatever happens.

Keys come one by one, nothing is echoed, and output goes out as it is.  The
terminal is given back at the end, at Ctrl-C, after an exception, and when the
process is told to end.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import select
import signal
import sys
import termios
import threading
from types import FrameType, TracebackType
from typing import Self

from jit_ctl.errors import CtlError

from .escape_filter import SOFT_RESET

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_KEY = re.compile(r"\x1b[\[O][0-9;]*([A-Za-z~])|\x1b[^\[O]?|.", re.DOTALL)
_PART_OF_KEY = re.compile(r"\x1b(?:[\[O][0-9;]*)?")
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
_LONGEST_WAIT_S = 60.0
_REST_OF_KEY_S = 0.05


class _Ended(BaseException):
    """The process was told to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def require_terminal(command: str) -> None:
    """Raise `CtlError` when there is no terminal that a recording could be shown on."""
    fits = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}
    if not fits:
        raise CtlError(
            "usage",
            f"{command} needs a terminal that can move its cursor",
            "'jitctl sessions export ID -O FILE' writes the recording to a file",
        )


class Terminal:
    """Standard input and output, as a screen and keys; use it with `with`."""

    def __init__(self) -> None:
        self._keys = sys.stdin.fileno()
        self._screen = sys.stdout.fileno()
        self._encoding = "utf-8" if codecs.lookup(sys.stdout.encoding).name == "utf-8" else "ascii"
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typed = ""
        self._open = threading.Lock()
        self._waker = -1
        self.resized = False

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._keys)
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        self._handlers = {number: signal.signal(number, self._end) for number in _ENDING}
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._note_size)
        self._take_over()
        self.write(f"\x1b[?1049h{SOFT_RESET}\x1b[H\x1b[2J")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second signal must not come in between.
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        # A terminal that is gone needs nothing back.
        with contextlib.suppress(OSError, termios.error):
            self.write(f"\x1b[?2026l{SOFT_RESET}\x1b[?1049l")
        with contextlib.suppress(OSError, termios.error):
            # What was typed ahead was meant for the player, not for the shell.
            termios.tcsetattr(self._keys, termios.TCSAFLUSH, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        with self._open:
            # Another thread may still want to wake us, and the number may soon be another file's.
            os.close(self._waker)
            self._waker = -1
        os.close(self._woken)
        if isinstance(error, _Ended):
            signal.signal(error.number, signal.SIG_DFL)
            os.kill(os.getpid(), error.number)

    def _take_over(self) -> None:
        mode = termios.tcgetattr(self._keys)
        mode[0] &= ~(termios.ICRNL | termios.IXON)
        mode[1] &= ~termios.OPOST
        mode[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        # Ctrl-C stays what it is; to stop in the background with a screen that is not the shell's would be no help.
        mode[6] = [*mode[6]]
        for key in (termios.VSUSP, termios.VQUIT):
            mode[6][key] = b"\0"
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._keys, termios.TCSADRAIN, mode)

    def _end(self, number: int, frame: FrameType | None) -> None:
        raise _Ended(number)

    def _note_size(self, number: int, frame: FrameType | None) -> None:
        self.resized = True
        self._poke()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns now."""
        try:
            columns, rows = os.get_terminal_size(self._screen)
        except OSError:
            return 24, 80
        return rows or 24, columns or 80

    def write(self, text: str) -> None:
        data = memoryview(text.encode(self._encoding, "replace"))
        while data:
            data = data[os.write(self._screen, data) :]

    def wake(self) -> None:
        """Make `wait` return now; may be called by any thread."""
        with self._open:
            if self._waker >= 0:
                self._poke()

    def _poke(self) -> None:
        # When the pipe is full, `wait` returns anyway.
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b".")

    def wait(self, seconds: float | None) -> list[str]:
        """The keys that were pressed, as soon as there is one, or `wake` is called, or the time is up.

        Arrows are "left", "right", "up" and "down"; other keys with a name of
        their own are dropped; the end of input is "q".
        """
        at_most = _LONGEST_WAIT_S if seconds is None else min(max(seconds, 0.0), _LONGEST_WAIT_S)
        if self._typed:
            at_most = min(at_most, _REST_OF_KEY_S)
        ready, _, _ = select.select([self._keys, self._woken], [], [], at_most)
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
        if not ready:
            # Whatever began like a longer key was one by itself.
            typed, self._typed = self._typed, ""
            return [typed[0]] if typed else []
        if self._keys not in ready:
            return []
        data = os.read(self._keys, 1024)
        if not data:
            return ["q"]
        return self._keys_in(self._typed + self._decoder.decode(data))

    def _keys_in(self, text: str) -> list[str]:
        self._typed = ""
        keys = []
        for found in _KEY.finditer(text):
            if found.end() == len(text) and _PART_OF_KEY.fullmatch(found.group()):
                self._typed = found.group()
            elif found[1]:
                keys += [_ARROWS[found[1]]] if found[1] in _ARROWS else []
            elif len(found.group()) == 1:
                keys.append(found.group())
        return keys
