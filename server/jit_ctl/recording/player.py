"""The player: a recording in a terminal, at its own pace or as it comes (SPEC 8.7).

One loop: show what is due, then wait for a key, for news, or for the next
event.  Whatever the player itself says covers the last line until the picture
goes on; it is then drawn anew, so that nothing of ours stays in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from jit_ctl.safe import safe

from . import captions
from .feed import Feed, Orders
from .frames import Event, Resize
from .pace import SECOND_NS, Pace
from .projector import Projector, Until, find
from .tape import Tape
from .terminal import Terminal

_NOTE_S = 1.0
_JUMP_NS = 5 * SECOND_NS
_BATCH = 65_536
"""Characters between two looks at the keyboard."""


@dataclass(slots=True)
class _Prompt:
    label: str
    then: Callable[[str], None]
    typed: str = ""


class Player:
    """`orders` makes it a watcher's: it goes on when the recording does, and has keys to freeze, thaw and kill."""

    def __init__(
        self, terminal: Terminal, tape: Tape, feed: Feed, pace: Pace, *, orders: Orders | None = None, from_ns: int = 0
    ) -> None:
        self._terminal = terminal
        self._tape = tape
        self._feed = feed
        self._pace = pace
        self._orders = orders
        self._projector = Projector(tape, feed.session.rows, feed.session.columns)
        self._state = feed.session.state
        self._at_first = feed.session.chunks
        self._paused = False
        self._left = False
        self._prompt: _Prompt | None = None
        self._wanted = ""
        self._covered = ""
        self._note_until = 0.0
        self._clock_ns = 0
        self._wall = time.monotonic()
        self._goal: tuple[int, Until] | None = None
        if from_ns:
            self._go_to(from_ns)
        elif pace.following:
            self._goal = 0, lambda _: False  # to what is now, without showing how it came to be

    def run(self) -> None:
        """Play until the viewer leaves."""
        self._terminal.write(self._projector.redraw())
        self._note(captions.sizes(self._projector.size, self._terminal.size))
        while not self._left:
            self._hear()
            for key in self._terminal.wait(self._advance()):
                self._press(key)
            if self._terminal.resized:
                self._terminal.resized = False
                self._uncover()

    # What is shown, and when

    def _advance(self) -> float | None:
        """Show what is due; return the seconds until there is more to do, None when only a key or news matter."""
        now = time.monotonic()
        if self._prompt is not None:
            self._cover(f"{self._prompt.label}{safe(self._prompt.typed)}_")
            return None
        if self._goal is not None and not self._reach(*self._goal):
            return None
        if now < self._note_until:
            return self._note_until - now
        if self._paused:
            self._cover(captions.paused(self._progress(), live=self._orders is not None))
            return None
        return self._play(now)

    def _play(self, now: float) -> float | None:
        texts: list[str] = []
        anew, size = False, 0
        while (event := self._projector.peek()) is not None and size < _BATCH:
            due = self._due(event)
            if due > now:
                break
            self._wall = due if now - due < 1.0 else now
            text = self._take()
            anew |= text is None
            texts.append(text or "")
            size += len(texts[-1])
            if isinstance(event, Resize) and (note := captions.sizes(self._projector.size, self._terminal.size)):
                self._write(texts, anew=anew)
                self._note(note)
                return _NOTE_S
        if texts:
            self._write(texts, anew=anew)
        if event is None:
            return self._stand(now)
        if self._covered:
            self._uncover()
        return 0 if size >= _BATCH else max(0.0, self._due(event) - time.monotonic())

    def _take(self) -> str | None:
        """As `Projector.step`, and the clock goes with it."""
        text = self._projector.step()
        self._clock_ns = self._projector.at_ns
        return text

    def _write(self, texts: list[str], *, anew: bool) -> None:
        if anew or self._covered:
            self._uncover()
        else:
            self._terminal.write("".join(texts))

    def _due(self, event: Event) -> float:
        return self._wall + self._pace.pause_s(event.at_ns - self._clock_ns)

    def _stand(self, now: float) -> float | None:
        """At the end of what there is."""
        self._wall = now
        feed = self._feed
        finished, error = feed.finished, feed.trouble  # in this order, for its thread changes them
        trouble = error.message if error else ""
        if finished:
            self._cover(captions.end(feed.session, self._projector.exit, self._progress(), trouble))
        elif self._orders is not None:
            # With something shown and nothing left of what there was at first, this is now.
            self._pace.following |= self._projector.position > 0 and len(self._tape) >= self._at_first
            if banner := f"{safe(trouble)}; trying again" if trouble else captions.standing(feed.session):
                self._cover(banner)
            elif self._covered:
                self._uncover()
        return None

    def _hear(self) -> None:
        """Tell what has changed since the last look."""
        session = self._feed.session
        if session.state is not self._state:
            self._note(captions.change(self._state, session.state))
            self._state = session.state
        if self._orders is not None and (answer := self._orders.answer()) is not None:
            self._note(safe(answer))

    # Jumps

    def _go_to(self, ns: int) -> None:
        target = max(ns, 0)
        if target < self._projector.at_ns:
            self._projector.rewind()
        self._pace.following = False
        self._goal = target, lambda event: event.at_ns > target

    def _reach(self, target_ns: int, until: Until) -> bool:
        """Go on towards the goal; return whether it is reached or can never be."""
        reached = self._projector.skip(until)
        if not (reached or self._feed.finished or self._orders is not None):
            self._cover("fetching")
            return False
        self._goal = None
        self._clock_ns = max(self._projector.at_ns, target_ns) if reached else self._projector.at_ns
        self._wall = time.monotonic()
        note = self._covered if self._wall < self._note_until else ""
        self._uncover()
        if note:
            self._cover(note)
        return True

    def _now_ns(self) -> int:
        """The time in the recording, also between two events."""
        if self._paused or self._goal is not None or (event := self._projector.peek()) is None:
            return self._clock_ns
        return min(self._clock_ns + self._pace.passed_ns(time.monotonic() - self._wall), event.at_ns)

    def _find(self, text: str) -> None:
        self._wanted = text
        position = find(self._tape, text, self._projector.position)
        if position is None:
            self._note(f"not found: {safe(text)}")
            return
        if position <= self._projector.position:
            self._projector.rewind()
        self._projector.skip(lambda _: self._projector.position >= position)
        self._goal = None
        self._clock_ns = self._projector.at_ns
        self._paused, self._pace.following = True, False
        self._uncover()

    # What the player itself says

    def _progress(self) -> captions.Progress:
        length = max(self._tape.length_ns, self._feed.session.run_time_us * 1000)
        return captions.Progress(self._clock_ns, length, self._pace.speed)

    def _cover(self, text: str) -> None:
        if text == self._covered:
            return
        self._covered = text
        rows, _ = self._terminal.size
        # No wrapping: what does not fit is not seen.  The cursor waits out of the way.
        self._terminal.write(f"\x1b[?6l\x1b[?7l\x0f\x1b(B\x1b[{rows};1H\x1b[0;7m\x1b[2K{text}\x1b[0m\x1b[?25l")

    def _uncover(self) -> None:
        self._covered = ""
        self._terminal.write(self._projector.redraw())

    def _note(self, text: str) -> None:
        """Say something for a second, in which the picture stands still."""
        if text:
            self._cover(text)
            self._note_until = time.monotonic() + _NOTE_S

    # Keys

    def _press(self, key: str) -> None:
        if self._prompt is not None:
            self._type(self._prompt, key)
            return
        live = self._orders is not None
        match key:
            case "q":
                self._left = True
            case " ":
                self._pause(not self._paused)
            case ".":
                self._step()
            case "+" | "=":
                self._change_speed(2)
            case "-" | "_":
                self._change_speed(0.5)
            case "left":
                self._go_to(self._now_ns() - _JUMP_NS)
            case "right":
                self._go_to(self._now_ns() + _JUMP_NS)
            case digit if digit in "0123456789":
                self._go_to(self._progress().length_ns * int(digit) // 10)
            case "/":
                self._prompt = _Prompt("find: ", self._find)
            case "n" if self._wanted:
                self._find(self._wanted)
            case "l" if live:
                self._paused, self._pace.following, self._goal = False, True, (0, lambda _: False)
            case "f" if live:
                self._order("freeze", "frozen by who watches")
            case "t" if live:
                self._order("thaw", "thawed by who watches")
            case "k" if live:
                self._prompt = _Prompt(
                    "kill the session's processes, because (empty: do not): ", lambda why: self._order("kill", why)
                )

    def _type(self, prompt: _Prompt, key: str) -> None:
        if key in "\r\n\x1b":
            self._prompt = None
            self._uncover()
            if key != "\x1b" and prompt.typed.strip():
                prompt.then(prompt.typed.strip())
        elif key in "\x7f\x08":
            prompt.typed = prompt.typed[:-1]
        elif key.isprintable() and len(key) == 1:
            prompt.typed += key

    def _order(self, act: str, reason: str) -> None:
        if self._orders is not None:
            self._note(f"{act} …")
            self._orders.give(act, reason)

    def _pause(self, paused: bool) -> None:
        self._clock_ns = self._now_ns()
        self._wall = time.monotonic()
        self._paused = paused
        self._note_until = 0.0

    def _step(self) -> None:
        self._pause(True)
        # On to the next that changes the picture.
        while self._projector.peek() is not None and self._take() == "":
            pass
        self._uncover()

    def _change_speed(self, factor: float) -> None:
        self._clock_ns = self._now_ns()
        self._wall = time.monotonic()
        self._pace.change(factor)
        self._note(f"speed {self._pace.speed:g}")
