"""More time for a live grant, in place: the person, the host and the programs that run go on as they are.

What it takes is decided in `domain/extension.py`.  Each extension is a request of its own, so that history is one
thing; its row, the grant's new end and their events are one transaction (S7).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from jit_server.domain.ask import describe
from jit_server.domain.events import Event, EventKind
from jit_server.domain.extension import AtOnce, LikeNew, closed, reach_s, weigh
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, HostCaller, LocalUser, User
from jit_server.domain.ids import Kind, RandomBytes, id_prefix, new_id
from jit_server.domain.lifecycle import RequestState
from jit_server.domain.policy.decision import Refused, ends_by_itself, evaluate, unmet
from jit_server.domain.policy.model import Policy, Role
from jit_server.domain.request import AccessRequest, check_reason, check_ticket
from jit_server.domain.span import typed
from jit_server.domain.starting import refusal
from jit_server.errors import Conflict, Denied, Invalid, JitError, NotFound, Unauthenticated
from jit_server.ports import Clock
from jit_server.services import access, demands
from jit_server.services.factors import FactorService
from jit_server.services.issuing import prolong
from jit_server.services.planning import unfit
from jit_server.services.policy_book import PolicyBook
from jit_server.services.recording import note_request
from jit_server.services.views import RequestView, Viewer
from jit_server.services.weighing import Moment, Scales
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope


@dataclass(frozen=True, slots=True)
class NewExtension:
    """What `jit extend` collected; `duration_s` zero means the role's default, `otp` empty that none was given."""

    grant_id: str
    duration_s: int = 0
    reason: str = ""
    ticket: str = ""
    otp: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class _Case:
    """Who asks, for more of which grant; `first` is the request that made it."""

    policy: Policy
    grant: Grant
    first: AccessRequest
    person: User
    host: Host
    now: int


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What it takes; when the right to the role ends by itself, and whether it is the person's own (`Allowed`)."""

    decision: AtOnce | LikeNew | Refused
    until: int = 0
    active: bool = False


