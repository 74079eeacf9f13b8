"""Following requests alive: a table on a terminal, a line for each change elsewhere.

A lost connection is taken up again, and said; the server begins each stream
with all that is pending, so nothing is missed in between.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from .errors import CtlError
from .model import Request, RequestState
from .output import Column, Format, Output

if TYPE_CHECKING:
    from .client import Server

T = TypeVar("T")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0


def lasting(begin: Callable[[], Iterator[T]], out: Output, *, opened: bool = False) -> Iterator[T]:
    """A stream that outlives the server's restarts.

    `begin` opens it anew.  Before it gave anything (unless `opened` says the
    server was reached), and for every error but an unreachable server, the
    error is the caller's.
    """
    pause = FIRST_PAUSE_S
    while True:
        try:
            for value in begin():
                pause, opened = FIRST_PAUSE_S, True
                yield value
        except CtlError as error:
            if error.code != "unavailable" or not opened:
                raise
            out.talk(f"jitctl: {error.message}; trying again")
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)


def can_redraw(out: Output) -> bool:
    """Whether there is a table to keep up to date; a dumb terminal gets lines, as a pipe does."""
    return out.on_terminal and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}


class Board:
    """What is pending now, by id, oldest first."""

    def __init__(self) -> None:
        self._pending: dict[str, Request] = {}
        self._seen: dict[str, Request] = {}

    def take(self, request: Request) -> tuple[bool, bool]:
        """Remember a request; say whether it is changed, and whether it is newly pending."""
        known = self._seen.get(request.request_id)
        self._seen[request.request_id] = request
        if request.state is RequestState.PENDING:
            self._pending[request.request_id] = request
        else:
            self._pending.pop(request.request_id, None)
        return known != request, known is None and request.state is RequestState.PENDING

    def pending(self) -> list[Request]:
        return sorted(self._pending.copy().values(), key=lambda request: request.created_at)


def follow(
    server: Server,
    out: Output,
    columns: Sequence[Column[Request]],
    with_state: Sequence[Column[Request]],
    name: Callable[[Request], str],
) -> None:
    """Print until interrupted; raises `CtlError` when the server cannot be reached at first."""
    board = Board()
    if can_redraw(out):
        _live(server, out, board, columns)
        return
    if out.format is Format.TABLE and out.header:
        print("\t".join(column.title for column in with_state), flush=True)
    for request in lasting(server.watch_requests, out):
        changed, _ = board.take(request)
        if not changed:
            continue
        if out.format is Format.TABLE:
            out.row(request, with_state)
        else:
            out.item(request, name)


def _live(server: Server, out: Output, board: Board, columns: Sequence[Column[Request]]) -> None:
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.text import Text

    def picture() -> RenderableType:
        pending = board.pending()
        last = Text(f"{len(pending)} pending; Ctrl-C leaves", style="dim")
        return Group(out.table(pending, columns), last) if pending else last

    console = Console(highlight=False, markup=False, emoji=False)
    with Live(console=console, get_renderable=picture, refresh_per_second=1) as live:
        for request in lasting(server.watch_requests, out):
            _, new = board.take(request)
            live.refresh()
            if new and not out.quiet:
                # The bell is ours; the same byte in a request is shown as \x07.
                console.bell()
