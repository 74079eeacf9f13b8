"""Sessions as people see them, what they may order about one, and what hosts are told of it (SPEC 8.5).

People see their own sessions, approvers those of their roles, administrators and auditors all.  Freezing and killing
take a right away, so whoever may do it may do it at once; thawing and watching give one: not to a locked person, and
never to the session's own (S8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jit_server.domain import lock as locking
from jit_server.domain import session_order as ordering
from jit_server.domain.events import EventKind
from jit_server.domain.identity import Duty, HostCaller, LocalUser, Person, User
from jit_server.domain.ids import Kind, id_prefix
from jit_server.domain.policy.model import Policy
from jit_server.domain.request import check_reason
from jit_server.domain.session import OPEN, Act, Command, Session
from jit_server.domain.session_order import WATCHER_COUNTS_US, Orders, Watcher
from jit_server.errors import Conflict, Denied, Invalid, LimitExceeded
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.policy_book import PolicyBook
from jit_server.services.recording import note_session
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope, SessionQuery

MAX_LISTED = 1_000
MAX_COMMANDS_SHOWN = 1_000
MAX_OPEN = 10_000
"""No host has more open sessions than this that orders are kept for: sudo's connections are limited there."""

MAX_TEXT_BYTES = 2 * 1024 * 1024
"""What one answer may hold of the words of hosts; clients take messages of 4 MiB."""

PAGE = 100

_EVENTS = {Act.FREEZE: EventKind.SESSION_FROZEN, Act.THAW: EventKind.SESSION_THAWED, Act.KILL: EventKind.SESSION_KILLED}


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session, and the names of those who watch it now."""

    session: Session
    watchers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionList:
    """Newest first; `truncated`: there are more."""

    sessions: tuple[SessionView, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class SessionDetails:
    """A session with what its command started, as it came; `truncated`: there is more of that."""

    view: SessionView
    commands: tuple[Command, ...]
    truncated: bool


class SessionsService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook) -> None:
        self._store = store
        self._clock = clock
        self._book = book

    async def list_visible(self, caller: Person, untrusted: SessionQuery, limit: int = 100) -> SessionList:
        """Those the caller may see, as many as were asked for and as one answer can hold."""
        query = _checked(untrusted)
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            scope = access.scope_of(user, await self._book.current(tx))
            return await self._list(tx, query, scope, limit)

    async def list_local(self, caller: HostCaller, untrusted_user: LocalUser, limit: int = 100) -> SessionList:
        """The person's own, on any host."""
        async with self._store.read() as tx:
            await access.host(tx, caller)
            user = await access.local_person(tx, untrusted_user)
            return await self._list(tx, SessionQuery(), Scope(user_id=user.user_id), limit)

    async def get(self, caller: Person, untrusted_id: str) -> SessionDetails:
        """Raises `NotFound` for a session the caller may not see."""
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            scope = access.scope_of(user, await self._book.current(tx))
            return await self._details(tx, await _find(tx, untrusted_id, scope))

    async def get_local(self, caller: HostCaller, untrusted_user: LocalUser, untrusted_id: str) -> SessionDetails:
        """Raises `NotFound` unless it is the person's own."""
        async with self._store.read() as tx:
            await access.host(tx, caller)
            user = await access.local_person(tx, untrusted_user)
            return await self._details(tx, await _find(tx, untrusted_id, Scope(user_id=user.user_id)))

    async def view(self, caller: Person, untrusted_id: str) -> SessionView:
        """The session as it is now, for who reads its recording; raises as `get`."""
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            scope = access.scope_of(user, await self._book.current(tx))
            return await self._view(tx, await _find(tx, untrusted_id, scope))

    async def control(
        self, caller: Person, untrusted_id: str, untrusted_act: str, untrusted_reason: str
    ) -> SessionView:
        """Order the session to be frozen, thawed or killed; its host is told at once, or when it is back.

        Raises `NotFound` for a session the caller may not see, `Denied` unless an approver of its role or an
        administrator asks, and for a thaw by the session's own person or by somebody locked; `Conflict` when it is
        over, when its end was ordered, or when there is nothing to thaw; `Invalid` for another act.
        """
        act, reason = _check_act(untrusted_act), check_reason(untrusted_reason)
        async with self._store.write() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            session = await _find(tx, untrusted_id, access.scope_of(user, policy))
            _require_control(user, policy, session, act)
            _require_open(session, act)
            now = self._clock.now()
            ordered = replace(session, act=act, ordered_by=user.name, order_reason=reason, ordered_at=now)
            await tx.sessions.change(session, ordered)
            kind, by = _EVENTS[act], user.name
            await note_session(tx, kind, session, actor=by, now=now, why="order", reason=reason, done=False)
            return await self._view(tx, ordered)

    async def watching(self, caller: Person, session_id: str) -> SessionView:
        """The caller reads the recording as it comes: to be said again at least every two seconds while they do.

        The gate of a watched role opens only for a watcher who might approve for it, or an administrator, is not
        locked, and is not the session's own person.  Raises `NotFound` for a session the caller may not see any more.
        """
        async with self._store.write() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            session = await _find(tx, session_id, access.scope_of(user, policy))
            if not session.is_over:
                await self._heard(tx, session, user, counts=_counts(user, policy, session))
            return await self._view(tx, session)

    async def orders(self, caller: HostCaller) -> Orders:
        """All that is ordered about the host's open sessions."""
        async with self._store.read() as tx:
            host = await access.host(tx, caller)
            scope = Scope(host_id=host.host_id, everything=True)
            now = self._clock.now()
            found = await tx.sessions.select(SessionQuery(states=OPEN), scope, limit=MAX_OPEN)
            return ordering.orders(found, await _watchers(tx, found, now), now)

    async def _heard(self, tx: Transaction, session: Session, user: User, *, counts: bool) -> None:
        now = self._clock.now()
        before = await tx.sessions.watcher(session.session_id, user.user_id)
        await tx.sessions.watch(Watcher(session.session_id, user.user_id, now, counts))
        if before is None:
            await note_session(tx, EventKind.SESSION_WATCHED, session, actor=user.name, now=now, counts=counts)
        if before is None or not before.watches_at(now) or before.counts != counts:
            tx.sessions.changed(session)

    async def _list(self, tx: Transaction, query: SessionQuery, scope: Scope, limit: int) -> SessionList:
        if not 1 <= limit <= MAX_LISTED:
            raise LimitExceeded(f"{limit} sessions asked for; the limit is {MAX_LISTED}")
        found: list[Session] = []
        size = 0
        while True:
            page = await tx.sessions.select(query, scope, limit=PAGE, skip=len(found))
            for session in page:
                size += _size(session)
                if len(found) == limit or (found and size > MAX_TEXT_BYTES):
                    return SessionList(await self._views(tx, found), truncated=True)
                found.append(session)
            if len(page) < PAGE:
                return SessionList(await self._views(tx, found), truncated=False)

    async def _details(self, tx: Transaction, session: Session) -> SessionDetails:
        commands: list[Command] = []
        size = _size(session) + sum(_bytes(text) for text in session.environment)
        for command in await tx.sessions.commands(session.session_id, MAX_COMMANDS_SHOWN + 1):
            size += sum(_bytes(text) for text in (*command.argv, command.command, command.cwd, command.rejected)) + 64
            if len(commands) == MAX_COMMANDS_SHOWN or size > MAX_TEXT_BYTES:
                return SessionDetails(await self._view(tx, session), tuple(commands), truncated=True)
            commands.append(command)
        return SessionDetails(await self._view(tx, session), tuple(commands), truncated=False)

    async def _view(self, tx: Transaction, session: Session) -> SessionView:
        (view,) = await self._views(tx, [session])
        return view

    async def _views(self, tx: Transaction, found: Sequence[Session]) -> tuple[SessionView, ...]:
        watching: dict[str, list[str]] = {}
        for watcher in await _watchers(tx, found, self._clock.now()):
            watching.setdefault(watcher.session_id, []).append(watcher.user_id)
        names = await _names(tx, {user_id for ids in watching.values() for user_id in ids})
        return tuple(
            SessionView(session, tuple(sorted(names[user_id] for user_id in watching.get(session.session_id, ()))))
            for session in found
        )


