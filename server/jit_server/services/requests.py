"""Asking: what may be asked for, the ask itself, and taking it back (DESIGN 3, steps 2 and 3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from jit_server.domain.ask import Ask, check_ask
from jit_server.domain.events import SERVER, EventKind
from jit_server.domain.identity import Host, HostCaller, LocalUser, Person, User
from jit_server.domain.ids import Kind, RandomBytes, id_prefix
from jit_server.domain.lifecycle import GrantState, RequestMove, RequestState
from jit_server.domain.policy.circumstances import Login
from jit_server.domain.request import AccessRequest
from jit_server.errors import Denied, Invalid, JitError, LimitExceeded, Unauthenticated
from jit_server.ports import Clock
from jit_server.services import access, demands
from jit_server.services.demands import Met
from jit_server.services.ending import end_grant
from jit_server.services.factors import FactorService
from jit_server.services.filing import NewRequest, checked, draft, file, given, moment_of, note_refusal
from jit_server.services.planning import plan
from jit_server.services.policy_book import PolicyBook
from jit_server.services.recording import note_request
from jit_server.services.views import Plan, RequestView, Viewer
from jit_server.services.weighing import Moment, Scales
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope

MAX_LISTED = 1_000
MINE_LISTED = 100


class RequestService:
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

    async def plan(self, caller: HostCaller, user: LocalUser, ask: Ask | None, login: Login, role: str = "") -> Plan:
        """Say which roles fit the ask, or every role of the person on this host if there is none.

        Reasons are given only for roles the person is eligible for, or named.
        Raises `Denied` for an account the server does not know.
        """
        checked = None if ask is None else check_ask(ask)
        async with self._store.read() as tx:
            host = await access.host(tx, caller)
            person = await access.local_person(tx, user)
            policy = await self._book.current(tx)
            moment = Moment(self._clock.now(), login, draft=True)
            return await plan(tx, self._scales, policy, person, host, ask=checked, wanted=role, moment=moment)

    async def create(self, caller: HostCaller, user: LocalUser, untrusted: NewRequest) -> RequestView:
        """Record a request for the calling host, or the grant at once if the role needs no approval.

        Of a dry run nothing is recorded, no code is asked for, and the request has no id.

        Raises `Invalid` or `LimitExceeded` for bad input, `Denied` if the policy says no, `Unauthenticated` or
        `FactorLocked` if the one-time code is missing, wrong, used, or no longer tried.
        """
        async with self._store.read() if untrusted.dry_run else self._store.write() as tx:
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
        """One of the person's own requests for this host, or of those for several that were made on it."""
        async with self._store.read() as tx:
            host = await access.host(tx, caller)
            person = await access.local_person(tx, user)
            policy = await self._book.current(tx)
            request = await _find_local(tx, untrusted_id, person, host)
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
        """The person's own requests for this host or made on it, newest first, at most 100.

        Without `over_too`: pending ones, and approved ones whose grant is not over; an extension that was approved is
        part of its grant then.
        """
        async with self._store.read() as tx:
            host = await access.host(tx, caller)
            person = await access.local_person(tx, user)
            policy = await self._book.current(tx)
            states = () if over_too else (RequestState.PENDING, RequestState.APPROVED)
            mine = await tx.requests.select(
                Scope(user_id=person.user_id, host_id=host.host_id), states=states, limit=MINE_LISTED
            )
            every = await tx.requests.select(Scope(user_id=person.user_id), states=states, limit=MAX_LISTED)
            listed = {one.request_id: one for one in (*mine, *await _made_on(tx, every, host))}
            found = sorted(listed.values(), key=lambda one: (-one.created_at, one.request_id))
            views = await Viewer(tx, policy).requests(found[:MINE_LISTED])
        return tuple(view for view in views if over_too or _goes_on(view))

    async def cancel(self, caller: Person, untrusted_id: str) -> RequestView:
        """Take back one's own request, also once it is approved if its start is still to come.

        Raises `Conflict` if it is decided otherwise.
        """
        async with self._store.write() as tx:
            user = await access.person(tx, caller)
            return await self._cancel(tx, user, await _find(tx, untrusted_id, Scope(user_id=user.user_id)))

    async def cancel_local(self, caller: HostCaller, user: LocalUser, untrusted_id: str) -> RequestView:
        """As `cancel`, for a request for the calling host, or one for several that was made on it."""
        async with self._store.write() as tx:
            host = await access.host(tx, caller)
            person = await access.local_person(tx, user)
            return await self._cancel(tx, person, await _find_local(tx, untrusted_id, person, host))

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
        new = checked(untrusted, now)
        moment = moment_of(new, now)
        fitting = await plan(tx, self._scales, policy, person, host, ask=new.ask, wanted=new.role, moment=moment)
        if not new.role:
            raise Invalid("no role was named", hint="jit ls shows what you may ask for")
        if not fitting.choices:
            refused = fitting.refusals[0]
            if not new.dry_run:
                await note_refusal(tx, refused, new.ask, person=person, host=host, role=new.role, now=now)
            return Denied(refused.why, hint=refused.hint)
        choice = fitting.choices[0]
        if new.dry_run:
            await demands.require(tx, person, choice.role, given(new), active=choice.active)
            drafted = draft(new, choice, Met(mfa=False), person=person, host=host, local=user, now=now)
            return await Viewer(tx, policy).request(drafted)
        demands.duration(choice.role, new.duration_s)
        met = await demands.meet(
            tx,
            self._factors,
            choice.role,
            given(new),
            person=person,
            host=host,
            active=choice.active,
            now=now,
        )
        if isinstance(met, Unauthenticated):
            return met
        drafted = draft(new, choice, met, person=person, host=host, local=user, now=now)
        request = await file(tx, drafted, choice, met, person=person, host=host, random_bytes=self._random_bytes)
        return await Viewer(tx, policy).request(request)

    async def _cancel(self, tx: Transaction, user: User, request: AccessRequest) -> RequestView:
        """Take it back, and with it all that were made with it and can be."""
        policy, now = await self._book.current(tx), self._clock.now()
        await self._cancel_one(tx, user, request, now)
        for other in await others(tx, request):
            grant = await tx.grants.of_request(other.request_id)
            if other.state is RequestState.PENDING or (grant is not None and grant.state is GrantState.SCHEDULED):
                await self._cancel_one(tx, user, other, now)
        current = await tx.requests.get(request.request_id)
        return await Viewer(tx, policy).request(current or request)

    async def _cancel_one(self, tx: Transaction, user: User, request: AccessRequest, now: int) -> None:
        grant = await tx.grants.of_request(request.request_id)
        if grant is not None and grant.state is GrantState.SCHEDULED:
            await end_grant(tx, grant, kind=EventKind.GRANT_DROP_ASKED, actor=user.name, now=now, end_reason="dropped")
        else:
            await tx.requests.move(request, RequestMove.CANCEL)
            await note_request(tx, EventKind.REQUEST_CANCELLED, request, actor=user.name, now=now, user=user)


