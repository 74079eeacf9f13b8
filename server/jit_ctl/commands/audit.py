"""audit: the log in its one total order, by filter, by cursor, or as it grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from jit_ctl import times
from jit_ctl.completing import grant_ids, host_names, request_ids, user_names
from jit_ctl.model import Event, EventFilter
from jit_ctl.options import LISTS, STREAMS, Command, output_options, server_options
from jit_ctl.output import Column, Format, Output
from jit_ctl.telling import details, told

if TYPE_CHECKING:
    from jit_ctl.client import Server


# Into a pipe goes everything, on a terminal what fits on a line.
_COLUMNS: Sequence[Column[Event]] = (
    Column("SEQ", lambda e: str(e.sequence), whole=True),
    Column("WHEN", lambda e: e.at),
    Column("KIND", lambda e: e.kind),
    Column("ACTOR", lambda e: e.actor),
    Column("USER", lambda e: e.user),
    Column("HOST", lambda e: e.host),
    Column("ROLE", lambda e: e.role),
    Column("REQUEST", lambda e: e.request_id),
    Column("GRANT", lambda e: e.grant_id),
    Column("DETAILS", details),
)


def _terminal_columns(out: Output) -> Sequence[Column[Event]]:
    return (
        Column("SEQ", lambda e: str(e.sequence), whole=True),
        Column("WHEN", lambda e: times.clock_time(e.at, utc=out.utc), whole=True),
        Column("KIND", lambda e: e.kind, whole=True),
        Column("ACTOR", lambda e: e.actor),
        Column("USER", lambda e: e.user),
        Column("HOST", lambda e: e.host),
        Column("ROLE", lambda e: e.role),
        Column("WHAT", told),
    )


def name(event: Event) -> str:
    return str(event.sequence)


def filter_options(command: Command) -> Command:
    """The options that choose events; their names are what `_filter` takes."""
    for option in (
        click.option("--kind", default="", help="Of this kind (grant.ended) or family (grant)."),
        click.option("--grant", "grant_id", default="", metavar="ID", shell_complete=grant_ids, help="Of this grant."),
        click.option(
            "--request", "request_id", default="", metavar="ID", shell_complete=request_ids, help="Of this request."
        ),
        click.option("--role", default="", help="Of this role."),
        click.option("--host", default="", metavar="NAME", shell_complete=host_names, help="On this host."),
        click.option("--user", default="", metavar="NAME", shell_complete=user_names, help="About this person."),
    ):
        command = option(command)
    return command


def _filter(*, user: str, host: str, role: str, request_id: str, grant_id: str, kind: str) -> EventFilter:
    return EventFilter(user=user, host=host, role=role, request_id=request_id, grant_id=grant_id, kind=kind)


@click.group()
def audit() -> None:
    """Read the audit log."""


@audit.command()
@filter_options
@click.option("--since", default="", metavar="TIME", help="From then on: 2h (ago), a date, or RFC 3339.")
@click.option("--until", default="", metavar="TIME", help="Up to then.")
@click.option("--after", type=click.IntRange(0), default=None, metavar="SEQ", help="The oldest after this event.")
@click.option("-n", "--limit", type=click.IntRange(1, 10000), default=100, show_default=True, help="At most this many.")
@output_options(*LISTS)
@server_options
def ls(*, out: Output, server: Server, since: str, until: str, after: int | None, limit: int, **chosen: str) -> None:
    """List events, oldest first: the newest that match, or with --after the next ones."""
    wanted = replace(_filter(**chosen), since=out.parse_moment(since), until=out.parse_moment(until))
    stream = server.events(wanted, after=after or 0, limit=limit, newest=after is None)
    shown = 0
    if out.format in {Format.JSONL, Format.NAME}:
        for shown, event in enumerate(stream, start=1):  # noqa: B007 - the count is what is left of it
            out.item(event, name)
    else:
        events = list(stream)
        shown = len(events)
        columns = _terminal_columns(out) if out.on_terminal else _COLUMNS
        out.items(events, columns, name, "no such events")
    if shown == limit:
        which = "newest" if after is None else "first"
        out.talk(f"only the {which} {limit} are shown; more with --limit or --after")


@audit.command()
@filter_options
@click.option("-f", "--follow", is_flag=True, help="Go on with new events, until Ctrl-C.")
@click.option("-n", "--limit", type=click.IntRange(1, 10000), default=10, show_default=True, help="Begin with so many.")
@output_options(*STREAMS)
@server_options
def tail(*, out: Output, server: Server, follow: bool, limit: int, **chosen: str) -> None:
    """Print the newest events, one a line, and with -f those to come."""
    wanted = _filter(**chosen)
    if out.for_people and out.header:
        print("\t".join(column.title for column in _COLUMNS), flush=True)
    last = 0
    for event in server.events(wanted, limit=limit, newest=True):
        last = event.sequence
        _print(event, out)
    if follow:
        for event in _growing(server, wanted, last, out):
            _print(event, out)


def _print(event: Event, out: Output) -> None:
    if out.for_people:
        out.row(event, _COLUMNS)
    else:
        out.item(event, name)


def _growing(server: Server, wanted: EventFilter, last: int, out: Output) -> Iterator[Event]:
    """Events after `last` for ever; a lost connection is taken up at the last one seen, so none is lost or doubled."""
    from jit_ctl.watch import lasting

    seen = last

    def begin() -> Iterator[Event]:
        return server.events(wanted, after=seen, follow=True)

    for event in lasting(begin, out, opened=True):
        if event.sequence > seen:
            seen = event.sequence
            yield event
