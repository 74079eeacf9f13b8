"""Least privilege out of experience: a role with the commands that were really run under it (SPEC 9.8)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from jit_server.domain.identity import Person
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.span import instant
from jit_server.domain.suggestion import Run, suggestion
from jit_server.errors import Invalid, NotFound
from jit_server.ports import Clock, PolicyParser
from jit_server.services import access
from jit_server.services.policy_book import PolicyBook
from jit_server.store import Store
from jit_server.store_values import Usage

MAX_LINES = 10_000
"""Different command lines that are looked at, the most frequent ones."""
MAX_LEFT_OUT = 1_000


@dataclass(frozen=True, slots=True)
class Suggested:
    """`text` is a policy file, empty if nothing could be written as a command; `sessions` were looked at."""

    text: str
    sessions: int
    left_out: tuple[str, ...]


class SuggestService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, parser: PolicyParser) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._parser = parser

    async def suggest(self, caller: Person, untrusted_role: str, since: int) -> Suggested:
        """Propose commands out of what ran from `since` (µs UTC) on.

        Raises `Denied` unless an administrator or auditor asks, `NotFound` for a role that is none.
        """
        now = self._clock.now()
        if since >= now:
            raise Invalid("that is still to come", hint="say since when in the past, such as --since 90d")
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            policy = await self._book.current(tx)
            role, stored = policy.roles.get(untrusted_role), await tx.policies.get(policy.version)
            if role is None or stored is None:
                raise NotFound(f"no role {untrusted_role[:128]!a}", hint="see: jitctl policy show")
            used = await tx.sessions.usage(role.name, since, MAX_LINES + 1)
        found = await asyncio.to_thread(suggestion, role, [_run(usage) for usage in used[:MAX_LINES]])
        sessions = sum(usage.count for usage in used[:MAX_LINES])
        left_out = list(found.left_out)
        if len(used) > MAX_LINES:
            left_out.append(f"more than {MAX_LINES} different command lines were run: the rarest were not looked at")
        if len(left_out) > MAX_LEFT_OUT:
            left_out = [*left_out[: MAX_LEFT_OUT - 1], f"and {len(left_out) - MAX_LEFT_OUT + 1} more"]
        heading = (
            f"What {sessions} sessions of role {role.name} ran from {instant(since)} to {instant(now)}, of policy",
            f"version {policy.version}.  It takes the place of the role of that name.",
        )
        files: tuple[PolicyFile, ...] = stored.files
        if not found.commands:
            return Suggested("", sessions, tuple(left_out))
        # The files are read again, and large ones take seconds.
        text = await asyncio.to_thread(self._parser.proposal, files, role.name, found.commands, heading)
        return Suggested(text, sessions, tuple(left_out))


def _run(usage: Usage) -> Run:
    return Run(usage.command, usage.argv[1:], usage.run_as_user, usage.count, usage.people, usage.last_at)
