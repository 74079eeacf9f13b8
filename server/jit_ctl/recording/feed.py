"""A thread that fetches a recording onto a tape, and goes on with it while the session runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from jit_ctl.errors import CtlError
from jit_ctl.session_model import Piece, Session

from .chunks import Assembly
from .tape import Tape

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0

Wake = Callable[[], None]


class Source(Protocol):
    """What the server offers; `client.Server` is one.  Every method raises `CtlError`."""

    def recording(self, session_id: str, *, first_chunk: int = 0, watch: bool = False) -> Iterator[Session | Piece]: ...

    def control_session(self, ref: str, act: str, reason: str) -> Session: ...


class Feed:
    """`wake` is called after every change of what one can read here."""

    def __init__(self, source: Source, session: Session, tape: Tape, wake: Wake, *, watch: bool) -> None:
        self._source = source
        self._tape = tape
        self._wake = wake
        self._watch = watch
        self._left = threading.Event()
        self.session = session
        self.finished = False
        """Nothing more will come, and `trouble` is the last."""
        self.trouble: CtlError | None = None
        """Why nothing comes: for now, or for ever when `finished`."""

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def leave(self) -> None:
        """Fetch no more."""
        self._left.set()

    def _run(self) -> None:
        assembly = Assembly(self.session.session_id)
        pause = FIRST_PAUSE_S
        while not self._left.is_set():
            first = assembly.restart()
            try:
                self._read(assembly, first)
                assembly.finish()
                if self._watch and not self.session.state.over:
                    raise CtlError("unavailable", "the server does not go on")
                self.trouble = None
                self.finished = True
            except CtlError as error:
                self.trouble = error
                # Half a recording is shown up to there; a session that is watched is taken up again.
                self.finished = not self._watch or error.code != "unavailable"
            except Exception as error:
                # A bug must not look like a session in which nothing happens.
                self.trouble = CtlError("failed", f"{type(error).__name__}: {error}", "please report this")
                self.finished = True
            self._wake()
            if self.finished:
                return
            pause = FIRST_PAUSE_S if assembly.restart() > first else min(pause * 2, LONGEST_PAUSE_S)
            self._left.wait(pause)

    def _read(self, assembly: Assembly, first: int) -> None:
        news = self._source.recording(self.session.session_id, first_chunk=first, watch=self._watch)
        for one in news:
            if self._left.is_set():
                return
            self.trouble = None
            if isinstance(one, Session):
                self.session = one
            elif (chunk := assembly.take(one)) is None:
                continue
            else:
                self._tape.append(chunk)
            self._wake()


class Orders:
    """Freeze, thaw and kill by a thread, so that the picture goes on meanwhile."""

    def __init__(self, source: Source, session_id: str, wake: Wake) -> None:
        self._source = source
        self._session_id = session_id
        self._wake = wake
        self._answers: list[str] = []

    def give(self, act: str, reason: str) -> None:
        threading.Thread(target=self._give, args=(act, reason), daemon=True).start()

    def answer(self) -> str | None:
        """What came of the oldest order that was not told yet."""
        return self._answers.pop(0) if self._answers else None

    def _give(self, act: str, reason: str) -> None:
        try:
            self._source.control_session(self._session_id, act, reason)
            self._answers.append(f"{act}: ordered")
        except CtlError as error:
            self._answers.append(f"{act}: {error.message}")
        self._wake()
