"""alerts: what somebody has to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl.model import Alert
from jit_ctl.options import LISTS, output_options, server_options
from jit_ctl.output import Column, Format, Output

if TYPE_CHECKING:
    from jit_ctl.client import Server

_COLUMNS: Sequence[Column[Alert]] = (
    Column(
        "KIND", lambda a: a.kind, whole=True, style=lambda a: "bold red" if a.kind == "end_unconfirmed" else "yellow"
    ),
    Column("SINCE", lambda a: a.since),
    Column("HOST", lambda a: a.host),
    Column("WHO", lambda a: a.user),
    Column("ROLE", lambda a: a.role),
    Column("WHAT", lambda a: a.message),
    Column("GRANT", lambda a: a.grant_id, whole=True),
)


def name(alert: Alert) -> str:
    return f"{alert.kind} {alert.grant_id or alert.host}"


@click.command()
@click.option("-w", "--watch", is_flag=True, help="Go on, and tell what is new and what is over, until Ctrl-C.")
@click.option("--exit-code", is_flag=True, help="End with status 1 when there is an alert.")
@output_options(*LISTS)
@server_options
@click.pass_context
def alerts(context: click.Context, /, *, out: Output, server: Server, watch: bool, exit_code: bool) -> None:
    """See what somebody has to look at, what matters most first.

    Ends that no host has confirmed, processes left over, hosts that are away
    with live grants, clocks that are off, what hosts complain about, and what
    grants of the last seven days have changed.  An alert is gone when what it
    speaks of is.
    """
    if watch and exit_code:
        raise click.UsageError("--watch and --exit-code exclude each other")
    if watch and out.format is Format.JSON:
        raise click.UsageError("--watch has no end, so it cannot be one JSON document; use -o jsonl")
    if watch:
        from jit_ctl.watch_alerts import follow

        follow(server, out, _COLUMNS, name)
        return
    found = server.alerts()
    out.items(found, _COLUMNS, name, "no alerts")
    if found and exit_code:
        context.exit(1)
