"""grants: what is in force, and its end; an end that no host has proved is shown as such."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl import describe
from jit_ctl.batch import each
from jit_ctl.completing import grant_ids
from jit_ctl.model import Grant, GrantState
from jit_ctl.options import LISTS, output_options, reason_option, reference, server_options
from jit_ctl.output import Column, Output

if TYPE_CHECKING:
    from jit_ctl.client import Server


def _columns(out: Output) -> Sequence[Column[Grant]]:
    return (
        Column("ID", lambda g: g.grant_id, whole=True),
        Column("STATE", lambda g: describe.grant_status(g, out.moment), style=lambda g: describe.style(g.state)),
        Column("WHO", lambda g: g.user),
        Column("HOST", lambda g: g.host),
        Column("AS", lambda g: describe.run_as(g.run_as_user, g.run_as_group)),
        Column("ROLE", lambda g: g.role),
        Column("REASON", lambda g: g.reason),
        Column("APPROVED BY", lambda g: ", ".join(g.approved_by)),
        Column("UNTIL", lambda g: g.not_after),
        Column("TERMS", describe.terms),
    )


def name(grant: Grant) -> str:
    return grant.grant_id


@click.group()
def grants() -> None:
    """See and end grants."""


@grants.command()
@click.option("--all", "every", is_flag=True, help="Also those that are over.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most this many.")
@output_options(*LISTS)
@server_options
def ls(*, out: Output, server: Server, every: bool, limit: int) -> None:
    """List grants that are not proved to be over."""
    found = server.grants(tuple(GrantState) if every else (), limit)
    # An end that no host has proved is what one has to see first.
    found.sort(key=lambda grant: grant.state is not GrantState.UNCONFIRMED)
    out.items(found, _columns(out), name, "no grants" if every else "no grants in force")
    if len(found) == limit:
        out.talk(f"only the newest {limit} are shown; more with --limit")


@grants.command()
@click.argument("grant_id", metavar="ID", callback=reference, shell_complete=grant_ids)
@output_options(*LISTS)
@server_options
def show(*, out: Output, server: Server, grant_id: str) -> None:
    """Show one grant."""
    out.item(server.grant(grant_id), name, lambda grant: describe.grant_facts(grant, out.when))


def _ended(out: Output) -> Callable[[Grant], list[str]]:
    return lambda grant: [f"{grant.grant_id} {describe.grant_status(grant, out.moment)}: {grant.user} on {grant.host}"]


@grants.command()
@click.argument("grant_ids", metavar="ID…", nargs=-1, required=True, callback=reference, shell_complete=grant_ids)
@reason_option("Why; kept in the audit log.", required=True)
@output_options(*LISTS)
@server_options
def revoke(*, out: Output, server: Server, grant_ids: tuple[str, ...], reason: str) -> None:
    """Revoke grants: the host ends rule and processes at once.

    The answer says whether the host has confirmed it; 'jitctl grants show'
    says it later.
    """
    each(grant_ids, lambda ref: server.revoke(ref, reason), out, name, _ended(out))


@grants.command()
@click.argument("grant_ids", metavar="ID…", nargs=-1, required=True, callback=reference, shell_complete=grant_ids)
@output_options(*LISTS)
@server_options
def drop(*, out: Output, server: Server, grant_ids: tuple[str, ...]) -> None:
    """Give grants of your own back, from anywhere."""
    each(grant_ids, server.drop, out, name, _ended(out))
