"""Locks: made and lifted by people, lifted by the server when their time is up; what they forbid is `domain/lock.py`.

Making one is removing: what it hits ends in the same transaction, and no host is asked (S6, S7).  Lifting one opens a
way again, so it takes more: nobody who is locked lifts anything, and approvers lift only what they locked themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jit_server.domain import lock as locking
from jit_server.domain.events import SERVER, Event, EventKind, JsonValue
from jit_server.domain.identity import Duty, Person, User
from jit_server.domain.ids import Kind, RandomBytes, id_prefix, new_id
from jit_server.domain.lock import Lock, LockKind
from jit_server.domain.policy.model import Policy
from jit_server.domain.request import check_reason
from jit_server.errors import Conflict, Denied, Invalid, NotFound
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.ending import end_everything
from jit_server.services.policy_book import PolicyBook
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope

MAX_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class NewLock:
    """What somebody asked for, not checked yet; `duration_s` zero means until it is lifted."""

    kind: str
    target: str
    reason: str
    duration_s: int = 0


class LockService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._random_bytes = random_bytes

    async def create(self, caller: Person, untrusted: NewLock) -> Lock:
        """Lock a person, host or role; live and scheduled grants it hits are revoked, pending requests cancelled.

        A lock on what is locked already stands beside the first: both have to be lifted.
        Raises `Denied` unless an administrator asks, or for a role one of its approvers; `NotFound` if there is no such
        person, host or role; `Invalid` without a reason or for a duration that is none.
        """
        kind = locking.check_kind(untrusted.kind)
        duration_s = locking.check_duration(untrusted.duration_s)
        reason = _require_reason(untrusted.reason)
        async with self._store.write() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            if not _may_lock(user, policy, kind, untrusted.target):
                raise Denied(f"only an administrator{_or_approver(kind)} may lock this {kind}")
            target, scope = await _find_target(tx, policy, kind, untrusted.target)
            now = self._clock.now()
            lock = Lock(
                lock_id=new_id(Kind.LOCK, self._random_bytes),
                kind=kind,
                target=target,
                reason=reason,
                created_by=user.name,
                created_by_id=user.user_id,
                created_at=now,
                expires_at=now + duration_s * 1_000_000 if duration_s else 0,
            )
            swept = await end_everything(tx, scope, actor=user.name, now=now, why=str(lock))
            lock = replace(lock, grants_ended=swept.grants, requests_cancelled=swept.requests)
            await tx.locks.add(lock)
            await _note(
                tx,
                EventKind.LOCK_CREATED,
                lock,
                actor=user.name,
                now=now,
                reason=reason,
                expires_at=lock.expires_at or None,
                grants_ended=lock.grants_ended,
                requests_cancelled=lock.requests_cancelled,
            )
        return lock

    async def lift(self, caller: Person, untrusted_id: str, untrusted_reason: str) -> Lock:
        """Lift a lock; what it ended stays ended.

        Raises `Denied` unless an administrator asks, or the approver who locked the role, and whoever is locked;
        `NotFound` for a lock the caller may not see, `Conflict` if it stands no more, `Invalid` without a reason.
        """
        reason = _require_reason(untrusted_reason)
        async with self._store.write() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            found = await tx.locks.find(id_prefix(Kind.LOCK, untrusted_id))
            lock = access.only([lock for lock in found if _sees(user, policy, lock)], "lock", untrusted_id)
            own = locking.on_person(policy.locks, user)
            if own is not None:
                raise Denied(f"{own}: who is locked lifts no lock", hint="ask an administrator who is not")
            if Duty.ADMIN not in user.duties and lock.created_by_id != user.user_id:
                raise Denied(
                    f"only an administrator or {lock.created_by} may lift this lock", hint=f"ask {lock.created_by}"
                )
            now = self._clock.now()
            if not lock.stands_at(now):
                raise Conflict("the lock stands no more: it was lifted, or its time was up")
            await tx.locks.lift(lock.lock_id, now, user.name)
            await _note(tx, EventKind.LOCK_LIFTED, lock, actor=user.name, now=now, reason=reason)
        return replace(lock, lifted_at=now, lifted_by=user.name)

    async def list_visible(self, caller: Person, *, over_too: bool) -> tuple[Lock, ...]:
        """Those that stand, newest first, or with `over_too` the newest 1,000 of all; no more than the caller may see.

        Administrators and auditors see every lock, approvers those on their roles, and everybody one on themselves.
        """
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            found = await tx.locks.newest(MAX_LISTED) if over_too else policy.locks
            now = self._clock.now()
        return tuple(_as_of(lock, now) for lock in found if _sees(user, policy, lock))

    async def expire(self) -> int:
        """Write down the end of locks whose time is up, which count no more already; return how many."""
        now = self._clock.now()
        async with self._store.read() as tx:
            if not await tx.locks.past(now):
                return 0
        async with self._store.write() as tx:
            past = await tx.locks.past(now)
            for lock in past:
                await _end_of_time(tx, lock, now)
        return len(past)


def _require_reason(untrusted_text: str) -> str:
    reason = check_reason(untrusted_text)
    if not reason:
        raise Invalid("a reason is missing", hint="say why with -m REASON")
    return reason


def _may_lock(user: User, policy: Policy, kind: LockKind, untrusted_target: str) -> bool:
    if Duty.ADMIN in user.duties:
        return True
    return kind is LockKind.ROLE and untrusted_target in policy.approver_of(user)


def _or_approver(kind: LockKind) -> str:
    return " or an approver of it" if kind is LockKind.ROLE else ""


def _sees(user: User, policy: Policy, lock: Lock) -> bool:
    if not user.duties.isdisjoint({Duty.ADMIN, Duty.AUDITOR}):
        return True
    if lock.kind is LockKind.ROLE:
        return lock.target in policy.approver_of(user)
    return lock.kind is LockKind.USER and lock.target == user.name


async def _find_target(tx: Transaction, policy: Policy, kind: LockKind, untrusted_target: str) -> tuple[str, Scope]:
    """Return the full name of what is to be locked, and the grants and requests the lock hits."""
    match kind:
        case LockKind.USER:
            user = await access.find_user(tx, untrusted_target)
            return user.name, Scope(user_id=user.user_id)
        case LockKind.HOST:
            host = await access.find_host(tx, untrusted_target)
            return host.name, Scope(host_id=host.host_id, everything=True)
        case LockKind.ROLE:
            scope = Scope(roles=frozenset({untrusted_target}))
            # A policy that cannot be read keeps nobody from ending what its roles gave (S6).
            if untrusted_target not in policy.roles and not await tx.grants.select(scope, limit=1):
                raise NotFound(f"no role {untrusted_target[:128]!a}", hint="see: jitctl policy show")
            return untrusted_target, scope


async def _end_of_time(tx: Transaction, lock: Lock, now: int) -> None:
    await tx.locks.lift(lock.lock_id, lock.expires_at, "")
    await _note(tx, EventKind.LOCK_LIFTED, lock, actor=SERVER, now=now, reason="its time was up")


def _as_of(lock: Lock, now: int) -> Lock:
    """A lock whose time is up is over, though nobody has written so yet."""
    if lock.is_past(now) and not lock.lifted_at:
        return replace(lock, lifted_at=lock.expires_at)
    return lock


async def _note(tx: Transaction, kind: EventKind, lock: Lock, *, actor: str, now: int, **details: JsonValue) -> None:
    await tx.audit.append(
        Event(
            at=now,
            kind=kind,
            actor=actor,
            user=lock.target if lock.kind is LockKind.USER else "",
            host=lock.target if lock.kind is LockKind.HOST else "",
            role=lock.target if lock.kind is LockKind.ROLE else "",
            details={"lock": lock.lock_id, **details},
        )
    )
