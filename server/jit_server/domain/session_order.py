"""What a host is told to do about its open sessions: level, always all of it (SPEC 8.5).

Who watches counts only while they are heard, and the gate of a watched role opens for nobody who has a stake in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jit_server.domain.session import Act, Session, SessionState

WATCHER_COUNTS_US = 5 * 1_000_000
"""A watcher who was not heard for so long is gone (SPEC 8.5)."""

REPEAT_S = 3.0
"""Orders are said again so often while a watched session is open: a host freezes it that hears nothing for 10 s."""

MAX_MESSAGE = 300
"""What a person is told on their terminal (SPEC 3.2)."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """Somebody who reads a recording as it comes; `counts`: for them the gate of a watched role opens."""

    session_id: str
    user_id: str
    seen_at: int
    counts: bool

    def watches_at(self, now: int) -> bool:
        return now < self.seen_at + WATCHER_COUNTS_US


@dataclass(frozen=True, slots=True)
class Order:
    """What holds for one session of a host; one without an order runs, unwatched."""

    session_id: str
    watched: bool = False
    frozen: bool = False
    killed: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class Orders:
    """All orders of a host; they are to be looked at again after `look_again_s`, None: when something changes.

    `repeat`: a watched session is open, so the host has to hear from the server every few seconds.
    """

    orders: tuple[Order, ...]
    look_again_s: float | None
    repeat: bool


def orders(sessions: Iterable[Session], watchers: Sequence[Watcher], now: int) -> Orders:
    """What a host is to do about its open sessions (SPEC 8.5)."""
    found: list[Order] = []
    watching: list[Watcher] = []
    repeat = False
    for session in sessions:
        if session.is_over:
            continue
        repeat = repeat or session.watch_s > 0
        counted = [
            one
            for one in watchers
            if one.session_id == session.session_id and one.watches_at(now) and (one.counts or not session.watch_s)
        ]
        watching += counted
        order = _order(session, watched=bool(counted))
        if order != Order(session.session_id):
            found.append(order)
    silent_at = min((one.seen_at + WATCHER_COUNTS_US for one in watching), default=None)
    look_again_s = None if silent_at is None else max(0.0, (silent_at - now) / 1_000_000)
    return Orders(tuple(sorted(found, key=lambda order: order.session_id)), look_again_s, repeat)


def _order(session: Session, *, watched: bool) -> Order:
    # A thaw is told until the host has said that it was done, so that the person learns by whom.
    told = session.act in {Act.FREEZE, Act.KILL} or (session.act is Act.THAW and session.state is SessionState.FROZEN)
    return Order(
        session.session_id,
        watched=watched,
        frozen=session.act is Act.FREEZE,
        killed=session.act is Act.KILL,
        message=_shown(session.last_order) if told else "",
    )


def _shown(text: str) -> str:
    """One line that a terminal can take (S12), no longer than it may be."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= MAX_MESSAGE else f"{line[: MAX_MESSAGE - 1]}…"
