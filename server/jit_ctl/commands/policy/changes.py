"""Changes that wait for a second person (SPEC 9.4).  S8 is the server's; here one sees what one decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl import describe_policy
from jit_ctl.commands.policy.showing import unified
from jit_ctl.completing import change_ids
from jit_ctl.options import (
    LISTS,
    output_options,
    patient_server_options,
    reason_option,
    reference,
    server_options,
)
from jit_ctl.output import Column, Output
from jit_ctl.policy_model import PolicyChange

if TYPE_CHECKING:
    from jit_ctl.client import Server

_COLUMNS: Sequence[Column[PolicyChange]] = (
    Column("ID", lambda c: c.change_id, whole=True),
    Column("STATE", describe_policy.standing),
    Column("BY", lambda c: c.proposed_by),
    Column("SINCE", lambda c: c.proposed_at),
    Column("AGAINST", lambda c: str(c.base_version)),
    Column("WHY", lambda c: c.reason),
)


def name(changed: PolicyChange) -> str:
    return changed.change_id


@click.command()
@click.option("--all", "every", is_flag=True, help="Also those that are applied or over.")
@output_options(*LISTS)
@server_options
def changes(*, out: Output, server: Server, every: bool) -> None:
    """List changes of the policy that wait for a second person, newest first.

    For example: jitctl policy changes --all
    """
    nothing = "no changes" if every else "no change waits for anybody"
    out.items(server.policy.changes(over_too=every), _COLUMNS, name, nothing)


@click.group()
def change() -> None:
    """See and decide changes that wait for a second person."""


@change.command()
@click.argument("change_id", metavar="ID", callback=reference, shell_complete=change_ids)
@click.option("--diff", is_flag=True, help="Show also the files, line by line, against the version it changes.")
@output_options(*LISTS)
@patient_server_options
def show(*, out: Output, server: Server, change_id: str, diff: bool) -> None:
    """Show one change: who proposed it, why, and what it would do to whom.

    For example: jitctl policy change show chg-7f3a --diff
    """
    found = server.policy.change(change_id)
    lines = describe_policy.change_facts(found, out.when)
    if diff:
        base = server.policy.show(found.base_version)
        new = found.change_id
        lines += ["", *unified(base.files, found.files, f"version {found.base_version}", new)]
    out.item(found, name, lambda _: lines)


@change.command()
@click.argument("change_id", metavar="ID", callback=reference, shell_complete=change_ids)
@reason_option("Why; kept in the audit log.")
@output_options(*LISTS)
@patient_server_options
def approve(*, out: Output, server: Server, change_id: str, reason: str) -> None:
    """Approve a change; the last needed approval puts it in force.

    For example: jitctl policy change approve chg-7f3a -m 'as agreed in CHG-12'
    """
    out.item(server.policy.approve_change(change_id, reason), name, _decided)


@change.command()
@click.argument("change_id", metavar="ID", callback=reference, shell_complete=change_ids)
@reason_option("Why; who proposed it sees it.", required=True)
@output_options(*LISTS)
@server_options
def reject(*, out: Output, server: Server, change_id: str, reason: str) -> None:
    """Reject a change, or withdraw one of your own.

    For example: jitctl policy change reject chg-7f3a -m 'too wide'
    """
    out.item(server.policy.reject_change(change_id, reason), name, _decided)


def _decided(changed: PolicyChange) -> list[str]:
    return [f"{changed.change_id} {describe_policy.standing(changed)}"]
