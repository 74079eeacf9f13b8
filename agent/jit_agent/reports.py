"""Facts become durable here, off the event loop, before anybody acts on them (S7).

One thread owns the spool.  A call that was cancelled may still have stored its report: whatever is stored is true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jit_agent import wire
from jit_agent.changes import Bell
from jit_agent.errors import SpoolUnavailable
from jit_agent.model import Proof
from jit_agent.ports import Clock
from jit_agent.report_model import Applied, DropAsked, Footprint, Refused, SessionEnded, SessionEvent, SessionRejected
from jit_agent.spool import OUTCOME_KEPT_US, Outcome, Spool

T = TypeVar("T")

TOO_LATE = frozenset({"replayed", "expired"})
"""What the enforcer says of a grant that is over (SPEC 3.4)."""


class Reports:
    """Stores reports and hands them out; every method raises `SpoolUnavailable` when the disk will not take it."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._failed = False
        self.stored = Bell()

    @property
    def spool_id(self) -> str:
        return self._spool.spool_id

    @property
    def acknowledged(self) -> int:
        return self._spool.acknowledged

    @property
    def last(self) -> int:
        """The number of the newest report."""
        return self._spool.last

    @property
    def waiting(self) -> int:
        """Reports the server has not taken yet."""
        return self._spool.last - self._spool.acknowledged

    def close(self) -> None:
        self._thread.shutdown()
        self._spool.close()

    async def outcome(self, grant_id: str, outcome: Applied | Refused | Proof) -> None:
        """Record what became of a revision; the same outcome twice is one report."""
        kind: Outcome = "applied"
        at, too_late = self._clock.now_us(), False
        if isinstance(outcome, Refused):
            kind, too_late = "refused", outcome.code in TOO_LATE
        elif isinstance(outcome, Proof):
            kind, at = "ended", outcome.ended_at
        body = wire.encode_report(outcome, grant_id=grant_id, at=at)
        await self._store(
            lambda: self._spool.append_outcome(grant_id, outcome.revision, kind, body, at=at, too_late=too_late)
        )

    async def footprint(self, found: Footprint) -> None:
        """Record what a grant left behind, each look once: a grant may be looked at again after a reboot."""
        at = self._clock.now_us()
        body = wire.encode_report(found, grant_id=found.grant_id, at=at)
        await self._store(lambda: self._spool.append_outcome(found.grant_id, found.after_at, "footprint", body, at=at))

    async def settled(self, listed: Sequence[str]) -> None:
        """The desired state is in force; what is known of grants long over may go."""
        before = self._clock.now_us() - OUTCOME_KEPT_US
        await self._run(lambda: self._spool.forget_outcomes(before=before, listed=listed))

    async def drop_asked(self, grant_id: str, asked: DropAsked) -> None:
        body = wire.encode_report(asked, grant_id=grant_id, at=self._clock.now_us())
        await self._store(lambda: self._spool.append(body))

    async def require_room(self) -> None:
        """Prove, before its command runs, that a session can be reported (S5)."""
        self._spool.require_room()
        if self._failed:
            await self._run(self._spool.probe)

    async def session(self, grant_id: str, event: SessionEvent) -> None:
        body = wire.encode_report(event, grant_id=grant_id, at=self._clock.now_us())
        await self._store(lambda: self._spool.append_session_event(body))

    async def session_events(self, session_id: str, grant_id: str, events: Sequence[tuple[int, SessionEvent]]) -> None:
        """Record what sudo told, each with its place in sudo's stream; the same again is no news."""
        bodies = self._bodies(grant_id, events)
        await self._store(lambda: self._spool.append_session(session_id, bodies))

    async def close_session(
        self,
        session_id: str,
        grant_id: str,
        last: SessionEnded | SessionRejected | None,
        forgotten: Sequence[str] = (),
        events: Sequence[tuple[int, SessionEvent]] = (),
    ) -> None:
        """Record a session's end, once, after what is left of its `events`.

        `forgotten` ones were closed before, and nothing is left of them.
        """
        bodies = self._bodies(grant_id, events)
        body = None if last is None else wire.encode_report(last, grant_id=grant_id, at=self._clock.now_us())
        await self._store(lambda: self._spool.close_session(session_id, body, forgotten, bodies))

    def _bodies(self, grant_id: str, events: Sequence[tuple[int, SessionEvent]]) -> list[tuple[int, bytes]]:
        at = self._clock.now_us()
        return [(place, wire.encode_report(event, grant_id=grant_id, at=at)) for place, event in events]

    async def is_closed(self, session_id: str) -> bool:
        return await self._run(lambda: self._spool.is_closed(session_id))

    async def forget_sessions(self, remembered: Sequence[str]) -> None:
        """Only these sessions have anything left on this host."""
        await self._run(lambda: self._spool.forget_sessions(remembered))

    async def pending(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        return await self._run(lambda: self._spool.pending(after, limit))

    async def acknowledge(self, sequence: int) -> None:
        await self._run(lambda: self._spool.acknowledge(sequence))

    async def agree(self, kept: int) -> bool:
        """The server's first word of what it keeps; whether the spool has a new id since (see `Spool.agree`)."""
        return await self._run(lambda: self._spool.agree(kept))

    async def _store(self, work: Callable[[], int | None]) -> None:
        if await self._run(work) is not None:
            self.stored.ring()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except SpoolUnavailable:
            self._failed = True
            raise
        self._failed = False
        return result
