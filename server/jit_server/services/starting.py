"""Grants whose start was agreed on before: at that instant everything is asked again (S10), and only then they start.

A server that was away at the start begins late, with the end that was agreed on.
"""

from __future__ import annotations

from jit_server.domain.events import SERVER, EventKind
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, User
from jit_server.domain.lifecycle import GrantMove
from jit_server.domain.policy.decision import Refused, ends_by_itself, unmet
from jit_server.domain.policy.model import Policy
from jit_server.domain.request import AccessRequest
from jit_server.domain.span import instant
from jit_server.domain.starting import refusal
from jit_server.errors import Conflict
from jit_server.ports import Clock
from jit_server.services.issuing import terms
from jit_server.services.policy_book import PolicyBook
from jit_server.services.recording import note_grant
from jit_server.services.weighing import Moment, Scales
from jit_server.store import Store, Transaction


class StartService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, scales: Scales) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._scales = scales

    async def start_due(self) -> float | None:
        """Start or refuse what is due; return the seconds until the next start, None if there is none."""
        async with self._store.read() as tx:
            next_start = await tx.grants.next_start()
        if 0 < next_start <= self._clock.now():
            async with self._store.write() as tx:
                now = self._clock.now()
                policy = await self._book.current(tx)
                for grant in await tx.grants.to_start(now):
                    await self._start(tx, policy, grant, now)
                next_start = await tx.grants.next_start()
        return max(0.0, (next_start - self._clock.now()) / 1_000_000) if next_start else None

    async def _start(self, tx: Transaction, policy: Policy, grant: Grant, now: int) -> None:
        user, host = await tx.people.get(grant.user_id), await tx.hosts.get(grant.host_id)
        request = await tx.requests.get(grant.request_id)
        if user is None or host is None or request is None:
            raise Conflict(f"{grant.grant_id} is for somebody or something that is gone")
        if grant.not_after <= now:
            reason = "expired"
            await tx.grants.move(grant, GrantMove.END, ended_at=grant.not_after, end_reason=reason)
            proof = "it had not started"
            await note_grant(tx, EventKind.GRANT_ENDED, grant, actor=SERVER, now=now, reason=reason, proof=proof)
            return
        refused = await self._refusal(tx, policy, grant, request, user=user, host=host, now=now)
        if refused is not None:
            await tx.grants.move(grant, GrantMove.REFUSE, ended_at=now, end_reason=refused.why)
            await note_grant(
                tx, EventKind.GRANT_REFUSED, grant, actor=SERVER, now=now, user=user, host=host, message=refused.why
            )
            return
        await tx.grants.move(grant, GrantMove.START)
        await tx.hosts.raise_generation(host.host_id)
        late_us = now - grant.not_before
        await note_grant(
            tx,
            EventKind.GRANT_ISSUED,
            grant,
            actor=SERVER,
            now=now,
            user=user,
            host=host,
            late_us=late_us,
            **terms(grant),
        )

    async def _refusal(
        self,
        tx: Transaction,
        policy: Policy,
        grant: Grant,
        request: AccessRequest,
        *,
        user: User,
        host: Host,
        now: int,
    ) -> Refused | None:
        """Say why it may not start: what it stands on, the role's conditions, and that it ends in time."""
        role = policy.roles.get(grant.role)
        if role is None:
            return Refused(grant.role, f"role {grant.role} is no longer in the policy")
        case = await self._scales.case(
            tx,
            policy,
            role,
            person=user,
            host=host,
            ask=request.ask,
            moment=Moment.of_request(request, now),
            besides=grant,
        )
        refused = refusal(policy, grant, request, user, host, people=case.people, at=now) or unmet(case)
        if refused is not None:
            return refused
        end = ends_by_itself(case)
        if 0 < end < grant.not_after:
            return Refused(role.name, f"the right to role {role.name} ends at {instant(end)} by now, before the grant")
        return None
