"""hosts: the fleet, and the one-time tokens by which a host joins it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl.completing import host_names
from jit_ctl.errors import CtlError
from jit_ctl.model import EnrollToken, Host
from jit_ctl.options import LISTS, Duration, confirm, output_options, reference, server_options, yes_option
from jit_ctl.output import Column, Output, facts

if TYPE_CHECKING:
    from jit_ctl.client import Server


def _state(host: Host) -> str:
    if host.removed:
        return "removed"
    if not host.connected:
        return "away"
    return "problems" if host.problems else "connected"


def _labels(host: Host) -> str:
    return ",".join(f"{key}={value}" for key, value in host.labels.items())


_STYLES = {"connected": "green", "problems": "red", "away": "yellow"}
_COLUMNS: Sequence[Column[Host]] = (
    Column("NAME", lambda h: h.name),
    Column("STATE", _state, style=lambda h: _STYLES.get(_state(h), "")),
    Column("LABELS", _labels),
    Column("GRANTS", lambda h: str(h.live_grants)),
    Column("SUDO", lambda h: h.sudo_version),
    Column("AGENT", lambda h: h.agent_version),
    Column("SEEN", lambda h: h.last_seen),
    Column("PROBLEMS", lambda h: "; ".join(h.problems)),
    Column("ID", lambda h: h.host_id, whole=True),
)


def name(host: Host) -> str:
    return host.name


@click.group()
def hosts() -> None:
    """Add, see and remove hosts."""


@hosts.command()
@output_options(*LISTS)
@server_options
def ls(*, out: Output, server: Server) -> None:
    """List hosts and what is wrong with them."""
    out.items(server.hosts(), _COLUMNS, name, "no hosts yet; 'jitctl hosts enroll-token NAME' adds one")


@hosts.command()
@click.argument("host", metavar="NAME", callback=reference, shell_complete=host_names)
@output_options(*LISTS)
@server_options
def show(*, out: Output, server: Server, host: str) -> None:
    """Show one host, by name, id or unique prefix of its id."""

    def people(found: Host) -> list[str]:
        return list(
            facts(
                ("Host", f"{found.name} ({found.host_id})"),
                ("State", _state(found)),
                ("Labels", _labels(found)),
                ("Live grants", str(found.live_grants)),
                ("Problems", list(found.problems)),
                ("Enrolled", out.when(found.enrolled_at)),
                ("Last seen", out.when(found.last_seen)),
                ("Agent", found.agent_version),
                ("sudo", found.sudo_version),
            )
        )

    out.item(_pick(server.hosts(), host), name, people)


def _pick(found: Sequence[Host], ref: str) -> Host:
    """The one host with this name, id or prefix of an id; a living one before removed ones of its name."""
    named = [host for host in found if ref in {host.name, host.host_id}]
    living = [host for host in named if not host.removed]
    # The 16 characters may be typed without the kind (SPEC 1.1).
    prefixed = [host for host in found if host.host_id.startswith((ref, f"hst-{ref}"))]
    candidates = living or named or prefixed
    match candidates:
        case [host]:
            return host
        case []:
            raise CtlError("not_found", f"no host {ref}", "see 'jitctl hosts ls'")
        case _:
            raise CtlError("invalid", f"{ref} names {len(candidates)} hosts", "give more characters of the id")


def _parse_labels(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise click.BadParameter(f"{word} is not KEY=VALUE", ctx=context, param=parameter)
        if labels.setdefault(key, value) != value:
            raise click.BadParameter(f"{key} is given twice", ctx=context, param=parameter)
    return labels


def enroll_command(token: EnrollToken) -> str:
    return shlex.join(
        ["jit-agent", "enroll", "--server", token.bootstrap, "--ca", token.ca_fingerprint, "--token", token.token]
    )


@hosts.command("enroll-token")
@click.argument("host_name", metavar="NAME", callback=reference)
@click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", callback=_parse_labels, help="A label.")
@click.option("--valid", type=Duration(), default="1h", show_default=True, help="How long the token can be used.")
@output_options(*LISTS)
@server_options
def enroll_token(*, out: Output, server: Server, host_name: str, labels: dict[str, str], valid: int) -> None:
    """Make a one-time token for a new host; prints the command to run there.

    The token fixes the host's name and labels.  With '-o name' only the token
    is printed.
    """
    token = server.create_enroll_token(host_name, labels, valid)
    if out.for_people:
        out.talk(f"run this on {host_name} as root, once, before {out.when(token.expires_at)}:")
    out.item(token, lambda made: made.token, lambda made: [enroll_command(made)])


@hosts.command()
@click.argument("host", metavar="NAME", callback=reference, shell_complete=host_names)
@yes_option
@output_options(*LISTS)
@server_options
def rm(*, out: Output, server: Server, host: str, yes: bool) -> None:
    """Remove a host: its certificate stops working and its grants are revoked."""
    confirm(f"Remove host {host} and revoke its live grants?", yes=yes)
    out.item(server.remove_host(host), name, lambda removed: [f"{removed.name} ({removed.host_id}) is removed"])
