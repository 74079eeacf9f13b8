"""What a host's stream carries: its desired state down, its reports up (SPEC 5).

Desired state is level: the whole set, signed for the boot the host runs, leases (SPEC 2.6) for a while each.  Reports
are kept once each, together with what follows from them; they can end rights and describe, never add one (S11).  A
report about a grant of another host, one that no longer fits, or one that makes no sense is kept and changes nothing,
or a host could never get past it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jit_server.domain.events import EventKind
from jit_server.domain.grant import Grant, Signature, message
from jit_server.domain.identity import Host, HostCaller
from jit_server.domain.lifecycle import LIVE, OVER, GrantMove, GrantState
from jit_server.domain.report import Report, Unfit
from jit_server.errors import Conflict
from jit_server.ports import Clock, Signer
from jit_server.services import access
from jit_server.services.consequences import follow
from jit_server.services.recording import host_actor, note_grant
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignedGrant:
    grant_id: str
    revision: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The whole truth for a host: what is not in it must not live.

    After `renew_in_s` seconds it is to be asked for again, for a lease in it then needs new bytes; None: no lease does.
    """

    generation: int
    grants: tuple[SignedGrant, ...]
    renew_in_s: float | None = None


class DeliveryService:
    def __init__(self, store: Store, clock: Clock, signer: Signer) -> None:
        self._store = store
        self._clock = clock
        self._signer = signer

    async def generation(self, caller: HostCaller) -> int:
        """Return the host's generation: above the one last sent, the whole set has to go out again."""
        async with self._store.read() as tx:
            return (await access.host(tx, caller)).generation

    async def desired_state(self, caller: HostCaller, boot_id: str) -> DesiredState:
        """Return the host's live set, signed for this boot; durable before it is returned.

        While the host's clock is off nothing is signed for it: what is in force stays, what is new waits (SPEC 5.1).
        Raises `Conflict` if the host has said hello from another boot since.
        """
        async with self._store.read() as tx:
            host, wanted = await self._wanted(tx, caller, boot_id)
        if any(_to_sign(host, grant, boot_id, self._clock.now()) for grant in wanted):
            async with self._store.write() as tx:
                host, wanted = await self._wanted(tx, caller, boot_id)
                wanted = [await self._signed(tx, host, grant, boot_id) for grant in wanted]
        renewals = [grant.renewal_at for grant in wanted if grant.renewal_at and not host.clock_is_off]
        return DesiredState(
            host.generation,
            tuple(
                SignedGrant(grant.grant_id, grant.signature.revision, grant.signature.envelope)
                for grant in wanted
                if grant.signature is not None
            ),
            max(0.0, (min(renewals) - self._clock.now()) / 1_000_000) if renewals else None,
        )

    async def settled(self, caller: HostCaller, generation: int) -> None:
        """The host has compared sets: what it left before this generation, and never had on this boot, is over.

        For a grant that was in force on this boot only the enforcer's proof counts.
        """
        async with self._store.read() as tx:
            if not await _gone_without_proof(tx, await access.host(tx, caller), generation):
                return
        async with self._store.write() as tx:
            host = await access.host(tx, caller)
            gone = await _gone_without_proof(tx, host, generation)
            await self._end(tx, host, gone, proof="it was not in force on this boot")
        for grant in gone:
            _tell_confirmed(host, grant)

    async def left(self, caller: HostCaller) -> None:
        """A removed host has settled the empty set: it holds nothing, and no report of it is taken any more."""
        async with self._store.write() as tx:
            host = await tx.hosts.get(caller.host_id)
            if host is None or not host.removed:
                return
            gone = await _leaving(tx, host)
            await self._end(tx, host, gone, proof="the removed host came back and settled the empty set")
        for grant in gone:
            _tell_confirmed(host, grant)

    async def record_reports(self, caller: HostCaller, spool_id: str, untrusted: Sequence[Report]) -> int:
        """Keep reports and do what follows from them, together; return the last sequence kept of that spool.

        A host that was away has hundreds, and one commit is as dear as they are.  A report that was kept before changes
        nothing.  Raises `Conflict` for a gap; what came before it, or before whatever else cannot be kept, is kept.
        """
        try:
            return await self._keep(caller, spool_id, untrusted)
        except Exception:
            if len(untrusted) < 2:
                raise
        # Each alone: one that cannot be kept must not take those before it along, at each new stream again.
        last = 0
        for report in untrusted:
            last = await self._keep(caller, spool_id, [report])
        return last

    async def _keep(self, caller: HostCaller, spool_id: str, untrusted: Sequence[Report]) -> int:
        """Keep all of them in one transaction, or none."""
        confirmed: list[Grant] = []
        unfit: list[str] = []
        async with self._store.write() as tx:
            host = await access.host(tx, caller)
            last = await tx.reports.last(host.host_id, spool_id)
            for report in untrusted:
                if report.sequence <= last:
                    continue
                if report.sequence != last + 1:
                    raise Conflict(f"report {report.sequence} came after report {last}: some are missing")
                confirmed += await self._record(tx, host, spool_id, report)
                last = report.sequence
                if isinstance(report.body, Unfit):
                    unfit.append(f"Report {report.sequence} of {host.name} is refused: {report.body.why}")
        for grant in confirmed:
            _tell_confirmed(host, grant)
        for text in unfit:
            _log.warning("%s", text)
        return last

    async def _record(self, tx: Transaction, host: Host, spool_id: str, report: Report) -> list[Grant]:
        """Keep one report; return its grant, as it was before, if it is over by now."""
        now = self._clock.now()
        await tx.reports.add(host.host_id, spool_id, report, now)
        grant = await tx.grants.get(report.grant_id) if report.grant_id else None
        if grant is None or grant.host_id != host.host_id:
            await follow(tx, host, None, report, now)
            return []
        await follow(tx, host, grant, report, now)
        after = await tx.grants.get(grant.grant_id)
        return [grant] if after is not None and after.state in OVER else []

    async def _end(self, tx: Transaction, host: Host, gone: Sequence[Grant], *, proof: str) -> None:
        now = self._clock.now()
        for grant in gone:
            await tx.grants.move(grant, GrantMove.END, ended_at=now)
            why, by = grant.end_reason, host_actor(host)
            await note_grant(tx, EventKind.GRANT_ENDED, grant, actor=by, now=now, host=host, reason=why, proof=proof)

    async def _wanted(self, tx: Transaction, caller: HostCaller, boot_id: str) -> tuple[Host, list[Grant]]:
        host = await access.host(tx, caller)
        if host.boot_id != boot_id:
            raise Conflict("the host has started anew since this stream began", hint="say hello again")
        now = self._clock.now()
        live = await tx.grants.select(Scope(host_id=host.host_id, everything=True), states=LIVE)
        wanted = [grant for grant in live if grant.wanted_at(now)]
        if host.clock_is_off:
            wanted = [grant for grant in wanted if _stands(grant, boot_id, now)]
        return host, wanted

    async def _signed(self, tx: Transaction, host: Host, grant: Grant, boot_id: str) -> Grant:
        now = self._clock.now()
        if not _to_sign(host, grant, boot_id, now):
            return grant
        revision = grant.next_revision(now)
        envelope = self._signer.sign(message(grant, revision=revision, boot_id=boot_id, now=now))
        signature = Signature(revision, boot_id, now, grant.not_after, grant.end_to_sign(now), envelope)
        await tx.grants.set_signature(grant.grant_id, signature)
        return replace(grant, signature=signature)


