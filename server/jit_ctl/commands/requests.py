"""requests: what people ask for, and the decisions on it (S8 is the server's; here one must see what one decides)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl import describe, times
from jit_ctl.batch import each
from jit_ctl.completing import request_ids
from jit_ctl.model import Request, RequestState
from jit_ctl.options import LISTS, STREAMS, output_options, reason_option, reference, server_options
from jit_ctl.output import Column, Format, Output

if TYPE_CHECKING:
    from jit_ctl.client import Server

_STATE: Column[Request] = Column("STATE", lambda r: r.state.value, style=lambda r: describe.style(r.state))
_COLUMNS: Sequence[Column[Request]] = (
    Column("ID", lambda r: r.request_id, whole=True),
    Column("WHO", lambda r: r.user),
    Column("HOST", describe.where),
    Column("AS", lambda r: describe.run_as(r.ask.run_as_user, r.ask.run_as_group)),
    Column("COMMAND", describe.what),
    Column("ROLE", lambda r: r.role),
    Column("REASON", lambda r: r.reason),
    Column("FOR", lambda r: times.duration(r.duration_s)),
    Column("STARTS", lambda r: r.starts_at),
    Column("VOTES", describe.votes),
    Column("SINCE", lambda r: r.created_at),
)
WITH_STATE = (*_COLUMNS[:1], _STATE, *_COLUMNS[1:])


def name(request: Request) -> str:
    return request.request_id


@click.group()
def requests() -> None:
    """See and decide requests."""


@requests.command()
@click.option("--all", "every", is_flag=True, help="Also those that are decided or lapsed.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in RequestState]),
    help="Only those in this state; may be repeated.",
)
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most this many.")
@output_options(*LISTS)
@server_options
def ls(*, out: Output, server: Server, every: bool, states: tuple[str, ...], limit: int) -> None:
    """List requests, newest first; those pending unless told otherwise."""
    if every and states:
        raise click.UsageError("--all and --state exclude each other")
    wanted = tuple(RequestState) if every else tuple(map(RequestState, states))
    found = server.requests(wanted, limit)
    shown = _each_batch_once(found) if out.format in {Format.TABLE, Format.NAME} else found
    out.items(shown, WITH_STATE if wanted else _COLUMNS, name, "no such requests" if wanted else "no pending requests")
    if len(found) == limit:
        out.talk(f"only the newest {limit} are shown; more with --limit")


def _each_batch_once(found: Sequence[Request]) -> list[Request]:
    """Who decides on one request for several hosts decides on all of them; JSON has each."""
    first = {request.batch_id: request for request in reversed(found) if request.batch_id}
    return [request for request in found if not request.batch_id or first[request.batch_id] is request]


@requests.command()
@click.argument("request_id", metavar="ID", callback=reference, shell_complete=request_ids)
@output_options(*LISTS)
@server_options
def show(*, out: Output, server: Server, request_id: str) -> None:
    """Show one request: who, where, as whom, what exactly, and why."""
    out.item(server.request(request_id), name, lambda request: describe.request_facts(request, out.when))


def _decided(out: Output) -> Callable[[Request], list[str]]:
    def lines(request: Request) -> list[str]:
        run_as = describe.run_as(request.ask.run_as_user, request.ask.run_as_group)
        where = f"{request.user} on {describe.where(request)} as {run_as}"
        line = f"{request.request_id} {_outcome(request)}: {where}: {describe.what(request)}"
        if request.batch:
            return [line, *(f"  {one}" for one in describe.batch(request))]
        if request.grant is None:
            return [line]
        return [line, f"{request.grant.grant_id} {describe.grant_status(request.grant, out.moment)}"]

    return lines


def _outcome(request: Request) -> str:
    if request.state is RequestState.PENDING:
        return f"has {describe.votes(request)} approvals"
    return request.state.value


@requests.command()
@click.argument("request_ids", metavar="ID…", nargs=-1, required=True, callback=reference, shell_complete=request_ids)
@reason_option("Why; kept in the audit log.")
@output_options(*LISTS)
@server_options
def approve(*, out: Output, server: Server, request_ids: tuple[str, ...], reason: str) -> None:
    """Approve requests; the last needed approval makes the grant."""
    each(request_ids, lambda ref: server.approve(ref, reason), out, name, _decided(out))


@requests.command()
@click.argument("request_ids", metavar="ID…", nargs=-1, required=True, callback=reference, shell_complete=request_ids)
@reason_option("Why; the requester sees it.", required=True)
@output_options(*LISTS)
@server_options
def deny(*, out: Output, server: Server, request_ids: tuple[str, ...], reason: str) -> None:
    """Deny requests."""
    each(request_ids, lambda ref: server.deny(ref, reason), out, name, _decided(out))


@requests.command()
@click.argument("request_ids", metavar="ID…", nargs=-1, required=True, callback=reference, shell_complete=request_ids)
@output_options(*LISTS)
@server_options
def cancel(*, out: Output, server: Server, request_ids: tuple[str, ...]) -> None:
    """Cancel requests of your own."""
    each(request_ids, server.cancel, out, name, _decided(out))


@requests.command()
@output_options(*STREAMS)
@server_options
def watch(*, out: Output, server: Server) -> None:
    """Follow requests as they come and change, until Ctrl-C.

    On a terminal a table of what is pending, with a bell for a new one; else a
    line for each change.
    """
    from jit_ctl.watch import follow

    follow(server, out, _COLUMNS, WITH_STATE, name)
