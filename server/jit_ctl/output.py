"""Everything `jitctl` prints goes through here, so nothing unsafe can (S12).

Data goes to stdout, talk to stderr.  On a terminal a list is a table; into a
pipe it is one tab-separated line an item; `-o json` and `jsonl` give the
values of `model` with RFC 3339 times in UTC.  JSON is written in printable
ASCII alone, so it is exact and safe at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import times
from .errors import CtlError
from .safe import safe

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")
Cell = str | datetime | None


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column of a table.  `whole` keeps it on one line (ids), `style` colours it."""

    title: str
    cell: Callable[[T], Cell]
    whole: bool = False
    style: Callable[[T], str] | None = None


def plain(value: object) -> Any:
    """What JSON can say of a value: dataclasses as objects, instants as RFC 3339."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return times.rfc3339(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def json_text(value: object, indent: int | None = None) -> str:
    # json.dumps leaves DEL alone, the one control character above ASCII's printable range.
    return json.dumps(plain(value), indent=indent).replace("\x7f", "\\u007f")


def say(text: str) -> None:
    """One safe line on stderr."""
    print(safe(text), file=sys.stderr, flush=True)


def tell(error: CtlError, *, as_json: bool) -> None:
    """One line and perhaps a hint on stderr, or one JSON object."""
    if as_json:
        say(json_text({"error": {"code": error.code, "message": error.message, "hint": error.hint}}))
        return
    say(f"jitctl: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")


@dataclass(frozen=True, slots=True)
class Output:
    """How one run speaks: its format and the flags every command has."""

    format: Format
    header: bool
    quiet: bool
    utc: bool

    @property
    def for_people(self) -> bool:
        return self.format is Format.TABLE

    @property
    def on_terminal(self) -> bool:
        return self.for_people and sys.stdout.isatty()

    def talk(self, text: str) -> None:
        """Tell a person something that is not data; `-q` silences it."""
        if not self.quiet:
            say(text)

    def line(self, text: str) -> None:
        """One safe line of data."""
        print(safe(text), flush=True)

    def exact(self, text: str) -> None:
        """A text of several lines: as it is into a file, line by line made safe on a terminal."""
        if sys.stdout.isatty():
            for part in text.split("\n")[: -1 if text.endswith("\n") else None]:
                self.line(part)
        else:
            sys.stdout.write(text)
            sys.stdout.flush()

    def when(self, moment: datetime | None) -> str:
        """An instant in full, with the distance from now."""
        if moment is None:
            return "never"
        return f"{times.clock_time(moment, utc=self.utc)} ({times.relative(moment, times.now())})"

    def moment(self, at: datetime | None) -> str:
        """An instant within a sentence: in full on a terminal, with its zone in a line that may be kept."""
        return self.when(at) if at is None or self.on_terminal else self._zoned(at)

    def parse_moment(self, text: str) -> datetime | None:
        """The instant of a --since or --until, in the zone that is shown; none without a text."""
        return times.parse_moment(text, times.now(), utc=self.utc) if text else None

    def _zoned(self, at: datetime) -> str:
        return times.zoned(at, utc=self.utc).isoformat(timespec="seconds").replace("+00:00", "Z")

    def items(self, values: Sequence[T], columns: Sequence[Column[T]], name: Callable[[T], str], nothing: str) -> None:
        """Print a list; `nothing` is said to a person when it is empty."""
        match self.format:
            case Format.JSON:
                print(json_text(values, indent=2))
            case Format.TABLE if not values:
                self.talk(nothing)
            case Format.TABLE if sys.stdout.isatty():
                self._print_table(self.table(values, columns))
            case Format.TABLE:
                if self.header:
                    print("\t".join(column.title for column in columns))
                for value in values:
                    self.row(value, columns)
            case _:
                for value in values:
                    self.item(value, name)

    def item(self, value: T, name: Callable[[T], str], people: Callable[[T], Iterable[str]] | None = None) -> None:
        """Print one value; `people` gives the lines of its `-o table` form."""
        match self.format:
            case Format.JSON:
                print(json_text(value, indent=2), flush=True)
            case Format.JSONL:
                print(json_text(value), flush=True)
            case Format.NAME:
                self.line(name(value))
            case Format.TABLE:
                for text in people(value) if people else (name(value),):
                    self.line(text)

    def row(self, value: T, columns: Sequence[Column[T]]) -> None:
        """One tab-separated line; times with their offset, so that a log of them stays true."""

        def text(cell: Cell) -> str:
            return self._zoned(cell) if isinstance(cell, datetime) else safe(cell or "-")

        print("\t".join(text(column.cell(value)) for column in columns), flush=True)

    def table(self, values: Iterable[T], columns: Sequence[Column[T]]) -> Table:
        """A table for a terminal; cells fold and are never cut."""
        from rich.table import Table
        from rich.text import Text

        now = times.now()

        def text(cell: Cell) -> str:
            return times.relative(cell, now) if isinstance(cell, datetime) else safe(cell or "-")

        table = Table(box=None, pad_edge=False, show_header=self.header, header_style="bold")
        for column in columns:
            table.add_column(column.title, no_wrap=column.whole, overflow="fold")
        for value in values:
            # Text, not str: rich would read [markup] in what other people wrote.
            table.add_row(
                *(
                    Text(text(column.cell(value)), style=column.style(value) if column.style else "")
                    for column in columns
                )
            )
        return table

    def _print_table(self, table: Table) -> None:
        from rich.console import Console

        Console(highlight=False, markup=False, emoji=False).print(table)


def facts(*pairs: tuple[str, str | Sequence[str]]) -> Iterable[str]:
    """Lines "Label  value"; a list takes a line each; empty ones are left out."""
    shown = [(label, [value] if isinstance(value, str) else list(value)) for label, value in pairs if value]
    width = max((len(label) for label, _ in shown), default=0) + 2
    for label, lines in shown:
        for place, text in enumerate(lines):
            yield f"{label if place == 0 else '':<{width}}{text}"
