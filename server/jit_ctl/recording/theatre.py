"""Replay and watch: a terminal, a tape, a thread that fills it, and the player."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from jit_ctl.session_model import Session

from .feed import Feed, Orders, Source
from .pace import SECOND_NS, Pace
from .player import Player
from .tape import Tape
from .terminal import Terminal, require_terminal

Choose = Callable[[], Session]
"""Asks the server for the session, once it is sure that there is a terminal."""


def replay_session(source: Source, choose: Choose, *, speed: float, idle_limit_s: float | None, start_s: int) -> None:
    """Return when the viewer leaves; raise `CtlError` without a terminal, or when the recording did not come whole."""
    require_terminal("replay")
    session = choose()
    pace = Pace(speed, idle_limit_s, following=False)
    with ExitStack() as stack:
        tape = stack.enter_context(Tape(session.session_id))
        terminal = stack.enter_context(Terminal())
        feed = _start(stack, Feed(source, session, tape, terminal.wake, watch=False))
        Player(terminal, tape, feed, pace, from_ns=start_s * SECOND_NS).run()
    if feed.trouble:
        raise feed.trouble


def watch_session(source: Source, choose: Choose, *, from_start: bool) -> Session:
    """Return how the session is when the viewer leaves; raise `CtlError` as `replay_session` does."""
    require_terminal("watch")
    session = choose()
    pace = Pace(1.0, None, following=not from_start)
    with ExitStack() as stack:
        tape = stack.enter_context(Tape(session.session_id))
        terminal = stack.enter_context(Terminal())
        feed = _start(stack, Feed(source, session, tape, terminal.wake, watch=True))
        orders = Orders(source, session.session_id, terminal.wake)
        Player(terminal, tape, feed, pace, orders=orders).run()
    if feed.finished and feed.trouble:
        raise feed.trouble
    return feed.session


def _start(stack: ExitStack, feed: Feed) -> Feed:
    stack.callback(feed.leave)
    feed.start()
    return feed
