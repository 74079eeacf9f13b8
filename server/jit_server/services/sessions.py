"""What sudo ran, as hosts report it, in the audit log; the words are theirs, and are escaped where shown (S11, S12)."""

from __future__ import annotations

from jit_server.domain import shell
from jit_server.domain.events import Event, EventKind, JsonValue
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, LocalUser
from jit_server.domain.report import Report, SessionEnded, SessionRejected, SessionStarted
from jit_server.services.recording import host_actor
from jit_server.store import Transaction


async def note_session(tx: Transaction, host: Host, grant: Grant | None, report: Report, now: int) -> None:
    """Append the event of a report about a sudo session; `grant` is None for one by a standing rule."""
    details: dict[str, JsonValue]
    user: LocalUser | None
    match report.body:
        case SessionStarted() as started:
            kind, user = EventKind.SESSION_STARTED, started.user
            details = {
                "session": started.session_id,
                "uid": user.uid,
                "run_as": started.run_as_user,
                "command": started.command,
                "command_line": shell.join(started.argv),
                "cwd": started.cwd,
                "tty": started.tty,
                "standing": started.standing,
            }
        case SessionRejected() as rejected:
            kind, user = EventKind.SESSION_REJECTED, rejected.user
            details = {
                "session": rejected.session_id,
                "uid": user.uid,
                "command_line": shell.join(rejected.argv),
                "reason": rejected.reason,
            }
        case SessionEnded() as ended:
            kind, user = EventKind.SESSION_ENDED, None
            details = {
                "session": ended.session_id,
                "exit_value": ended.exit_value,
                "signal": ended.signal,
                "run_time_us": ended.run_time_us,
                "lost": ended.lost,
            }
        case _:
            return
    details["host_time"] = report.at
    await tx.audit.append(
        Event(
            at=now,
            kind=kind,
            actor=host_actor(host),
            user=await _name(tx, grant, user),
            host=host.name,
            role="" if grant is None else grant.role,
            request_id="" if grant is None else grant.request_id,
            grant_id="" if grant is None else grant.grant_id,
            details=details,
        )
    )


async def _name(tx: Transaction, grant: Grant | None, user: LocalUser | None) -> str:
    """Whose session it is: the grant's person, or else whoever has that account."""
    if grant is not None:
        person = await tx.people.get(grant.user_id)
    else:
        person = None if user is None else await tx.people.by_account(user.name)
    if person is not None:
        return person.name
    return "" if user is None else local_name(user)


def local_name(user: LocalUser) -> str:
    """An account as its host knows it, for an event."""
    return f"{user.name} (uid {user.uid})"
