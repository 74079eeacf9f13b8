"""Asking: what may be asked for, the ask itself, and taking it back (DESIGN 3, steps 2 and 3)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from jit_server.domain.ask import Ask, check_ask, describe
from jit_server.domain.events import SERVER, Event, EventKind
from jit_server.domain.identity import HostCaller, LocalUser, Person, User
from jit_server.domain.ids import Kind, RandomBytes, id_prefix, new_id
from jit_server.domain.lifecycle import GrantState, RequestMove, RequestState
from jit_server.domain.request import AccessRequest, check_reason, check_session, check_start, check_ticket
from jit_server.errors import Denied, Invalid, JitError, LimitExceeded
from jit_server.ports import Clock
from jit_server.services import access, conditions
from jit_server.services.ending import end_grant
from jit_server.services.factors import FactorService
from jit_server.services.issuing import issue
from jit_server.services.planning import plan
from jit_server.services.policies import PolicyBook
from jit_server.services.recording import note_request
from jit_server.services.views import Plan, RequestView, Viewer
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope

MAX_LISTED = 1_000
MINE_LISTED = 100


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What `jit` collected; `duration_s` zero means the role's default, `otp` empty that none was given.

    `session` zero means any of the person's, `starts_at` (µs UTC) zero as soon as it is approved.
    """

    role: str
    ask: Ask
    duration_s: int = 0
    reason: str = ""
    ticket: str = ""
    otp: str = field(default="", repr=False)
    once: bool = False
    session: int = 0
    starts_at: int = 0


