"""Ids for the TAB key: what is pending and what lives, as the server knows it.

Whatever goes wrong, there are no suggestions and no message: a person is in
the middle of a line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from .errors import CtlError
from .safe import safe, shell_line
from .session_model import SessionFilter

if TYPE_CHECKING:
    from .client import Server

WAIT_S = 2.0


def _suggest(incomplete: str, find: Callable[[Server], list[tuple[str, str]]]) -> list[CompletionItem]:
    from .client import Server

    try:
        with Server.of_session(WAIT_S) as server:
            found = find(server)
    except CtlError:
        return []
    return [CompletionItem(safe(word), help=safe(text)) for word, text in found if word.startswith(incomplete)]


def request_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _suggest(
        incomplete,
        lambda server: [(r.request_id, f"{r.user} on {r.host}: {r.role}") for r in server.requests((), 100)],
    )


def grant_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _suggest(
        incomplete, lambda server: [(g.grant_id, f"{g.user} on {g.host}: {g.role}") for g in server.grants((), 100)]
    )


def session_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _suggest(
        incomplete,
        lambda server: [
            (s.session_id, f"{s.user} on {s.host}: {shell_line(s.argv)}")
            for s in server.sessions(SessionFilter(), 100)[0]
        ],
    )


def lock_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _suggest(
        incomplete,
        lambda server: [
            (lock.lock_id, f"{lock.kind} {lock.target}: {lock.reason}") for lock in server.locks(over_too=False)
        ],
    )


def role_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The roles the person may decide on, which are those an approver may lock."""
    return _suggest(incomplete, lambda server: [(role, "") for role in server.who_am_i().approver_of])


def host_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _suggest(incomplete, lambda server: [(host.name, host.host_id) for host in server.hosts()])


def user_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _suggest(incomplete, lambda server: [(user.name, user.user_id) for user in server.users()])


def policy_roles(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Every role that somebody is eligible for, as far as the person may see that."""
    return _suggest(
        incomplete, lambda server: [(role, "") for role in sorted({e.role for e in server.policy.eligibilities()[0]})]
    )


def policy_versions(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _suggest(
        incomplete,
        lambda server: [(str(v.version), f"{v.applied_by}: {v.reason}") for v in server.policy.history(100)],
    )


def change_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _suggest(
        incomplete,
        lambda server: [
            (change.change_id, f"{change.proposed_by}: {change.reason}")
            for change in server.policy.changes(over_too=False)
        ],
    )


def renewal_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _suggest(
        incomplete,
        lambda server: [
            (renewal.renewal_id, f"{renewal.user}: {renewal.role}")
            for renewal in server.policy.eligibilities()[1]
            if renewal.state == "pending"
        ],
    )
