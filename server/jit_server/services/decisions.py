"""Approving and denying (S8): votes are counted by person, and the last one needed makes or extends the grant.

The vote, the request's move, the grant, the host's new generation and their events are one transaction (S7).
"""

from __future__ import annotations

from dataclasses import replace

from jit_server.domain.events import SERVER, EventKind
from jit_server.domain.extension import closed, weigh
from jit_server.domain.identity import Person, User
from jit_server.domain.ids import Kind, RandomBytes, id_prefix
from jit_server.domain.lifecycle import RequestMove, RequestState, advance_request
from jit_server.domain.policy.decision import Refused, evaluate, may_decide
from jit_server.domain.policy.model import Policy, Role
from jit_server.domain.request import AccessRequest, Decision, check_reason
from jit_server.errors import Conflict, Denied, JitError
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.ending import cancel_all
from jit_server.services.issuing import issue, prolong
from jit_server.services.planning import unfit
from jit_server.services.policy_book import PolicyBook
from jit_server.services.recording import note_request
from jit_server.services.requests import lapse, others
from jit_server.services.views import RequestView, Viewer
from jit_server.services.weighing import Moment, Scales
from jit_server.store import Store, Transaction


class DecisionService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, scales: Scales, random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._scales = scales
        self._random_bytes = random_bytes

    async def approve(self, caller: Person, untrusted_id: str, untrusted_reason: str = "") -> RequestView:
        """Vote for a request; with the last vote needed the grant exists and its clock runs, or it lasts longer.

        Raises `NotFound` if the caller may not see it, `Denied` if they may see it but not decide (their own is among
        these) or if the policy no longer allows what was asked, `Conflict` if it is decided, too late, or voted on.
        """
        return await self._decide(caller, untrusted_id, untrusted_reason, approved=True)

    async def deny(self, caller: Person, untrusted_id: str, untrusted_reason: str = "") -> RequestView:
        """Vote against a request, which ends it.  Raises as `approve` does."""
        return await self._decide(caller, untrusted_id, untrusted_reason, approved=False)

    async def _decide(self, caller: Person, untrusted_id: str, untrusted_reason: str, *, approved: bool) -> RequestView:
        reason = check_reason(untrusted_reason)
        async with self._store.write() as tx:
            voter = await access.person(tx, caller)
            policy = await self._book.current(tx)
            scope = access.scope_of(voter, policy)
            found = await tx.requests.find(id_prefix(Kind.REQUEST, untrusted_id), scope)
            request = access.only(found, "request", untrusted_id)
            outcome = await self._vote_on_all(tx, policy, voter, request, reason, approved=approved)
            if outcome is None:
                current = await tx.requests.get(request.request_id)
                return await Viewer(tx, policy).request(current or request)
        raise outcome

    async def _vote_on_all(
        self, tx: Transaction, policy: Policy, voter: User, request: AccessRequest, reason: str, *, approved: bool
    ) -> JitError | None:
        """Vote on the request and on all that were made with it and wait; those that no longer fit are cancelled.

        Raises what the first one met if none of them fits.
        """
        asked = [request]
        if request.state is RequestState.PENDING:
            asked += [one for one in await others(tx, request) if one.state is RequestState.PENDING]
        outcome: JitError | None = None
        refused: list[tuple[AccessRequest, JitError]] = []
        for one in asked:
            try:
                outcome = await self._vote(tx, policy, voter, one, reason, approved=approved) or outcome
            except (Denied, Conflict) as error:
                refused.append((one, error))
        if len(refused) == len(asked):
            raise refused[0][1]
        for one, why in refused:
            await self._leave_out(tx, one, str(why))
        return outcome

    async def _leave_out(self, tx: Transaction, request: AccessRequest, why: str) -> None:
        await cancel_all(tx, [request], actor=SERVER, now=self._clock.now(), why=why)
        host = await tx.hosts.get(request.host_id)
        batch = (await tx.batches.of([request.batch_id])).get(request.batch_id)
        if host is not None and batch is not None:
            await tx.batches.leave_out(batch, host.name, why)

    async def _vote(
        self, tx: Transaction, policy: Policy, voter: User, request: AccessRequest, reason: str, *, approved: bool
    ) -> JitError | None:
        """Record the vote; return the error to raise after the commit if the request came to its end instead."""
        now = self._clock.now()
        role = await self._require_right(tx, policy, voter, request)
        # Refuses what is decided already, before anything is written.
        advance_request(request.state, RequestMove.APPROVE if approved else RequestMove.DENY)
        if request.lapses_at <= now:
            await lapse(tx, request, now)
            return Conflict("nobody decided on this request in time: it has lapsed")
        if approved and request.extends:
            over = await _over(tx, request, now)
            if over is not None:
                await cancel_all(tx, [request], actor=SERVER, now=now, why=over)
                return Conflict(f"{over}: the request is cancelled")
        await tx.requests.add_decision(request.request_id, Decision(voter.user_id, approved, reason, now))
        kind = EventKind.REQUEST_APPROVED if approved else EventKind.REQUEST_DENIED
        await note_request(tx, kind, request, actor=voter.name, now=now, reason=reason)
        if not approved:
            await tx.requests.move(request, RequestMove.DENY)
            return None
        votes = tuple(dict.fromkeys((*request.approvals, voter.user_id)))
        if len(votes) >= max(role.approvals, request.approvals_needed):
            await self._grant(tx, policy, role, request, votes=votes, voter=voter, now=now)
        return None

    async def _require_right(self, tx: Transaction, policy: Policy, voter: User, request: AccessRequest) -> Role:
        if voter.user_id == request.user_id:
            raise Denied("nobody decides on their own request")
        role = policy.roles.get(request.role)
        if role is None:
            raise Denied(f"role {request.role} is no longer in the policy")
        if voter not in may_decide(policy, role, request.user_id, [voter]):
            raise Denied(f"{voter.name} may not decide on requests for role {request.role}")
        if any(vote.user_id == voter.user_id for vote in request.decisions) and request.state is RequestState.PENDING:
            raise Conflict(f"{voter.name} has voted on this request already", hint="somebody else has to approve too")
        return role

    async def _grant(
        self,
        tx: Transaction,
        policy: Policy,
        role: Role,
        request: AccessRequest,
        *,
        votes: tuple[str, ...],
        voter: User,
        now: int,
    ) -> None:
        """S10: decide once more before the grant starts; votes of people who lost the right do not count."""
        requester, host = await tx.people.get(request.user_id), await tx.hosts.get(request.host_id)
        if host is None or requester is None:
            raise Conflict("the host is gone")
        extended = await tx.grants.get(request.extends) if request.extends else None
        case = await self._scales.case(
            tx,
            policy,
            role,
            person=requester,
            host=host,
            ask=request.ask,
            moment=Moment.of_request(request, now),
            besides=extended,
        )
        decision = evaluate(case)
        if isinstance(decision, Refused):
            raise Denied(decision.why, hint=decision.hint)
        entitled = {user.user_id for user in decision.approvers}
        counted = tuple(user_id for user_id in votes if user_id in entitled)
        if len(counted) < max(role.approvals, request.approvals_needed):
            return
        if extended is not None:
            refused = unfit(host, now) or weigh(
                policy, extended, requester, host, duration_s=request.duration_s, at=now
            )
            if isinstance(refused, Refused):
                raise Denied(refused.why, hint=refused.hint)
        await tx.requests.move(request, RequestMove.APPROVE)
        if extended is not None:
            await prolong(
                tx,
                request,
                extended,
                user=requester,
                host=host,
                actor=voter.name,
                now=now,
                until=decision.until,
                alone=False,
            )
            return
        await issue(
            tx,
            replace(request, state=RequestState.APPROVED),
            role,
            user=requester,
            host=host,
            approved_by=counted,
            actor=voter.name,
            now=now,
            until=decision.until,
            random_bytes=self._random_bytes,
        )


async def _over(tx: Transaction, request: AccessRequest, now: int) -> str | None:
    """Say why there is nothing left to extend, or None."""
    grant = await tx.grants.get(request.extends)
    return f"{request.extends} is gone" if grant is None else closed(grant, now)
