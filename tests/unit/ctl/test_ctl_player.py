"""The player beside the thread that fetches what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jit_ctl.errors import CtlError
from jit_ctl.recording.feed import Feed, Orders
from jit_ctl.recording.pace import Pace
from jit_ctl.recording.player import Player
from jit_ctl.recording.tape import Tape
from jit_ctl.session_model import Piece, RecordingState, Session, SessionState

SES = "ses-0000000000000001"


def session() -> Session:
    values: dict[str, Any] = dict.fromkeys(Session.__slots__, 0) | {
        "session_id": SES,
        "state": SessionState.RUNNING,
        "recording": RecordingState.ARRIVING,
        "order": "",
    }
    return Session(**values)


class Nothing:
    """A source that has nothing and is asked nothing."""

    def recording(self, session_id: str, *, first_chunk: int = 0, watch: bool = False) -> Iterator[Session | Piece]:
        return iter(())

    def control_session(self, ref: str, act: str, reason: str) -> Session:
        return session()


class Screen:
    """A terminal at which somebody looks for a moment and presses q."""

    size = 24, 80
    resized = False

    def __init__(self) -> None:
        self.written = ""
        self._keys: list[list[str]] = [[], [], ["q"]]

    def write(self, text: str) -> None:
        self.written += text

    def wait(self, seconds: float | None) -> list[str]:
        return self._keys.pop(0)


class Interrupted(Feed):
    """The connection was broken, and is there again while the player still speaks of that."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._said: list[CtlError | None] = []
        super().__init__(*arguments, **named)
        self._said = [CtlError("unavailable", "cannot reach the server")]

    @property
    def trouble(self) -> CtlError | None:
        return self._said.pop() if self._said else None

    @trouble.setter
    def trouble(self, error: CtlError | None) -> None:
        self._said = [error] if error else []


@pytest.mark.parametrize(("finished", "said"), [(False, "cannot reach the server; trying again"), (True, "END, q")])
def test_a_connection_that_is_back_meanwhile_stops_no_player(finished: bool, said: str) -> None:
    wake: Callable[[], None] = lambda: None  # noqa: E731 - nobody waits
    with Tape(SES) as tape:
        screen = Screen()
        feed = Interrupted(Nothing(), session(), tape, wake, watch=True)
        feed.finished = finished
        orders = Orders(Nothing(), SES, wake)
        Player(screen, tape, feed, Pace(1.0, None, following=True), orders=orders).run()  # type: ignore[arg-type]
    assert said in screen.written
