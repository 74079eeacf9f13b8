"""Reading policies: what is wrong with files, what their tests say, and what was in force when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from jit_server.domain.identity import Person
from jit_server.domain.policy.finding import Finding, PolicyFile
from jit_server.domain.policy.rehearsal import TestResult, rehearse
from jit_server.errors import LimitExceeded, NotFound
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.policy_book import PolicyBook
from jit_server.services.policy_plans import Checked, check, look, require_size
from jit_server.store import Store
from jit_server.store_values import StoredPolicy

MAX_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class TestReport:
    """No results where the findings hold an error."""

    __test__ = False  # Its name makes pytest look for tests in it.

    findings: tuple[Finding, ...]
    results: tuple[TestResult, ...]
    suppressed: tuple[Finding, ...] = ()


class PolicyService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook) -> None:
        self._store = store
        self._clock = clock
        self._book = book

    async def warm(self) -> None:
        """Read the policy in force now rather than with the first request."""
        async with self._store.read() as tx:
            await self._book.current(tx)

    async def lint(self, caller: Person, untrusted_files: Sequence[PolicyFile]) -> Checked:
        """Say what is wrong with the files, or seldom meant; raises `LimitExceeded` over 1 MiB or 100 files."""
        require_size(untrusted_files)
        async with self._store.read() as tx:
            reader = await access.person(tx, caller)
            access.require_reader(reader)
            world = await look(tx, self._book, self._clock, used=True)
        return await check(self._book, world, untrusted_files, reader.user_id)

    async def test(self, caller: Person, untrusted_files: Sequence[PolicyFile]) -> TestReport:
        """Run the tests of the files; of the policy in force if there are none."""
        if untrusted_files:
            require_size(untrusted_files)
        async with self._store.read() as tx:
            reader = await access.person(tx, caller)
            access.require_reader(reader)
            world = await look(tx, self._book, self._clock)
        checked = Checked(world.policy, ())
        if untrusted_files:
            checked = await check(self._book, world, untrusted_files, reader.user_id)
        if checked.policy is None:
            return TestReport(checked.findings, (), checked.suppressed)
        results = await asyncio.to_thread(rehearse, checked.policy, world.hosts, world.now)
        return TestReport(checked.findings, results, checked.suppressed)

    async def show(self, caller: Person, version: int = 0) -> StoredPolicy:
        """Return a version (zero: the current one) as it was given; raises `NotFound` if there is none."""
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            stored = await tx.policies.get(version or await tx.policies.latest_version())
        if stored is None:
            raise NotFound(
                f"there is no policy version {version}" if version else "there is no policy yet",
                hint="see: jitctl policy history" if version else "apply one: jitctl policy apply FILE",
            )
        return stored

    async def history(self, caller: Person, limit: int = 100) -> Sequence[StoredPolicy]:
        """All versions without their files, newest first, at most so many; raises `LimitExceeded` over 1,000."""
        if not 1 <= limit <= MAX_LISTED:
            raise LimitExceeded(f"{limit} versions asked for; the limit is {MAX_LISTED}")
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            return await tx.policies.newest(limit)
