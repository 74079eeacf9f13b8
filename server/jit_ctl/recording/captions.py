"""What the player says on the last line of the viewer's terminal; text from outside is made safe (S12)."""

from __future__ import annotations

from dataclasses import dataclass

from jit_ctl.safe import safe
from jit_ctl.session_model import Session, SessionState

from .frames import Exit
from .pace import SECOND_NS

PLAY_KEYS = "space . <- -> 0-9 + - / n q"
LIVE_KEYS = "f freeze, t thaw, k kill, q leave"


def clock(ns: int) -> str:
    """As 1:02:03, or 2:03."""
    minutes, seconds = divmod(ns // SECOND_NS, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@dataclass(frozen=True, slots=True)
class Progress:
    at_ns: int
    length_ns: int
    speed: float

    def __str__(self) -> str:
        return f"{clock(self.at_ns)} of {clock(max(self.at_ns, self.length_ns))}, speed {self.speed:g}"


def paused(progress: Progress, *, live: bool) -> str:
    keys = f"{PLAY_KEYS} | {LIVE_KEYS}, l now" if live else PLAY_KEYS
    return f"PAUSED at {progress} | {keys}"


def sizes(recorded: tuple[int, int], here: tuple[int, int]) -> str:
    """A note when the picture cannot be what it was; empty when it can, or when there was no terminal."""
    if recorded == here or 0 in recorded:
        return ""
    return f"the session's terminal has {recorded[1]}x{recorded[0]}, this one {here[1]}x{here[0]}"


def outcome(session: Session, told: Exit | None) -> str:
    """How the session ended, as far as it is known."""
    if session.state is SessionState.REJECTED:
        return f"REJECTED: {safe(session.reject_reason)}"
    if session.state is SessionState.LOST:
        return "LOST: its end was not told"
    signal = told.signal if told else session.signal
    status = told.status if told else session.exit_value
    return f"ended: killed by {safe(signal)}" if signal else f"ended: exit {status}"


def end(session: Session, told: Exit | None, progress: Progress, trouble: str) -> str:
    """That there is no more to show, and why."""
    if trouble:
        return f"END, q leaves: {safe(trouble)}"
    why = outcome(session, told) if session.state.over else "there is no more of it yet"
    return f"END at {progress} | {why} | q leaves"


def standing(session: Session) -> str:
    """What a session waits for; empty while it runs."""
    match session.state:
        case SessionState.RUNNING:
            return ""
        case SessionState.WAITING:
            return f"WAITING: it starts once it is watched | {LIVE_KEYS}"
        case SessionState.FROZEN:
            order = session.order.removeprefix("frozen ") or "by its host, which hears of no watcher"
            return f"FROZEN {safe(order)} | {LIVE_KEYS}"
        case _:
            return f"{outcome(session, None)} | its last output may still come | q leaves"


def change(before: SessionState, now: SessionState) -> str:
    """A note on a change of state; empty for one that needs none."""
    match before, now:
        case SessionState.FROZEN, SessionState.RUNNING:
            return "THAWED"
        case SessionState.WAITING, SessionState.RUNNING:
            return "STARTED"
        case _:
            return ""
