"""lock, unlock and locks: who, where and what may not be elevated for now.

A lock is about rights on hosts: whoever is locked can still log in to jitctl, look, revoke and drop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl.batch import each
from jit_ctl.completing import host_names, lock_ids, role_names, user_names
from jit_ctl.model import Lock
from jit_ctl.options import LISTS, Command, Duration, output_options, reason_option, reference, server_options
from jit_ctl.output import Column, Output

if TYPE_CHECKING:
    from jit_ctl.client import Server


def _state(lock: Lock) -> str:
    if lock.lifted_at is None:
        return "in force"
    return f"lifted by {lock.lifted_by}" if lock.lifted_by else "its time was up"


_COLUMNS: Sequence[Column[Lock]] = (
    Column("ID", lambda lock: lock.lock_id, whole=True),
    Column("KIND", lambda lock: lock.kind),
    Column("TARGET", lambda lock: lock.target),
    Column("REASON", lambda lock: lock.reason),
    Column("BY", lambda lock: lock.created_by),
    Column("SINCE", lambda lock: lock.created_at),
    Column("UNTIL", lambda lock: lock.expires_at or "lifted"),
)
_WITH_STATE = (
    *_COLUMNS[:1],
    Column("STATE", _state, style=lambda lock: "" if lock.lifted_at else "red"),
    *_COLUMNS[1:],
    Column("OVER", lambda lock: lock.lifted_at),
)


def name(lock: Lock) -> str:
    return lock.lock_id


def _what(lock: Lock) -> str:
    return lock.target if lock.kind == "user" else f"{lock.kind} {lock.target}"


@click.group()
def lock() -> None:
    """Lock a person, a host or a role, at once.

    What the lock hits ends now, on the hosts too: grants are revoked and
    pending requests cancelled.  While it stands nothing of the kind can be
    asked for, approved, started or extended.  'jitctl unlock' lifts it.
    """


def _lock_options(command: Command) -> Command:
    for option in (
        server_options,
        output_options(*LISTS),
        reason_option("Why; whoever is refused sees it.", required=True),
        click.option(
            "--for", "duration_s", type=Duration(), default=0, help="For so long.  [default: until it is lifted]"
        ),
    ):
        command = option(command)
    return command


def _make(out: Output, server: Server, kind: str, target: str, *, reason: str, duration_s: int) -> None:
    def people(made: Lock) -> list[str]:
        until = f"until {out.when(made.expires_at)}" if made.expires_at else "until it is lifted"
        ended = f"{_count(made.grants_ended, 'grant')} revoked, {_count(made.requests_cancelled, 'request')} cancelled"
        return [f"{made.lock_id}: {_what(made)} is locked {until}; {ended}"]

    out.item(server.create_lock(kind, target, reason, duration_s), name, people)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@lock.command()
@click.argument("target", metavar="NAME", callback=reference, shell_complete=user_names)
@_lock_options
def user(*, out: Output, server: Server, target: str, reason: str, duration_s: int) -> None:
    """Lock a person: no elevation on any host.

    They can still log in to jitctl, but decide on nothing there and lift no
    lock; 'jitctl users disable' shuts them out of everything.
    """
    _make(out, server, "user", target, reason=reason, duration_s=duration_s)


@lock.command()
@click.argument("target", metavar="NAME", callback=reference, shell_complete=host_names)
@_lock_options
def host(*, out: Output, server: Server, target: str, reason: str, duration_s: int) -> None:
    """Lock a host: nobody is elevated there."""
    _make(out, server, "host", target, reason=reason, duration_s=duration_s)


@lock.command()
@click.argument("target", metavar="NAME", callback=reference, shell_complete=role_names)
@_lock_options
def role(*, out: Output, server: Server, target: str, reason: str, duration_s: int) -> None:
    """Lock a role: nobody is granted it anywhere.  Its approvers may, too."""
    _make(out, server, "role", target, reason=reason, duration_s=duration_s)


@click.command()
@click.argument("lock_refs", metavar="ID…", nargs=-1, required=True, callback=reference, shell_complete=lock_ids)
@reason_option("Why; kept in the audit log.", required=True)
@output_options(*LISTS)
@server_options
def unlock(*, out: Output, server: Server, lock_refs: tuple[str, ...], reason: str) -> None:
    """Lift locks.  What they ended stays ended.

    Two locks on the same thing have both to be lifted.
    """
    each(
        lock_refs,
        lambda ref: server.lift_lock(ref, reason),
        out,
        name,
        lambda done: [f"{done.lock_id}: {_what(done)}: {_state(done)}"],
    )


@click.group()
def locks() -> None:
    """See locks."""


@locks.command()
@click.option("--all", "every", is_flag=True, help="Also those no longer in force.")
@output_options(*LISTS)
@server_options
def ls(*, out: Output, server: Server, every: bool) -> None:
    """List locks, newest first; those in force unless told otherwise."""
    found = server.locks(over_too=every)
    out.items(found, _WITH_STATE if every else _COLUMNS, name, "no locks" if every else "no locks in force")
