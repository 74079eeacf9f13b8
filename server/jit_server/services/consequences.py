"""What follows from a report of a host (SPEC 5.3), in the transaction that keeps it.

A report that no longer fits (of a former revision, of a grant that is over) follows nothing.  None can add a right
(S11): the only way back is from active to issued, after a reboot.
"""

from __future__ import annotations

from typing import assert_never

from jit_server.domain import shell
from jit_server.domain.events import Event, EventKind, JsonValue
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, LocalUser
from jit_server.domain.lifecycle import LIVE, OVER, GrantMove, GrantState
from jit_server.domain.report import (
    Applied,
    DropAsked,
    Ended,
    GrantRefused,
    Report,
    SessionEnded,
    SessionRejected,
    SessionStarted,
)
from jit_server.services.ending import end_grant
from jit_server.services.recording import host_actor, note_grant
from jit_server.store import Transaction


async def follow(tx: Transaction, host: Host, grant: Grant | None, report: Report, now: int) -> None:
    """Do what follows; `grant` is None if the report names none of this host's."""
    match report.body:
        case SessionStarted() | SessionRejected() | SessionEnded():
            await _session(tx, host, grant, report, now)
        case _ if grant is None:
            pass
        case Applied() as applied:
            await _applied(tx, host, grant, applied, now)
        case GrantRefused() as refused:
            await _refused(tx, host, grant, refused, now)
        case Ended() as ended:
            await _ended(tx, host, grant, ended, host_time=report.at, now=now)
        case DropAsked(user):
            if grant.state in LIVE:
                await end_grant(
                    tx,
                    grant,
                    kind=EventKind.GRANT_DROP_ASKED,
                    actor=_local_name(user),
                    now=now,
                    end_reason="dropped",
                )
        case other:
            assert_never(other)


async def _applied(tx: Transaction, host: Host, grant: Grant, applied: Applied, now: int) -> None:
    if grant.state is not GrantState.ISSUED or applied.revision != grant.revision:
        return
    await tx.grants.move(grant, GrantMove.ACTIVATE, applied_boot=host.boot_id)
    await note_grant(
        tx,
        EventKind.GRANT_ACTIVE,
        grant,
        actor=host_actor(host),
        now=now,
        host=host,
        revision=applied.revision,
        scope=applied.scope,
    )


async def _refused(tx: Transaction, host: Host, grant: Grant, refused: GrantRefused, now: int) -> None:
    if grant.state in OVER or grant.state is GrantState.ACTIVE or refused.revision != grant.revision:
        return
    generation = await tx.hosts.raise_generation(host.host_id)
    await tx.grants.move(
        grant,
        GrantMove.REFUSE,
        ended_at=now,
        end_reason=f"{refused.code}: {refused.message}",
        left_set_at=generation,
    )
    await note_grant(
        tx,
        EventKind.GRANT_REFUSED,
        grant,
        actor=host_actor(host),
        now=now,
        host=host,
        code=refused.code,
        message=refused.message,
    )


async def _ended(tx: Transaction, host: Host, grant: Grant, ended: Ended, *, host_time: int, now: int) -> None:
    if grant.state in OVER or ended.revision > grant.revision:
        return
    actor = host_actor(host)
    if not (ended.scope_empty and ended.rule_removed):
        # No proof: whatever is left there, the server will not call it over (S7).
        if grant.state in LIVE:
            await end_grant(
                tx,
                grant,
                kind=EventKind.GRANT_REVOKED,
                actor=actor,
                now=now,
                end_reason=ended.reason,
                why="the host ended it but could not prove that nothing is left",
            )
        return
    if ended.reason == "rebooted":
        if ended.revision < grant.revision:
            return  # It was signed anew for the boot after that one.
        if grant.wanted_at(now):
            if grant.state is GrantState.ACTIVE:
                await tx.grants.move(grant, GrantMove.REBOOT)
                await note_grant(
                    tx, EventKind.GRANT_ISSUED, grant, actor=actor, now=now, host=host, again="the host rebooted"
                )
            await tx.hosts.raise_generation(host.host_id)
            return
    generation = await tx.hosts.raise_generation(host.host_id)
    reason = grant.end_reason or ended.reason
    await tx.grants.move(
        grant,
        GrantMove.END,
        ended_at=min(max(host_time, grant.not_before), now),
        end_reason=reason,
        left_set_at=grant.left_set_at or generation,
    )
    await note_grant(
        tx,
        EventKind.GRANT_ENDED,
        grant,
        actor=actor,
        now=now,
        host=host,
        reason=reason,
        late_us=ended.late_us,
        killed=ended.killed,
        scope_empty=ended.scope_empty,
        rule_removed=ended.rule_removed,
        host_time=host_time,
    )


async def _session(tx: Transaction, host: Host, grant: Grant | None, report: Report, now: int) -> None:
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
    return "" if user is None else _local_name(user)


def _local_name(user: LocalUser) -> str:
    return f"{user.name} (uid {user.uid})"
