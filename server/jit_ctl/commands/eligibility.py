"""eligibility: who may ask for what until when, and the requests that it last longer (SPEC 9.7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl import describe_answers
from jit_ctl.batch import each
from jit_ctl.completing import policy_roles, renewal_ids, user_names
from jit_ctl.options import LISTS, Duration, output_options, reason_option, reference, server_options
from jit_ctl.output import Column, Output
from jit_ctl.policy_model import Eligibility, Renewal

if TYPE_CHECKING:
    from jit_ctl.client import Server

_COLUMNS: Sequence[Column[Eligibility]] = (
    Column("WHO", lambda e: e.user),
    Column("ROLE", lambda e: e.role),
    Column("KIND", lambda e: e.kind, style=lambda e: "yellow" if e.kind == "active" else ""),
    Column("STATE", lambda e: e.state),
    Column("THROUGH", lambda e: describe_answers.through(e.groups)),
    Column("FROM", lambda e: e.since),
    Column("UNTIL", lambda e: e.until or "permanent"),
    Column("RENEWABLE", describe_answers.renewable),
    Column("REASON", lambda e: e.reason),
)
_RENEWALS: Sequence[Column[Renewal]] = (
    Column("ID", lambda r: r.renewal_id, whole=True),
    Column("STATE", lambda r: r.state),
    Column("WHO", lambda r: r.user),
    Column("ROLE", lambda r: r.role),
    Column("UNTIL", lambda r: r.until),
    Column("REASON", lambda r: r.reason),
    Column("MAY DECIDE", lambda r: ", ".join(r.approvers)),
    Column("SINCE", lambda r: r.asked_at),
)


def name(renewal: Renewal) -> str:
    return renewal.renewal_id


@click.group()
def eligibility() -> None:
    """See who may ask for what until when, and renew it."""


@eligibility.command()
@click.option("--user", default="", metavar="NAME", shell_complete=user_names, help="Only this person's.")
@click.option("--role", default="", metavar="ROLE", shell_complete=policy_roles, help="Only for this role.")
@click.option("--ends-within", type=Duration(), default=0, metavar="DURATION", help="Only what ends so soon.")
@output_options(*LISTS)
@server_options
def ls(*, out: Output, server: Server, user: str, role: str, ends_within: int) -> None:
    """List eligibilities and active assignments, with their ends.

    For example: jitctl eligibility ls --ends-within 14d
    """
    found, _ = server.policy.eligibilities(user, role, ends_within)
    out.items(found, _COLUMNS, lambda one: f"{one.user} {one.role}", "no eligibilities")


@eligibility.command()
@click.option("--all", "every", is_flag=True, help="Also those that are decided or lapsed.")
@output_options(*LISTS)
@server_options
def renewals(*, out: Output, server: Server, every: bool) -> None:
    """List what was asked to be renewed, newest first; what is pending unless told otherwise.

    For example: jitctl eligibility renewals
    """
    _, found = server.policy.eligibilities()
    shown = [renewal for renewal in found if every or renewal.state == "pending"]
    out.items(shown, _RENEWALS, name, "no renewals" if every else "no pending renewals")


@eligibility.command()
@click.argument("role", metavar="ROLE", callback=reference, shell_complete=policy_roles)
@reason_option("Why you still need it; who decides sees it.", required=True)
@output_options(*LISTS)
@server_options
def renew(*, out: Output, server: Server, role: str, reason: str) -> None:
    """Ask that your own eligibility for a role lasts longer, from 14 days before its end on.

    For example: jitctl eligibility renew db-admin -m 'still on the team'
    """
    out.item(server.policy.renew(role, reason), name, _decided(out))


@eligibility.command()
@click.argument("renewal_ids", metavar="ID…", nargs=-1, required=True, callback=reference, shell_complete=renewal_ids)
@reason_option("Why; kept in the audit log.")
@output_options(*LISTS)
@server_options
def approve(*, out: Output, server: Server, renewal_ids: tuple[str, ...], reason: str) -> None:
    """Approve renewals: the eligibility then lasts to the end that was asked for.

    For example: jitctl eligibility approve rnw-7f3a
    """
    each(renewal_ids, lambda ref: server.policy.decide_renewal(ref, reason, approved=True), out, name, _decided(out))


@eligibility.command()
@click.argument("renewal_ids", metavar="ID…", nargs=-1, required=True, callback=reference, shell_complete=renewal_ids)
@reason_option("Why; who asked sees it.", required=True)
@output_options(*LISTS)
@server_options
def deny(*, out: Output, server: Server, renewal_ids: tuple[str, ...], reason: str) -> None:
    """Deny renewals: the eligibility ends when it would have.

    For example: jitctl eligibility deny rnw-7f3a -m 'has left the team'
    """
    each(renewal_ids, lambda ref: server.policy.decide_renewal(ref, reason, approved=False), out, name, _decided(out))


def _decided(out: Output) -> Callable[[Renewal], list[str]]:
    def lines(renewal: Renewal) -> list[str]:
        until = f", until {out.moment(renewal.until)}" if renewal.until else ""
        line = f"{renewal.renewal_id} {renewal.state}: {renewal.user} as {renewal.role}"
        match renewal.state:
            case "approved":
                return [f"{line}{until}"]
            case "pending":
                return [f"{line}{until}; {', '.join(renewal.approvers) or 'nobody'} may decide"]
            case _:
                return [line]

    return lines