class RequestService:
    def __init__(
        self, store: Store, clock: Clock, book: PolicyBook, factors: FactorService, random_bytes: RandomBytes
    ) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._factors = factors
        self._random_bytes = random_bytes

    async def plan(self, caller: HostCaller, user: LocalUser, ask: Ask | None, role: str = "") -> Plan:
        """Say which roles fit the ask, or every role of the person on this host if there is none.

        Reasons are given only for roles the person is eligible for, or named.
        Raises `Denied` for an account the server does not know.
        """
        checked = None if ask is None else check_ask(ask)
        async with self._store.read() as tx:
            host = await access.host(tx, caller)
            person = await access.local_person(tx, user)
            policy = await self._book.current(tx)
            return await plan(tx, policy, person, host, ask=checked, wanted=role, now=self._clock.now())

    async def create(self, caller: HostCaller, user: LocalUser, untrusted: NewRequest) -> RequestView:
        """Record a request, or the grant at once if the role needs no approval.

        Raises `Invalid` or `LimitExceeded` for bad input, `Denied` if the policy says no, `Unauthenticated` or
        `FactorLocked` if the one-time code is missing, wrong, used, or no longer tried.
        """
        async with self._store.write() as tx:
            outcome = await self._create(tx, caller, user, untrusted)
        if isinstance(outcome, JitError):
            raise outcome
        return outcome

    async def get(self, caller: Person, untrusted_id: str) -> RequestView:
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            request = await _find(tx, untrusted_id, access.scope_of(user, policy))
            return await Viewer(tx, policy).request(request)

    async def get_local(self, caller: HostCaller, user: LocalUser, untrusted_id: str) -> RequestView:
        """One of the person's own requests for this host."""
        async with self._store.read() as tx:
            host = await access.host(tx, caller)
            person = await access.local_person(tx, user)
            policy = await self._book.current(tx)
            request = await _find(tx, untrusted_id, Scope(user_id=person.user_id, host_id=host.host_id))
            return await Viewer(tx, policy).request(request)

    async def list_visible(
        self, caller: Person, states: Collection[RequestState] = (), limit: int = 100
    ) -> tuple[RequestView, ...]:
        """Those the caller may see, newest first; no states mean pending only."""
        if not 1 <= limit <= MAX_LISTED:
            raise LimitExceeded(f"{limit} requests asked for; the limit is {MAX_LISTED}")
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            found = await tx.requests.select(
                access.scope_of(user, policy), states=states or (RequestState.PENDING,), limit=limit
            )
            return await Viewer(tx, policy).requests(found)

    async def list_mine(self, caller: HostCaller, user: LocalUser, *, over_too: bool) -> tuple[RequestView, ...]:
        """The person's own requests for this host, newest first, at most 100.

        Without `over_too`: pending ones, and approved ones whose grant is not over; an extension that was approved is
        part of its grant then.
        """
        async with self._store.read() as tx:
            host = await access.host(tx, caller)
            person = await access.local_person(tx, user)
            policy = await self._book.current(tx)
            states = () if over_too else (RequestState.PENDING, RequestState.APPROVED)
            found = await tx.requests.select(
                Scope(user_id=person.user_id, host_id=host.host_id), states=states, limit=MINE_LISTED
            )
            views = await Viewer(tx, policy).requests(found)
        return tuple(view for view in views if over_too or _goes_on(view))

    async def cancel(self, caller: Person, untrusted_id: str) -> RequestView:
        """Take back one's own request, also once it is approved if its start is still to come.

        Raises `Conflict` if it is decided otherwise.
        """
        async with self._store.write() as tx:
            user = await access.person(tx, caller)
            return await self._cancel(tx, user, untrusted_id, Scope(user_id=user.user_id))

    async def cancel_local(self, caller: HostCaller, user: LocalUser, untrusted_id: str) -> RequestView:
        """As `cancel`, for a request for the calling host."""
        async with self._store.write() as tx:
            host = await access.host(tx, caller)
            person = await access.local_person(tx, user)
            return await self._cancel(tx, person, untrusted_id, Scope(user_id=person.user_id, host_id=host.host_id))

    async def lapse(self) -> int:
        """Close pending requests that nobody decided in time; return how many."""
        now = self._clock.now()
        async with self._store.read() as tx:
            if not await tx.requests.lapsed(now):
                return 0
        async with self._store.write() as tx:
            late = await tx.requests.lapsed(now)
            for request in late:
                await lapse(tx, request, now)
        return len(late)

    async def _create(
        self, tx: Transaction, caller: HostCaller, user: LocalUser, untrusted: NewRequest
    ) -> RequestView | JitError:
        now = self._clock.now()
        host = await access.host(tx, caller)
        person = await access.local_person(tx, user)
        policy = await self._book.current(tx)
        ask = check_ask(untrusted.ask)
        reason, ticket = check_reason(untrusted.reason), check_ticket(untrusted.ticket)
        session, starts_at = check_session(untrusted.session), check_start(untrusted.starts_at, now)
        fitting = await plan(tx, policy, person, host, ask=ask, wanted=untrusted.role, now=now)
        if not untrusted.role:
            raise Invalid("no role was named", hint="jit ls shows what you may ask for")
        if not fitting.choices:
            refused = fitting.refusals[0]
            await tx.audit.append(
                Event(
                    at=now,
                    kind=EventKind.REQUEST_REFUSED,
                    actor=person.name,
                    user=person.name,
                    host=host.name,
                    role=untrusted.role[:128],
                    details={"why": refused.why, "command": str(ask), "run_as": ask.run_as_user},
                )
            )
            return Denied(refused.why, hint=refused.hint)
        role = fitting.choices[0].role
        duration_s = conditions.duration(role, untrusted.duration_s)
        unmet = await conditions.meet(
            tx,
            self._factors,
            person,
            role,
            reason=reason,
            ticket=ticket,
            untrusted_otp=untrusted.otp,
            host=host.name,
            now=now,
        )
        if unmet is not None:
            return unmet
        lapses_at = now + role.request_timeout_s * 1_000_000
        if starts_at:
            lapses_at = min(lapses_at, starts_at + duration_s * 1_000_000)
        request = AccessRequest(
            request_id=new_id(Kind.REQUEST, self._random_bytes),
            user_id=person.user_id,
            host_id=host.host_id,
            local_user=user,
            role=role.name,
            ask=ask,
            reason=reason,
            ticket=ticket,
            duration_s=duration_s,
            state=RequestState.PENDING if role.approvals else RequestState.APPROVED,
            created_at=now,
            lapses_at=lapses_at,
            approvals_needed=role.approvals,
            role_commands=describe(role.commands),
            mfa_passed=role.mfa,
            once=untrusted.once,
            session=session,
            starts_at=starts_at,
        )
        await tx.requests.add(request)
        await note_request(
            tx,
            EventKind.REQUEST_CREATED,
            request,
            actor=person.name,
            now=now,
            user=person,
            host=host,
            command=str(ask),
            run_as=ask.run_as_user,
            run_as_group=ask.run_as_group,
            exact=ask.exact,
            reason=reason,
            ticket=ticket,
            duration_s=duration_s,
            approvals_needed=role.approvals,
            mfa=role.mfa,
            once=request.once,
            session=session,
            starts_at=starts_at,
        )
        if not role.approvals:
            await issue(
                tx,
                request,
                role,
                user=person,
                host=host,
                approved_by=(),
                actor=SERVER,
                now=now,
                random_bytes=self._random_bytes,
            )
        return await Viewer(tx, policy).request(request)

    async def _cancel(self, tx: Transaction, user: User, untrusted_id: str, scope: Scope) -> RequestView:
        policy = await self._book.current(tx)
        request = await _find(tx, untrusted_id, scope)
        now = self._clock.now()
        grant = await tx.grants.of_request(request.request_id)
        if grant is not None and grant.state is GrantState.SCHEDULED:
            await end_grant(tx, grant, kind=EventKind.GRANT_DROP_ASKED, actor=user.name, now=now, end_reason="dropped")
        else:
            await tx.requests.move(request, RequestMove.CANCEL)
            await note_request(tx, EventKind.REQUEST_CANCELLED, request, actor=user.name, now=now, user=user)
        return await Viewer(tx, policy).request(await _find(tx, request.request_id, scope))


async def lapse(tx: Transaction, request: AccessRequest, now: int) -> None:
    """Close a pending request whose time is up."""
    await tx.requests.move(request, RequestMove.LAPSE)
    await note_request(tx, EventKind.REQUEST_LAPSED, request, actor=SERVER, now=now)


async def _find(tx: Transaction, untrusted_id: str, scope: Scope) -> AccessRequest:
    found = await tx.requests.find(id_prefix(Kind.REQUEST, untrusted_id), scope)
    return access.only(found, "request", untrusted_id)


def _goes_on(view: RequestView) -> bool:
    """Whether the person still has to do with it."""
    if view.grant is None:
        return view.request.state is RequestState.PENDING
    return not (view.grant.end_confirmed or view.request.extends)