def _to_sign(host: Host, grant: Grant, boot_id: str, now: int) -> bool:
    return not host.clock_is_off and grant.needs_signature(boot_id, now)


def _stands(grant: Grant, boot_id: str, now: int) -> bool:
    """Whether the bytes made for this boot before may go on without new ones."""
    if not grant.needs_signature(boot_id, now):
        return True
    return grant.state is GrantState.ACTIVE and grant.signature is not None and grant.signature.boot_id == boot_id


def _tell_confirmed(host: Host, before: Grant) -> None:
    """An end that nobody had confirmed is confirmed: say so where it was said that it was not."""
    if before.state is GrantState.UNCONFIRMED:
        _log.warning("%s has confirmed the end of %s (%s)", host.name, before.grant_id, before.end_reason)


async def _leaving(tx: Transaction, host: Host) -> Sequence[Grant]:
    everything = Scope(host_id=host.host_id, everything=True)
    return await tx.grants.select(everything, states=(GrantState.ENDING, GrantState.UNCONFIRMED))


async def _gone_without_proof(tx: Transaction, host: Host, generation: int) -> list[Grant]:
    leaving = await _leaving(tx, host)
    return [grant for grant in leaving if 0 < grant.left_set_at <= generation and grant.applied_boot != host.boot_id]
