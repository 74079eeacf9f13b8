"""Changing the policy (SPEC 9.4): planning, applying, going back, and the second person it may need.

A change, the grants and requests it ends, and their events are one transaction (S7, S10).  Files are read and compared
before it, for that may take seconds; what decides is looked at again in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jit_server.domain import lock as locking
from jit_server.domain.events import Event, EventKind, JsonValue
from jit_server.domain.identity import Person, User
from jit_server.domain.ids import Kind, RandomBytes, new_id
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.model import Policy
from jit_server.domain.policy_change import ChangeState, PolicyChange
from jit_server.domain.request import check_reason
from jit_server.errors import Conflict, Denied, LimitExceeded, NotFound
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.ending import cancel_all, end_all
from jit_server.services.policy_book import PolicyBook
from jit_server.services.policy_plans import Draft, Endings, World, draft, endings, look, require_size
from jit_server.services.renewals import end_renewals
from jit_server.store import Store, Transaction
from jit_server.store_values import StoredPolicy

MAX_PENDING = 20
"""Changes that may wait at once; each holds a whole policy."""


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """What files would do or, with a `version`, have done; `change` if they wait for somebody else."""

    draft: Draft
    endings: Endings
    version: int = 0
    change: PolicyChange | None = None


class PolicyChangeService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._random_bytes = random_bytes
        self.alone = asyncio.Lock()
        """Held from reading what is in force to changing it: two who apply at once do so one after the other."""

    async def plan(self, caller: Person, untrusted_files: Sequence[PolicyFile]) -> PolicyPlan:
        """Say what the files would do; raises `LimitExceeded` over 1 MiB or 100 files."""
        require_size(untrusted_files)
        async with self._store.read() as tx:
            reader = await access.person(tx, caller)
            access.require_reader(reader)
            world = await look(tx, self._book, self._clock, used=True)
        return await self.would(await draft(self._book, world, untrusted_files, reader.user_id), world)

    async def would(self, made: Draft, world: World) -> PolicyPlan:
        """Find out what the draft would end."""
        if made.policy is None or not made.changes_anything:
            return PolicyPlan(made, Endings())
        async with self._store.read() as tx:
            return PolicyPlan(made, await endings(tx, world.policy, made.policy, world.now))

    async def apply(
        self,
        caller: Person,
        untrusted_files: Sequence[PolicyFile],
        *,
        expected_version: int = 0,
        untrusted_reason: str = "",
    ) -> PolicyPlan:
        """Make the files the policy, and end what it no longer allows; or propose it, where it needs somebody else.

        Nothing happens, and the plan says why, with an error, a failed test, or nothing to change.
        Raises `Conflict` if `expected_version` (zero: any) is not the current one.
        """
        require_size(untrusted_files)
        return await self._change(caller, tuple(untrusted_files), expected_version, check_reason(untrusted_reason), 0)

    async def rollback(self, caller: Person, version: int, untrusted_reason: str = "") -> PolicyPlan:
        """Apply a former version again, under the same rules; raises `NotFound` if there is none of that number."""
        async with self._store.read() as tx:
            access.require_admin(await access.person(tx, caller))
            stored = await tx.policies.get(version)
        if stored is None:
            raise NotFound(f"there is no policy version {version}", hint="see: jitctl policy history")
        return await self._change(caller, stored.files, 0, check_reason(untrusted_reason), version)

    async def _change(
        self, caller: Person, files: tuple[PolicyFile, ...], expected: int, reason: str, rolled_back_to: int
    ) -> PolicyPlan:
        async with self.alone:
            async with self._store.read() as tx:
                await self._admin(tx, caller, expected)
                world = await look(tx, self._book, self._clock, used=True)
            made = await draft(self._book, world, files, caller.user_id)
            if made.policy is None or not made.changes_anything:
                return PolicyPlan(made, Endings())
            async with self._store.write() as tx:
                admin = await self._admin(tx, caller, expected)
                change = PolicyChange(
                    change_id=new_id(Kind.CHANGE, self._random_bytes),
                    files=files,
                    digest=made.digest,
                    base_version=made.base_version,
                    proposed_by=admin.user_id,
                    proposed_at=self._clock.now(),
                    reason=reason,
                    why=made.needs_approval,
                    approvals_needed=world.policy.changes.approvals,
                    rolled_back_to=rolled_back_to,
                )
                if made.needs_approval:
                    before = await self.current(tx, made)
                    found = await endings(tx, before, made.policy, change.proposed_at)
                    return PolicyPlan(made, found, change=await _propose(tx, change, admin))
                plan = await self.put_in_force(tx, made, change, proposer=admin, approved_by=())
            self._book.adopt(made.policy)
            return plan

    async def put_in_force(
        self, tx: Transaction, made: Draft, change: PolicyChange, *, proposer: User, approved_by: tuple[str, ...]
    ) -> PolicyPlan:
        """Make the draft the next version, in this transaction; the caller tells the book after the commit.

        `approved_by` are names.  Raises `Conflict` for a draft with errors, or if another version came into force.
        """
        if made.policy is None:
            raise Conflict("the change cannot be applied: there are errors in it", hint="see: jitctl policy plan")
        now = self._clock.now()
        before = await self.current(tx, made)
        found = await endings(tx, before, made.policy, now)
        version = made.base_version + 1
        stored = StoredPolicy(
            version,
            made.files,
            proposer.name,
            now,
            made.digest,
            approved_by=approved_by,
            reason=change.reason,
            rolled_back_to=change.rolled_back_to,
        )
        await tx.policies.add(stored)
        await note_policy(
            tx,
            EventKind.POLICY_APPLIED,
            proposer,
            now,
            version=version,
            digest=made.digest,
            reason=change.reason,
            approved_by=list(approved_by),
            rolled_back_to=change.rolled_back_to,
            grants_ended=len(found.grants),
            requests_cancelled=len(found.requests),
        )
        why = f"policy version {version} no longer allows it"
        # First, for a grant that ends takes the requests for more of its time with it.
        requests, grants = [item for item, _ in found.requests], [item for item, _ in found.grants]
        await cancel_all(tx, requests, actor=proposer.name, now=now, why=why)
        await end_all(tx, grants, actor=proposer.name, now=now, why=why)
        await end_renewals(tx, before, made.policy, actor=proposer.name, now=now)
        for other in await tx.policy_changes.pending():
            if other.change_id != change.change_id:
                await tx.policy_changes.close(other.change_id, ChangeState.OVERTAKEN, now)
                await note_policy(
                    tx, EventKind.POLICY_OVERTAKEN, proposer, now, change=other.change_id, version=version
                )
        return PolicyPlan(made, found, version)

    async def current(self, tx: Transaction, made: Draft) -> Policy:
        """Return the policy in force; raises `Conflict` if it is not the one the draft was compared with."""
        policy = await self._book.current(tx)
        if policy.version != made.base_version:
            raise Conflict(
                f"the policy is at version {policy.version} now, not {made.base_version}",
                hint="look at what changed (jitctl policy history), then try again",
            )
        return policy

    async def _admin(self, tx: Transaction, caller: Person, expected: int) -> User:
        admin = await access.person(tx, caller)
        access.require_admin(admin)
        lock = locking.on_person((await self._book.current(tx)).locks, admin)
        if lock is not None:
            raise Denied(str(lock), hint="another administrator can change the policy, or lift the lock: jitctl unlock")
        current = await tx.policies.latest_version()
        if expected not in {0, current}:
            raise Conflict(
                f"the policy is at version {current}, not {expected}",
                hint="look at what changed (jitctl policy show), then apply again",
            )
        return admin


async def _propose(tx: Transaction, change: PolicyChange, admin: User) -> PolicyChange:
    """Keep the change until somebody decides; the same one by the same person is kept once."""
    waiting = await tx.policy_changes.pending()
    for other in waiting:
        if (
            replace(
                change, change_id=other.change_id, proposed_at=other.proposed_at, files=(), decisions=other.decisions
            )
            == other
        ):
            return other
    if len(waiting) >= MAX_PENDING:
        raise LimitExceeded(
            f"{MAX_PENDING} changes of the policy wait already, which is the limit",
            hint="decide on them first: jitctl policy changes",
        )
    await tx.policy_changes.add(change)
    await note_policy(
        tx,
        EventKind.POLICY_PROPOSED,
        admin,
        change.proposed_at,
        change=change.change_id,
        base_version=change.base_version,
        digest=change.digest,
        reason=change.reason,
        why=change.why,
        rolled_back_to=change.rolled_back_to,
    )
    return change


async def note_policy(tx: Transaction, kind: EventKind, actor: User, now: int, **details: JsonValue) -> None:
    await tx.audit.append(Event(at=now, kind=kind, actor=actor.name, details=details))
