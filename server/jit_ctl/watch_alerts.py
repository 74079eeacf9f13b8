"""Following alerts: a table on a terminal, a line for each that is new or over elsewhere.

Alerts are computed by the server when it is asked, so this asks again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .model import Alert
from .output import Cell, Column, Format, Output
from .watch import can_redraw, lasting

if TYPE_CHECKING:
    from .client import Server

LOOK_EVERY_S = 2.0

Alerts = Sequence[Alert]


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that is new, or `over`."""

    over: bool
    alert: Alert


class Board:
    """What there was at the last look."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Alert] = {}

    def take(self, alerts: Alerts) -> list[Change]:
        """Remember what there is now; return what that changes."""
        now = {_key(alert): alert for alert in alerts}
        over = [Change(True, alert) for key, alert in self._known.items() if key not in now]
        new = [Change(False, alert) for key, alert in now.items() if key not in self._known]
        self._known = now
        return over + new


def _key(alert: Alert) -> tuple[str, ...]:
    # Messages with a measure in them change from look to look; those of hosts are all that tells two problems apart.
    return alert.kind, alert.host, alert.grant_id, alert.message if alert.kind == "host_problem" else ""


def follow(server: Server, out: Output, columns: Sequence[Column[Alert]], name: Callable[[Alert], str]) -> None:
    """Print until interrupted; raises `CtlError` when the server cannot be reached at first."""

    def looks() -> Iterator[Alerts]:
        while True:
            yield server.alerts()
            time.sleep(LOOK_EVERY_S)

    board = Board()
    if can_redraw(out):
        _live(lasting(looks, out), out, board, columns)
        return
    first: Column[Change] = Column("CHANGE", lambda change: "over" if change.over else "new")
    rows = (first, *(Column(column.title, _of(column.cell)) for column in columns))
    if out.format is Format.TABLE and out.header:
        print("\t".join(row.title for row in rows), flush=True)
    for alerts in lasting(looks, out):
        for change in board.take(alerts):
            if out.format is Format.TABLE:
                out.row(change, rows)
            else:
                out.item(change, lambda change: name(change.alert))


def _of(cell: Callable[[Alert], Cell]) -> Callable[[Change], Cell]:
    return lambda change: cell(change.alert)


def _live(looks: Iterator[Alerts], out: Output, board: Board, columns: Sequence[Column[Alert]]) -> None:
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.text import Text

    shown: Alerts = ()

    def picture() -> RenderableType:
        count = "1 alert" if len(shown) == 1 else f"{len(shown)} alerts"
        last = Text(f"{count}; Ctrl-C leaves", style="dim")
        return Group(out.table(shown, columns), last) if shown else last

    console = Console(highlight=False, markup=False, emoji=False)
    with Live(console=console, get_renderable=picture, refresh_per_second=1) as live:
        for shown in looks:
            changes = board.take(shown)
            live.refresh()
            if any(not change.over for change in changes) and not out.quiet:
                console.bell()
