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
from jit_server.domain.policy import Policy, Refused, Role, evaluate
from jit_server.domain.request import AccessRequest, check_reason, check_ticket
from jit_server.domain.span import typed
from jit_server.domain.starting import refusal
from jit_server.errors import Conflict, Denied, Invalid, JitError, NotFound
from jit_server.ports import Clock
from jit_server.services import access, conditions
from jit_server.services.factors import FactorService
from jit_server.services.issuing import prolong
from jit_server.services.planning import unfit
from jit_server.services.policies import PolicyBook
from jit_server.services.recording import note_request
from jit_server.services.views import RequestView, Viewer
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


class ExtensionService:
    def __init__(
        self, store: Store, clock: Clock, book: PolicyBook, factors: FactorService, random_bytes: RandomBytes
    ) -> None:
        self._store = store
        self._clock = clock
        self._book = book
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
        match await _decide(tx, case, untrusted.duration_s):
            case Refused(why=why, hint=hint):
                await _note_refusal(tx, case, why)
                return Denied(why, hint=hint)
            case AtOnce(duration_s=duration_s):
                return await self._grant(tx, case, self._request(case, duration_s), alone=True)
            case LikeNew() as like_new:
                return await self._ask(tx, case, like_new, untrusted)

    async def _find(self, tx: Transaction, caller: HostCaller, user: LocalUser, untrusted_id: str) -> _Case:
        host = await access.host(tx, caller)
        person = await access.local_person(tx, user)
        scope = Scope(user_id=person.user_id, host_id=host.host_id)
        grant = access.only(await tx.grants.find(id_prefix(Kind.GRANT, untrusted_id), scope), "grant", untrusted_id)
        first = await tx.requests.get(grant.request_id)
        if first is None or grant.local_user != user:
            raise NotFound(f"{grant.grant_id} is not for this account", hint="jit status shows what is")
        return _Case(await self._book.current(tx), grant, first, person, host, self._clock.now())

    async def _ask(
        self, tx: Transaction, case: _Case, like_new: LikeNew, untrusted: NewExtension
    ) -> RequestView | JitError:
        role = like_new.role
        duration_s = conditions.duration(role, like_new.duration_s)
        if waiting := await tx.requests.extending(case.grant.grant_id):
            raise Conflict(
                f"{waiting[0].request_id} asks for more time of {case.grant.grant_id} already",
                hint=f"wait for it, or take it back: jit cancel {waiting[0].request_id}",
            )
        reason, ticket = check_reason(untrusted.reason), check_ticket(untrusted.ticket)
        if not role.approvals:
            _require_reach(case, role, duration_s)
        try:
            unmet = await conditions.meet(
                tx,
                self._factors,
                case.person,
                role,
                reason=reason,
                ticket=ticket,
                untrusted_otp=untrusted.otp,
                host=case.host.name,
                now=case.now,
            )
        except Invalid as error:
            raise type(error)(f"{error}: this is {like_new.why}", hint=_or_less(error.hint, like_new)) from None
        if unmet is not None:
            unmet.hint = _or_less(unmet.hint, like_new)
            return unmet
        request = replace(
            self._request(case, duration_s),
            reason=reason,
            ticket=ticket,
            state=RequestState.PENDING if role.approvals else RequestState.APPROVED,
            # Undecided it ends with the grant, for then there is nothing to extend.
            lapses_at=min(case.now + role.request_timeout_s * 1_000_000, case.grant.not_after),
            approvals_needed=role.approvals,
            mfa_passed=role.mfa,
        )
        if not role.approvals:
            return await self._grant(tx, case, request, alone=False)
        await _add(tx, case, request)
        return await Viewer(tx, case.policy).request(request)

    async def _grant(self, tx: Transaction, case: _Case, request: AccessRequest, *, alone: bool) -> RequestView:
        await _add(tx, case, request)
        await prolong(
            tx,
            request,
            case.grant,
            user=case.person,
            host=case.host,
            actor=case.person.name,
            now=case.now,
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
        )


async def _decide(tx: Transaction, case: _Case, duration_s: int) -> AtOnce | LikeNew | Refused:
    decision = unfit(case.host, case.now) or weigh(case.policy, case.grant, case.person, case.host, duration_s)
    people = await tx.people.all()
    if isinstance(decision, AtOnce):
        # What the grant stands on has to stand still: by now the role may want more, or an approver count no more.
        lacking = refusal(case.policy, case.grant, case.first, case.person, case.host, people=people)
        if lacking is not None:
            decision = LikeNew(decision.role, decision.duration_s, f"asked again, because {lacking.why}", 0)
    if isinstance(decision, LikeNew):
        able = evaluate(case.policy, decision.role, case.person, case.host, case.first.ask, people=people)
        if isinstance(able, Refused):
            return able
    return decision


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
