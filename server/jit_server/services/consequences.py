"""What follows from a report of a host (SPEC 5.3), in the transaction that keeps it.

From a report that no longer fits (of a former revision, of a grant that is over) nothing follows, and from one that
makes no sense only the event that says so.  None can add a right (S11): the only way back is from active to issued,
after a reboot.  A host that knows more of a grant than the server does tells of a server that was restored from a
backup: the grant is then signed anew, above all that was signed before.
"""

from __future__ import annotations

from typing import assert_never

from jit_server.domain.events import Event, EventKind, JsonValue
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host
from jit_server.domain.lifecycle import LIVE, OVER, REVOCABLE, GrantMove, GrantState
from jit_server.domain.report import (
    EXPIRED,
    REPLAYED,
    Applied,
    DropAsked,
    Ended,
    Footprint,
    GrantRefused,
    Report,
    SessionReport,
    Unfit,
)
from jit_server.services.ending import cancel_extensions, end_grant
from jit_server.services.recording import host_actor, note_grant
from jit_server.services.session_reports import Word, local_name
from jit_server.store import Transaction

FRESH_US = 10 * 1_000_000
"""Bytes as young as this were signed above everything that was signed before: signing again would not help."""

LEASE_TOLERANCE_US = 1_000_000
"""A lease that ran out this close to the promised end is as good as the end."""


async def follow(tx: Transaction, host: Host, grant: Grant | None, report: Report, now: int) -> None:
    """Do what follows; `grant` is None if the report names none of this host's."""
    if isinstance(report.body, SessionReport):
        await Word(tx, host, grant, report, now).follow(report.body)
        return
    match report.body:
        case Unfit() as unfit:
            await _refuse(tx, host, grant, unfit, number=report.sequence, now=now)
        case _ if grant is None:
            pass
        case Applied() as applied:
            await _applied(tx, host, grant, applied, now)
        case GrantRefused() as refused:
            await _refused(tx, host, grant, refused, now)
        case Ended() as ended:
            await _ended(tx, host, grant, ended, host_time=report.at, now=now)
        case DropAsked(user):
            if grant.state in REVOCABLE:
                await end_grant(
                    tx,
                    grant,
                    kind=EventKind.GRANT_DROP_ASKED,
                    actor=local_name(user),
                    now=now,
                    end_reason="dropped",
                )
        case Footprint() as footprint:
            await _footprint(tx, host, grant, footprint, now)
        case other:
            assert_never(other)


async def _applied(tx: Transaction, host: Host, grant: Grant, applied: Applied, now: int) -> None:
    if grant.state in LIVE and applied.revision > grant.revision:
        await _sign_anew(tx, grant)
        return
    if grant.state not in LIVE or grant.signature is None or applied.revision != grant.revision:
        return
    await tx.grants.agree(grant, grant.signature.until)
    if grant.state is not GrantState.ISSUED:
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
    signed = grant.signature
    if grant.state in OVER or signed is None or refused.revision != signed.revision:
        return
    if grant.state in LIVE and refused.code == REPLAYED and now - signed.at > FRESH_US:
        await _sign_anew(tx, grant)
        return
    if grant.state is GrantState.ACTIVE or grant.applied_boot == host.boot_id:
        await _not_renewed(tx, host, grant, refused, now)
        return
    generation = await tx.hosts.raise_generation(host.host_id)
    await cancel_extensions(tx, grant, now=now)
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


async def _not_renewed(tx: Transaction, host: Host, grant: Grant, refused: GrantRefused, now: int) -> None:
    """Of a grant in force an extension or a new lease was refused; what was in force goes on to its own end.

    Nothing else is promised from then on (S7): a refused extension is taken back.
    """
    if grant.state not in LIVE or refused.code == EXPIRED:
        return
    if refused.code == REPLAYED:
        # It ended there, or so the host says.  Out of the set it certainly ends; called over it is only by its proof.
        await end_grant(
            tx,
            grant,
            kind=EventKind.GRANT_REVOKED,
            actor=host_actor(host),
            now=now,
            end_reason=f"{refused.code}: {refused.message}",
            why=f"the host would not go on with it: {refused.message}",
        )
        return
    await note_grant(
        tx,
        EventKind.GRANT_REFUSED,
        grant,
        actor=host_actor(host),
        now=now,
        host=host,
        code=refused.code,
        message=refused.message,
        revision=refused.revision,
        goes_on=True,
        not_after=grant.agreed_until or grant.not_after,
    )
    if grant.not_before < grant.agreed_until < grant.not_after:
        await tx.grants.take_back(grant)
        await tx.hosts.raise_generation(host.host_id)


async def _ended(tx: Transaction, host: Host, grant: Grant, ended: Ended, *, host_time: int, now: int) -> None:
    if grant.state in OVER:
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
    reason = _end_reason(host, grant, ended, host_time)
    leftovers = [str(leftover) for leftover in ended.leftovers]
    await cancel_extensions(tx, grant, now=now)
    await tx.grants.move(
        grant,
        GrantMove.END,
        ended_at=min(max(host_time, grant.not_before), now),
        end_reason=reason,
        left_set_at=grant.left_set_at or generation,
        leftovers=leftovers,
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
        # The host counts from when it was told; a host that was cut off was told late.
        after_due_us=max(0, host_time - host.clock_skew_us - grant.due_at),
        killed=ended.killed,
        scope_empty=ended.scope_empty,
        rule_removed=ended.rule_removed,
        host_time=host_time,
        leftovers=leftovers,
    )


def _end_reason(host: Host, grant: Grant, ended: Ended, host_time: int) -> str:
    """What the server ended it for comes first; a host that was alone calls the end of its lease the end of time."""
    if grant.end_reason:
        return grant.end_reason
    cut_short = host_time - host.clock_skew_us < grant.not_after - LEASE_TOLERANCE_US
    return "lease" if ended.reason == "expired" and grant.lease_s and cut_short else ended.reason


async def _footprint(tx: Transaction, host: Host, grant: Grant, footprint: Footprint, now: int) -> None:
    """It comes after the end, and is about it: so it is written down whatever the grant's state is."""
    if not footprint.changes and not footprint.truncated:
        return
    await note_grant(
        tx,
        EventKind.GRANT_FOOTPRINT,
        grant,
        actor=host_actor(host),
        now=now,
        host=host,
        changes=[str(change) for change in footprint.changes],
        truncated=footprint.truncated,
        before_at=footprint.before_at,
        after_at=footprint.after_at,
    )


async def _refuse(tx: Transaction, host: Host, grant: Grant | None, unfit: Unfit, *, number: int, now: int) -> None:
    said: dict[str, JsonValue] = {
        "report": number,
        "what": unfit.kind,
        "why": unfit.why,
        "bytes": unfit.size,
        "sha256": unfit.sha256,
    }
    about = {} if grant is None else {"role": grant.role, "request_id": grant.request_id, "grant_id": grant.grant_id}
    actor = host_actor(host)
    event = Event(at=now, kind=EventKind.REPORT_REFUSED, actor=actor, host=host.name, details=said, **about)
    await tx.audit.append(event)


async def _sign_anew(tx: Transaction, grant: Grant) -> None:
    await tx.grants.void_signature(grant.grant_id)
    await tx.hosts.raise_generation(grant.host_id)