class ExtensionService:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        book: PolicyBook,
        scales: Scales,
        *,
        factors: FactorService,
        random_bytes: RandomBytes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._scales = scales
        self._factors = factors
        self._random_bytes = random_bytes

    async def extend(self, caller: HostCaller, user: LocalUser, untrusted: NewExtension) -> RequestView:
        """Let a live grant of the person on the calling host last longer, or record that this was asked for.

        Raises `NotFound` for no such grant of theirs here, `Conflict` for one that is not live or is waiting for an
        extension already, `Denied` if the policy says no; and as `RequestService.create` does where an extension
        takes what a new request takes.
        """
        async with self._store.write() as tx:
            outcome = await self._extend(tx, caller, user, untrusted)
        if isinstance(outcome, JitError):
            raise outcome
        return outcome

    async def _extend(
        self, tx: Transaction, caller: HostCaller, user: LocalUser, untrusted: NewExtension
    ) -> RequestView | JitError:
        case = await self._find(tx, caller, user, untrusted.grant_id)
        over = closed(case.grant, case.now)
        if over is not None:
            raise Conflict(over, hint="ask anew: jit request")
        if untrusted.duration_s < 0:
            raise Invalid("the duration is negative")
        verdict = await self._decide(tx, case, untrusted)
        match verdict.decision:
            case Refused(why=why, hint=hint):
                await _note_refusal(tx, case, why)
                return Denied(why, hint=hint)
            case AtOnce(duration_s=duration_s):
                request = self._request(case, duration_s)
                return await self._grant(tx, case, request, until=verdict.until, alone=True)
            case LikeNew() as like_new:
                return await self._ask(tx, case, like_new, verdict, untrusted)

    async def _find(self, tx: Transaction, caller: HostCaller, user: LocalUser, untrusted_id: str) -> _Case:
        host = await access.host(tx, caller)
        person = await access.local_person(tx, user)
        scope = Scope(user_id=person.user_id, host_id=host.host_id)
        grant = access.only(await tx.grants.find(id_prefix(Kind.GRANT, untrusted_id), scope), "grant", untrusted_id)
        first = await tx.requests.get(grant.request_id)
        if first is None or grant.local_user != user:
            raise NotFound(f"{grant.grant_id} is not for this account", hint="jit status shows what is")
        return _Case(await self._book.current(tx), grant, first, person, host, self._clock.now())

    async def _decide(self, tx: Transaction, case: _Case, untrusted: NewExtension) -> _Verdict:
        decision = unfit(case.host, case.now) or weigh(
            case.policy, case.grant, case.person, case.host, duration_s=untrusted.duration_s, at=case.now
        )
        if isinstance(decision, Refused):
            return _Verdict(decision)
        moment = Moment(
            case.now,
            case.first.login,
            duration_s=decision.duration_s,
            reason=check_reason(untrusted.reason) or case.first.reason,
            ticket=check_ticket(untrusted.ticket) or case.first.ticket,
        )
        weighed = await self._scales.case(
            tx,
            case.policy,
            decision.role,
            person=case.person,
            host=case.host,
            ask=case.first.ask,
            moment=moment,
            besides=case.grant,
        )
        if isinstance(decision, AtOnce):
            # What the grant stands on has to stand still: by now the role may want more, or an approver count no more.
            lacking = refusal(
                case.policy, case.grant, case.first, case.person, case.host, people=weighed.people, at=case.now
            )
            if lacking is None:
                return _Verdict(unmet(weighed) or decision, ends_by_itself(weighed))
            decision = LikeNew(decision.role, decision.duration_s, f"asked again, because {lacking.why}", 0)
        able = evaluate(weighed)
        return _Verdict(able) if isinstance(able, Refused) else _Verdict(decision, able.until, able.active)

    async def _ask(
        self, tx: Transaction, case: _Case, like_new: LikeNew, verdict: _Verdict, untrusted: NewExtension
    ) -> RequestView | JitError:
        role, approvals = like_new.role, 0 if verdict.active else like_new.role.approvals
        duration_s = demands.duration(role, like_new.duration_s)
        if waiting := await tx.requests.extending(case.grant.grant_id):
            raise Conflict(
                f"{waiting[0].request_id} asks for more time of {case.grant.grant_id} already",
                hint=f"wait for it, or take it back: jit cancel {waiting[0].request_id}",
            )
        given = demands.Given(check_reason(untrusted.reason), check_ticket(untrusted.ticket), untrusted.otp)
        if not approvals:
            _require_reach(case, role, duration_s)
        try:
            met = await demands.meet(
                tx,
                self._factors,
                role,
                given,
                person=case.person,
                host=case.host,
                active=verdict.active,
                now=case.now,
            )
        except Invalid as error:
            raise type(error)(f"{error}: this is {like_new.why}", hint=_or_less(error.hint, like_new)) from None
        if isinstance(met, Unauthenticated):
            met.hint = _or_less(met.hint, like_new)
            return met
        request = replace(
            self._request(case, duration_s),
            reason=given.reason,
            ticket=given.ticket,
            state=RequestState.PENDING if approvals else RequestState.APPROVED,
            # Undecided it ends with the grant, for then there is nothing to extend.
            lapses_at=min(case.now + role.request_timeout_s * 1_000_000, case.grant.not_after),
            approvals_needed=approvals,
            mfa_passed=met.mfa,
        )
        if not approvals:
            return await self._grant(tx, case, request, until=verdict.until, alone=False)
        await _add(tx, case, request)
        return await Viewer(tx, case.policy).request(request)

    async def _grant(
        self, tx: Transaction, case: _Case, request: AccessRequest, *, until: int, alone: bool
    ) -> RequestView:
        await _add(tx, case, request)
        await prolong(
            tx,
            request,
            case.grant,
            user=case.person,
            host=case.host,
            actor=case.person.name,
            now=case.now,
            until=until,
            alone=alone,
        )
        return await Viewer(tx, case.policy).request(request)

    def _request(self, case: _Case, duration_s: int) -> AccessRequest:
        """The request of somebody who needs nobody else for it."""
        grant = case.grant
        return AccessRequest(
            request_id=new_id(Kind.REQUEST, self._random_bytes),
            user_id=grant.user_id,
            host_id=grant.host_id,
            local_user=grant.local_user,
            role=grant.role,
            ask=case.first.ask,
            reason="",
            ticket="",
            duration_s=duration_s,
            state=RequestState.APPROVED,
            created_at=case.now,
            lapses_at=case.now,
            approvals_needed=0,
            role_commands=describe(grant.commands),
            mfa_passed=False,
            once=grant.once,
            session=grant.session,
            extends=grant.grant_id,
            login=case.first.login,
        )


async def _add(tx: Transaction, case: _Case, request: AccessRequest) -> None:
    await tx.requests.add(request)
    await note_request(
        tx,
        EventKind.REQUEST_CREATED,
        request,
        actor=case.person.name,
        now=case.now,
        user=case.person,
        host=case.host,
        extends=request.extends,
        reason=request.reason,
        ticket=request.ticket,
        duration_s=request.duration_s,
        approvals_needed=request.approvals_needed,
        mfa=request.mfa_passed,
    )


async def _note_refusal(tx: Transaction, case: _Case, why: str) -> None:
    await tx.audit.append(
        Event(
            at=case.now,
            kind=EventKind.REQUEST_REFUSED,
            actor=case.person.name,
            user=case.person.name,
            host=case.host.name,
            role=case.grant.role,
            grant_id=case.grant.grant_id,
            details={"why": why, "extends": case.grant.grant_id},
        )
    )


def _or_less(hint: str, like_new: LikeNew) -> str:
    """What else would do."""
    if not like_new.free_s:
        return hint
    free = typed(like_new.free_s)
    return f"{hint}; up to {free} more needs nothing: -d {free}"


def _require_reach(case: _Case, role: Role, duration_s: int) -> None:
    most_s = reach_s(role, case.grant, case.now)
    if duration_s > most_s:
        raise Invalid(
            f"{typed(duration_s)} more is too much: nobody approves role {role.name}, "
            f"so its grants never reach further than {typed(role.max_s)} from now",
            hint=f"ask for {typed(most_s)} at most: -d {typed(most_s)}" if most_s else "ask again nearer to its end",
        )
