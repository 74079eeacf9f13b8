"""What is in force: the policy, read once per version, the locks that stand, and what was renewed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from jit_server.domain.identity import Duty, User
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.model import NO_POLICY, ChangeControl, Party, Policy
from jit_server.domain.renewal import CLOSES_US
from jit_server.ports import Clock, ParsedPolicy, PolicyParser
from jit_server.store import Transaction

_log = logging.getLogger(__name__)


class PolicyBook:
    """Keeps the version that was read last: a decision needs no file to be read again."""

    def __init__(self, parser: PolicyParser, clock: Clock) -> None:
        self._parser = parser
        self._clock = clock
        self._current = self._former = NO_POLICY

    async def current(self, tx: Transaction) -> Policy:
        """Return the policy in force and what stands beside it; before the first one, a policy that allows nothing."""
        version, policy = await tx.policies.latest_version(), self._current
        if version != policy.version:
            policy = await self._load(tx, version)
            self.adopt(policy)
        now = self._clock.now()
        locks, renewals = await tx.locks.standing(now), await tx.renewals.standing(now - CLOSES_US)
        return replace(policy, locks=tuple(locks), renewals=tuple(renewals))

    async def former(self, tx: Transaction, version: int) -> Policy:
        """Return an older version, with nothing beside it; the one that was asked for last is kept."""
        if version == self._current.version:
            return self._current
        if version != self._former.version:
            self._former = await self._load(tx, version)
        return self._former

    def adopt(self, policy: Policy) -> None:
        """This was in force a moment ago: it need not be read again.  It is never kept in place of a later version."""
        if policy.version > self._current.version:
            self._current = policy

    async def read(self, files: Sequence[PolicyFile], version: int, people: Collection[User]) -> ParsedPolicy:
        """Read files as the policy of that version; in a thread, for a large policy takes seconds."""
        return await asyncio.to_thread(self._parser.parse, files, version, people)

    async def _load(self, tx: Transaction, version: int) -> Policy:
        stored = await tx.policies.get(version)
        parsed = None if stored is None else (await self.read(stored.files, version, ())).policy
        if parsed is None:
            # A stored text that a newer parser refuses must not stop people from ending grants: allow nothing (S6).
            _log.error("Stored policy cannot be read and allows nothing now", extra={"version": version})
            return replace(NO_POLICY, version=version, changes=_two_administrators(await tx.people.all()))
        return parsed


def _two_administrators(people: Collection[User]) -> ChangeControl:
    """What its change control may have been is not known: where there is a second administrator, that takes two."""
    able = frozenset(user.name for user in people if Duty.ADMIN in user.duties and not user.disabled)
    return ChangeControl(Party(people=able), approvals=1 if len(able) > 1 else 0, root_only=False)
