"""users: the people the server knows, and their one-time tokens for a second factor."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl import state, trust
from jit_ctl.completing import user_names
from jit_ctl.model import User, UserWithToken
from jit_ctl.options import LISTS, confirm, output_options, reference, server_options, yes_option
from jit_ctl.output import Column, Output

if TYPE_CHECKING:
    from jit_ctl.client import Server


def _state(user: User) -> str:
    if user.disabled:
        return "disabled"
    if user.service:
        return "service"
    return "enabled" if user.mfa_enrolled else "no second factor"


_STYLES = {"disabled": "red", "no second factor": "yellow"}
_COLUMNS: Sequence[Column[User]] = (
    Column("NAME", lambda u: u.name),
    Column("ACCOUNT", lambda u: u.account),
    Column("STATE", _state, style=lambda u: _STYLES.get(_state(u), "")),
    Column("DUTIES", lambda u: ", ".join(u.duties)),
    Column("GROUPS", lambda u: ", ".join(u.groups)),
    Column("SINCE", lambda u: u.created_at),
    Column("ID", lambda u: u.user_id, whole=True),
)


def name(user: User) -> str:
    return user.name


@click.group()
def users() -> None:
    """Add, see and disable people."""


@users.command()
@output_options(*LISTS)
@server_options
def ls(*, out: Output, server: Server) -> None:
    """List people."""
    out.items(server.users(), _COLUMNS, name, "no users")


def _tell_made(made: UserWithToken, out: Output) -> None:
    if made.user.service:
        out.item(made, lambda result: result.user.name, lambda result: [f"{result.user.name} is added, as a service"])
        return
    if out.for_people:
        out.talk(f"{made.user.name} runs this once, before {out.when(made.mfa_token_expires_at)}:")
    out.item(made, lambda result: result.mfa_token, lambda result: [_mfa_command(result)])


def _mfa_command(made: UserWithToken) -> str:
    command = ["jitctl", "mfa", "enroll", "--server", state.read_config().server, "--ca", trust.pinned_fingerprint()]
    return shlex.join([*command, "--user", made.user.name, "--token", made.mfa_token])


@users.command()
@click.argument("user", metavar="NAME", callback=reference)
@click.option("--account", default="", metavar="ACCOUNT", help="Their account on hosts, when it is not their name.")
@click.option(
    "--duty", "duties", multiple=True, type=click.Choice(["admin", "auditor"]), help="A duty; may be repeated."
)
@click.option("--service", is_flag=True, help="A program's account: it never logs in or approves.")
@output_options(*LISTS)
@server_options
def add(*, out: Output, server: Server, user: str, account: str, duties: tuple[str, ...], service: bool) -> None:
    """Add a person; prints the command by which they enrol a second factor.

    With '-o name' only the one-time token is printed. A service gets none: it has only roles that the policy says are
    active for it. For example: jitctl users add backup --service
    """
    if service and duties:
        raise click.UsageError("a service has no duties")
    _tell_made(server.create_user(user, account, duties, service=service), out)


@users.command()
@click.argument("user", metavar="NAME", callback=reference, shell_complete=user_names)
@output_options(*LISTS)
@server_options
def disable(*, out: Output, server: Server, user: str) -> None:
    """Disable a person: their grants and pending requests end at once."""
    out.item(server.disable_user(user), name, lambda changed: [f"{changed.name} is disabled"])


@users.command()
@click.argument("user", metavar="NAME", callback=reference, shell_complete=user_names)
@output_options(*LISTS)
@server_options
def enable(*, out: Output, server: Server, user: str) -> None:
    """Enable a person again."""
    out.item(server.enable_user(user), name, lambda changed: [f"{changed.name} is enabled"])


@users.command("mfa-reset")
@click.argument("user", metavar="NAME", callback=reference, shell_complete=user_names)
@yes_option
@output_options(*LISTS)
@server_options
def mfa_reset(*, out: Output, server: Server, user: str, yes: bool) -> None:
    """Take a person's second factor away; prints the command to enrol a new one.

    With '-o name' only the one-time token is printed.
    """
    confirm(f"Take away the second factor of {user}?", yes=yes)
    _tell_made(server.reset_mfa(user), out)
