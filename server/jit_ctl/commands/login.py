"""login, logout, whoami."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

import click

from jit_ctl import state
from jit_ctl.errors import CtlError
from jit_ctl.options import LISTS, ask, output_options, server_options, timeout_option
from jit_ctl.output import Format, Output, facts

if TYPE_CHECKING:
    from jit_ctl.client import Server
    from jit_ctl.model import WhoAmI


def user_name(given: str) -> str:
    """The name to log in with: given, kept, or that of the account; raise `CtlError` (usage) for a bad one."""
    name = given or state.read_config().user or getpass.getuser()
    if not name.isprintable() or len(name) > 256:
        raise CtlError("usage", f"not a user name: {name}", "give it with --user")
    return name


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        try:
            password = getpass.getpass("Password: ")
        except EOFError:
            password = ""
    else:
        raise CtlError("usage", "a password is needed, and there is no terminal", "pipe it in with --password-stdin")
    if not password:
        raise CtlError("unauthenticated", "no password was given")
    return password


def _code(given: str) -> str:
    if given:
        return given.strip()
    if not sys.stdin.isatty():
        raise CtlError("usage", "a one-time code is needed, and there is no terminal", "give it with --otp")
    code = ask("One-time code:")
    if not code:
        raise CtlError("unauthenticated", "no one-time code was given")
    return code


@click.command()
@click.option("--server", "server_address", default="", metavar="HOST[:7444]", help="The server, the first time.")
@click.option("--ca", default="", metavar="sha256:HEX", help="Fingerprint of its CA, the first time.")
@click.option("--user", default="", metavar="NAME", help="Who you are; kept for the next time.")
@click.option("--otp", default="", metavar="CODE", help="The one-time code, instead of being asked.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@timeout_option(30)
@output_options(*LISTS)
def login(
    *, out: Output, server_address: str, ca: str, user: str, otp: str, password_stdin: bool, timeout: float
) -> None:
    """Get a certificate with your password and a one-time code.

    It lasts some hours.  The first time, the server and the fingerprint of its
    CA are needed; 'jit-server init' printed both.
    """
    from jit_ctl import access, trust

    name = user_name(user)
    address, pinned = trust.establish(server_address, ca, timeout)
    state.write_config(state.Config(address, name))
    password = _password(from_stdin=password_stdin)
    session = access.login(address, pinned, name, password=password, otp=_code(otp), timeout=timeout)
    state.write_session(session)
    facts_only = {"user": session.user, "server": session.server, "expires_at": session.expires_at}
    out.item(
        facts_only,
        lambda _: session.user,
        lambda _: [f"{session.user} is logged in at {session.server} until {out.when(session.ends)}"],
    )


@click.command()
@click.option("--forget", is_flag=True, help="Forget the server and its pinned CA too.")
@output_options(Format.TABLE)
def logout(*, out: Output, forget: bool) -> None:
    """Forget your certificate and its key."""
    known = state.forget_session()
    if forget:
        state.forget_server()
    out.talk("logged out" if known else "you were not logged in")
    if forget:
        out.talk("the server and its CA are forgotten")


@click.command()
@output_options(*LISTS)
@server_options
def whoami(*, out: Output, server: Server) -> None:
    """Show who the server says you are, and what you may decide."""

    def people(me: WhoAmI) -> list[str]:
        return list(
            facts(
                ("User", f"{me.name} ({me.user_id})"),
                ("Duties", ", ".join(me.duties) or "none"),
                ("Groups", ", ".join(me.groups) or "none"),
                ("Approver of", ", ".join(me.approver_of) or "no role"),
                ("Second factor", "enrolled" if me.mfa_enrolled else "not enrolled: 'jitctl mfa enroll'"),
                ("Server", server.name),
                ("Logged in until", out.when(me.expires_at)),
            )
        )

    out.item(server.who_am_i(), lambda me: me.name, people)
