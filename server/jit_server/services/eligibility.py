"""Who is eligible for what until when, and what happens as that time comes (SPEC 9.7).

An end takes effect by itself, in every decision; what is done here is to write it down, once however many servers there
are, and to close what waits for a right that is no more (S10).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import chain, islice

from jit_server.domain.eligibility import Due, Entry, Wanted, due, entries, next_instant
from jit_server.domain.events import SERVER, Event, EventKind, JsonValue
from jit_server.domain.identity import Duty, HostCaller, LocalUser, Person, User
from jit_server.domain.lifecycle import REVOCABLE, RequestState
from jit_server.domain.policy.model import Policy, Renewal
from jit_server.domain.renewal import CLOSES_US
from jit_server.errors import Denied, Invalid, LimitExceeded
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.ending import cancel_all, end_all
from jit_server.services.policy_book import PolicyBook
from jit_server.services.renewals import RenewalView, renewal_views
from jit_server.store import Store, Transaction
from jit_server.store_values import EndNotice, Scope

MAX_LISTED = 5_000
MAX_RENEWALS = 1_000
MAX_TOLD = 500
"""Ends that are written down in one transaction."""
LOOK_US = 3_600 * 1_000_000
"""So often everything is looked at, whatever is known to come."""


@dataclass(frozen=True, slots=True)
class Eligibilities:
    """What was asked for, and the renewals that go with it, newest first."""

    entries: tuple[Entry, ...]
    renewals: tuple[RenewalView, ...]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was in force when all ends were looked at, and when that has to be done again."""

    version: int
    renewals: tuple[Renewal, ...]
    again_at: int


class EligibilityService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._looked: _Looked | None = None

    async def list_visible(
        self, caller: Person, *, untrusted_user: str = "", untrusted_role: str = "", ends_within_s: int = 0
    ) -> Eligibilities:
        """Those of one person, or of everybody; of one role, or of all; or only those that end so soon.

        Administrators and auditors see all; everybody their own, and approvers the renewals of their roles too.
        Raises `NotFound` for a person who is none, `LimitExceeded` over 5,000 entries.
        """
        if ends_within_s < 0:
            raise Invalid("the time is negative")
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            reads = not user.duties.isdisjoint({Duty.ADMIN, Duty.AUDITOR})
            if not reads and untrusted_user not in ("", user.name, user.user_id):
                raise Denied("only an administrator or an auditor may read this of others")
            if not reads:
                people = [user]
            elif untrusted_user:
                people = [await access.find_user(tx, untrusted_user)]
            else:
                people = list(await tx.people.all())
            found = await self._listed(tx, policy, people, untrusted_role, ends_within_s)
            scope = access.scope_of(user, policy)
            asked = [
                one for one in await tx.renewals.select(scope, limit=MAX_RENEWALS) if untrusted_role in ("", one.role)
            ]
            views = await renewal_views(tx, policy, asked)
        return Eligibilities(found, tuple(view for view in views if not untrusted_user or view.user == people[0].name))

    async def list_local(self, caller: HostCaller, user: LocalUser) -> Eligibilities:
        """The person's own, over all hosts."""
        async with self._store.read() as tx:
            await access.host(tx, caller)
            person = await access.local_person(tx, user)
            policy = await self._book.current(tx)
            found = await self._listed(tx, policy, [person], "", 0)
            asked = await tx.renewals.select(Scope(user_id=person.user_id), limit=MAX_RENEWALS)
            return Eligibilities(found, await renewal_views(tx, policy, tuple(asked)))

    async def _listed(
        self, tx: Transaction, policy: Policy, people: list[User], untrusted_role: str, ends_within_s: int
    ) -> tuple[Entry, ...]:
        now = self._clock.now()
        mine = Scope(user_id=people[0].user_id) if len(people) == 1 else Scope(everything=True)
        waiting = {(one.role, one.user_id) for one in await tx.renewals.pending(mine)}
        wanted = Wanted(untrusted_role, now + ends_within_s * 1_000_000 if ends_within_s else 0)

        def look() -> tuple[Entry, ...]:
            every = chain.from_iterable(entries(policy, person, waiting, now, wanted) for person in people)
            return tuple(islice(every, MAX_LISTED + 1))

        # In a thread, for those of a whole company take seconds.
        found = await asyncio.to_thread(look)
        if len(found) > MAX_LISTED:
            raise LimitExceeded(f"there are more than {MAX_LISTED} of them", hint="name a user or a role")
        return found

    async def follow(self) -> float | None:
        """Write down ends that are near or have come, and close what waited for them.

        Returns the seconds until the next one, None if none is known.
        """
        now = self._clock.now()
        async with self._store.read() as tx:
            policy = await self._book.current(tx)
            looked = self._looked
            if looked is None or (looked.version, looked.renewals) != (policy.version, policy.renewals):
                looked = None
            if looked is None or looked.again_at <= now:
                people = await tx.people.all()
                told = await tx.renewals.told(now - CLOSES_US)
                every = await asyncio.to_thread(lambda: list(due(policy, people, now)))
                pending = [one for one in every if _notice(one) not in told]
            else:
                pending = []
        for start in range(0, len(pending), MAX_TOLD):
            await self._tell(pending[start : start + MAX_TOLD])
        if looked is None or looked.again_at <= now:
            again_at = min(next_instant(policy, now) or now + LOOK_US, now + LOOK_US)
            self._looked = _Looked(policy.version, policy.renewals, again_at)
            return (again_at - now) / 1_000_000
        return (looked.again_at - now) / 1_000_000

    async def _tell(self, pending: list[Due]) -> None:
        async with self._store.write() as tx:
            policy = await self._book.current(tx)
            for one in pending:
                await self._tell_one(tx, policy, one)

    async def _tell_one(self, tx: Transaction, policy: Policy, one: Due) -> None:
        now = self._clock.now()
        if one not in due(policy, [one.person], now) or not await tx.renewals.tell(_notice(one), now):
            return  # Another policy is in force by now, or another server was first.
        kind = EventKind.ELIGIBILITY_ENDING if one.days_left else EventKind.ELIGIBILITY_ENDED
        details: dict[str, JsonValue] = {"kind": "active" if one.active else "eligible", "until": one.until}
        if one.days_left:
            details["days_left"] = one.days_left
        name = one.person.name
        await tx.audit.append(Event(at=now, kind=kind, actor=SERVER, user=name, role=one.role, details=details))
        role = policy.roles[one.role]
        if one.days_left or policy.eligibility(role, one.person, now) is not None:
            return
        why = f"{name} is no longer eligible for role {one.role}"
        mine = Scope(user_id=one.person.user_id)
        requests = await tx.requests.select(mine, states=(RequestState.PENDING,))
        await cancel_all(tx, [item for item in requests if item.role == one.role], actor=SERVER, now=now, why=why)
        # A grant ends with its right by itself (`Allowed.until`), but one may have been made by another policy.
        grants = await tx.grants.select(mine, states=REVOCABLE)
        await end_all(tx, [grant for grant in grants if grant.role == one.role], actor=SERVER, now=now, why=why)


def _notice(one: Due) -> EndNotice:
    return EndNotice(one.role, one.person.user_id, one.active, one.until, one.days_left)