def _checked(query: SessionQuery) -> SessionQuery:
    if query.since < 0 or query.until < 0:
        raise Invalid("since and until are no times")
    return replace(query, grant_id=query.grant_id and id_prefix(Kind.GRANT, query.grant_id))


def _check_act(untrusted_word: str) -> Act:
    try:
        return Act(untrusted_word)
    except ValueError:
        raise Invalid(f"{untrusted_word[:64]!a} is nothing to do to a session", hint=f"do: {', '.join(Act)}") from None


def _may_control(user: User, policy: Policy, session: Session) -> bool:
    return Duty.ADMIN in user.duties or session.role in policy.approver_of(user)


def _require_control(user: User, policy: Policy, session: Session, act: Act) -> None:
    if not _may_control(user, policy, session):
        whose = f"an approver of role {session.role} or an administrator" if session.role else "an administrator"
        raise Denied(f"only {whose} may {act} this session", hint="your own grant you can give back: jit drop")
    if act is not Act.THAW:
        return
    if session.user_id == user.user_id:
        raise Denied("nobody thaws their own session", hint="ask another approver or an administrator")
    lock = locking.on_person(policy.locks, user)
    if lock is not None:
        raise Denied(f"{lock}: who is locked thaws nothing", hint="ask somebody who is not")


def _require_open(session: Session, act: Act) -> None:
    if session.is_over:
        raise Conflict(f"{session.session_id} is over: it was {session.state.value}")
    if session.act is Act.KILL:
        raise Conflict(f"the end of {session.session_id} was ordered already: {session.last_order}")
    if session.act is act is Act.FREEZE:
        raise Conflict(f"{session.session_id} is {session.last_order}", hint="thaw it, or kill it")
    if act is Act.THAW and session.act is not Act.FREEZE:
        raise Conflict(
            f"nobody has frozen {session.session_id}",
            hint="one that is frozen because nobody watches it goes on when somebody does: jitctl sessions watch",
        )


def _counts(user: User, policy: Policy, session: Session) -> bool:
    own = session.user_id == user.user_id
    return not own and _may_control(user, policy, session) and locking.on_person(policy.locks, user) is None


async def _find(tx: Transaction, untrusted_id: str, scope: Scope) -> Session:
    found = await tx.sessions.find(id_prefix(Kind.SESSION, untrusted_id), scope)
    return access.only(found, "session", untrusted_id)


async def _watchers(tx: Transaction, found: Iterable[Session], now: int) -> Sequence[Watcher]:
    still_open = [session.session_id for session in found if not session.is_over]
    return await tx.sessions.watchers(still_open, now - WATCHER_COUNTS_US)


async def _names(tx: Transaction, user_ids: Iterable[str]) -> Mapping[str, str]:
    names: dict[str, str] = {}
    for user_id in user_ids:
        user = await tx.people.get(user_id)
        names[user_id] = user_id if user is None else user.name
    return names


def _size(session: Session) -> int:
    """Of what an answer holds of it, more or less: what can be long is counted."""
    long = (*session.argv, session.command, session.cwd, session.tty, session.incomplete, session.reject_reason)
    return 1_024 + sum(_bytes(text) + 4 for text in long) + _bytes(session.order_reason)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
