"""What is ordered about the sessions of this host, and that it is done (SPEC 8.5): freeze, thaw, kill, and watching.

Level, not edge: the server always tells all its orders, and each session is brought to what they say, again after every
failure and after a restart.  A session that has to be watched is frozen when nobody watches, and also when the server,
which alone knows, has not been heard for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jit_agent.changes import Bell
from jit_agent.errors import AgentError
from jit_agent.model import SessionOrder
from jit_agent.ports import Clock, Enforcer
from jit_agent.recording import Recording
from jit_agent.report_model import SessionFrozen
from jit_agent.reports import Reports
from jit_agent.text import safe

log = logging.getLogger(__name__)

SILENCE_S = 10.0
"""How long the server may be silent before a watched session counts as unwatched."""
LOOK_S = 0.5
"""How often that is looked at while there are such sessions."""
IDLE_S = 3_600.0
RETRY_S = 1.0
FIRST_WATCHER_S = 295.0
"""sudo itself gives up after 300 s, and would not say why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`why` is empty for a session that shall run."""

    why: str
    killed: bool
    message: str


RUN = Wanted("", False, "")


@dataclass(slots=True)
class _Controlled:
    recording: Recording
    done: Wanted | None = None
    """What it was last brought to; None: nobody knows."""
    dead: bool = False


class SessionOrders:
    def __init__(self, enforcer: Enforcer, reports: Reports, clock: Clock) -> None:
        self._enforcer = enforcer
        self._reports = reports
        self._clock = clock
        self._orders: dict[str, SessionOrder] = {}
        self._heard = False
        self._heard_at = time.monotonic()
        """When the server said last who watches; before it did, when this run began."""
        self._sessions: dict[str, _Controlled] = {}
        self._changed = Bell()
        self.on_watched: Callable[[frozenset[str]], None] = _nobody
        """Told the sessions that are watched, whenever the server says so."""

    def hear(self, orders: Sequence[SessionOrder]) -> None:
        """All the server's orders, as of now."""
        self._heard, self._heard_at = True, time.monotonic()
        self._orders = {order.session_id: order for order in orders}
        for session_id, controlled in self._sessions.items():
            controlled.recording.watch(self._is_watched(session_id))
        self.on_watched(frozenset(one for one in self._orders if self._is_watched(one)))
        self._changed.ring()

    def join(self, recording: Recording, *, new: bool) -> None:
        """From now on the session is brought to what is ordered; a new one runs, of another that is not known."""
        session_id = recording.state.session_id
        recording.watch(self._is_watched(session_id))
        self._sessions[session_id] = _Controlled(recording, RUN if new else None)
        self._changed.ring()

    def leave(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)

    async def wait_watched(self, session_id: str, gone: asyncio.Event) -> bool:
        """Until somebody watches it; False once sudo has `gone`, or nobody came in time."""
        try:
            async with asyncio.timeout(FIRST_WATCHER_S):
                while not self._is_watched(session_id) and not gone.is_set():
                    seen = self._changed.count
                    waits = [
                        asyncio.create_task(self._changed.wait_beyond(seen, timeout_s=IDLE_S)),
                        asyncio.create_task(gone.wait()),
                    ]
                    try:
                        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for wait in waits:
                            wait.cancel()
        except TimeoutError:
            return False
        return not gone.is_set()

    async def run(self) -> None:
        """For ever."""
        seen, retry = 0, False
        while True:
            pause = RETRY_S if retry else LOOK_S if self._has_watched() else IDLE_S
            await self._changed.wait_beyond(seen, timeout_s=pause)
            seen, retry = self._changed.count, False
            for session_id, controlled in list(self._sessions.items()):
                if controlled.dead:
                    continue
                wanted = self._wanted(controlled.recording)
                if wanted == controlled.done:
                    continue
                try:
                    await self._do(session_id, controlled, wanted)
                except AgentError as e:
                    log.warning("Session %s is not as it was ordered: %s", session_id, safe(str(e)))
                    retry = True

    def _has_watched(self) -> bool:
        return any(one.recording.state.watch_s for one in self._sessions.values())

    def _is_watched(self, session_id: str) -> bool:
        order = self._orders.get(session_id)
        return order is not None and order.watched

    def _wanted(self, recording: Recording) -> Wanted:
        state = recording.state
        order = self._orders.get(state.session_id)
        if order is not None and order.killed:
            return Wanted("order", True, order.message)
        unwatched = self._unwatched(recording)
        if order is not None and order.frozen:
            return Wanted("order", False, order.message)
        if not self._heard and state.frozen == "order":
            # A new run knows no orders yet: what an earlier one stopped goes on only when the server says so.
            return unwatched if unwatched is not None and unwatched.killed else Wanted("order", False, "")
        return unwatched or RUN

    def _unwatched(self, recording: Recording) -> Wanted | None:
        """What becomes of it for want of a watcher; None while there is one, or need not be."""
        state = recording.state
        if not state.watch_s:
            return None
        # A cable that is cut is noticed late; that the server has not repeated its orders is noticed now.
        silent = time.monotonic() - self._heard_at >= SILENCE_S
        # A new run does not know who watches: a session that was unwatched still is, any other has its time.
        watched = self._is_watched(state.session_id) if self._heard else not state.unwatched_at
        if watched and not silent:
            if state.unwatched_at:
                recording.note(unwatched_at=0)
            return None
        if not state.unwatched_at:
            recording.note(unwatched_at=self._clock.now_us())
        left_s = state.watch_s - (self._clock.now_us() - recording.state.unwatched_at) / 1_000_000
        if left_s <= 0:
            return Wanted("unwatched", True, f"this session is ended: nobody watched it for {state.watch_s} s")
        why = "the jit server is not heard" if silent else "nobody watches it"
        return Wanted(
            "unwatched",
            False,
            f"this session is stopped: {why}; it goes on with: jitctl sessions watch {state.session_id}",
        )

    async def _do(self, session_id: str, controlled: _Controlled, wanted: Wanted) -> None:
        recording, before = controlled.recording, controlled.recording.state.frozen
        if wanted.killed:
            known = await self._enforcer.kill(session_id, wanted.message)
            controlled.dead = known
        elif wanted.why:
            known = await self._enforcer.freeze(session_id, wanted.message)
        else:
            known = await self._enforcer.thaw(session_id, "this session goes on" if before else "")
        if not known and wanted.why:
            log.warning("Session %s is in no scope, and cannot be stopped or ended", session_id)
        if known and not wanted.killed and wanted.why != before:
            await self._tell(recording, wanted.why or before, frozen=bool(wanted.why))
            recording.note(frozen=wanted.why)
        controlled.done = wanted

    async def _tell(self, recording: Recording, why: str, *, frozen: bool) -> None:
        state = recording.state
        await self._reports.session(state.grant_id, SessionFrozen(state.session_id, frozen, why))


def waiting_message(session_id: str) -> str:
    """What the person sees while sudo waits."""
    return f"this command starts once somebody watches it: jitctl sessions watch {session_id}"


def _nobody(watched: frozenset[str]) -> None:
    """Nobody wants to hear of watchers yet."""