async def lapse(tx: Transaction, request: AccessRequest, now: int) -> None:
    """Close a pending request whose time is up."""
    await tx.requests.move(request, RequestMove.LAPSE)
    await note_request(tx, EventKind.REQUEST_LAPSED, request, actor=SERVER, now=now)


async def _find(tx: Transaction, untrusted_id: str, scope: Scope) -> AccessRequest:
    found = await tx.requests.find(id_prefix(Kind.REQUEST, untrusted_id), scope)
    return access.only(found, "request", untrusted_id)


async def _find_local(tx: Transaction, untrusted_id: str, person: User, host: Host) -> AccessRequest:
    prefix = id_prefix(Kind.REQUEST, untrusted_id)
    found = await tx.requests.find(prefix, Scope(user_id=person.user_id, host_id=host.host_id))
    if not found:
        found = await _made_on(tx, await tx.requests.find(prefix, Scope(user_id=person.user_id)), host)
    return access.only(found, "request", untrusted_id)


async def _made_on(tx: Transaction, requests: Sequence[AccessRequest], host: Host) -> list[AccessRequest]:
    """Those for several hosts that were made on this one, which need not be among them."""
    batches = await tx.batches.of({request.batch_id for request in requests if request.batch_id})
    made_here = {batch.batch_id for batch in batches.values() if batch.asked_on == host.host_id}
    return [request for request in requests if request.batch_id in made_here]


async def others(tx: Transaction, request: AccessRequest) -> list[AccessRequest]:
    """Those that were made with it for other hosts."""
    if not request.batch_id:
        return []
    made = await tx.requests.of_batches([request.batch_id])
    return [one for one in made if one.request_id != request.request_id]


def _goes_on(view: RequestView) -> bool:
    """Whether the person still has to do with it."""
    if view.grant is None:
        return view.request.state is RequestState.PENDING
    return not (view.grant.end_confirmed or view.request.extends)
