"""Sessions whose end nobody tells: of a removed host, and those that are open though their grant is over (SPEC 8.1).

That a grant is over is proved: nothing in its scope runs.  A session of it whose end is not told then has lost who
would have told it, as when files of its agent were lost or the word made no sense.  But the proof may come first, so
the host gets a while, and what it tells after all counts.
"""

from __future__ import annotations

from jit_server.domain.events import SERVER, EventKind
from jit_server.domain.identity import Host
from jit_server.domain.session import OPEN, Session, lost
from jit_server.ports import Clock
from jit_server.services.recording import note_session
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope, SessionQuery

PAGE = 100
MAX_STRANDED = 1_000


class LostSessionService:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._stranded: frozenset[str] = frozenset()
        """What was open when this was looked for last, though its grant was over."""

    async def look(self) -> None:
        """Call lost what has been stranded since the last look on a host that is connected."""
        async with self._store.read() as tx:
            found = await tx.sessions.stranded(MAX_STRANDED)
        before, self._stranded = self._stranded, frozenset(session.session_id for session in found)
        if before.isdisjoint(self._stranded):
            return
        async with self._store.write() as tx:
            for session in await tx.sessions.stranded(MAX_STRANDED):
                if session.session_id in before:
                    why = f"{session.grant_id} is over, and {session.host} has not told the end of this session"
                    await _lose(tx, session, why, actor=SERVER, now=self._clock.now())


async def lose_sessions(tx: Transaction, host: Host, *, actor: str, now: int) -> None:
    """The host is about to be shut out: whatever of its sessions is open is lost."""
    everything = Scope(host_id=host.host_id, everything=True)
    while found := await tx.sessions.select(SessionQuery(states=OPEN), everything, limit=PAGE):
        for session in found:
            await _lose(tx, session, f"{host.name} was removed", actor=actor, now=now)


async def _lose(tx: Transaction, session: Session, why: str, *, actor: str, now: int) -> None:
    gone = await tx.sessions.change(session, lost(session, why, now))
    await note_session(
        tx,
        EventKind.SESSION_ENDED,
        gone,
        actor=actor,
        now=now,
        exit_value=0,
        signal="",
        run_time_us=0,
        lost=True,
        incomplete=gone.incomplete,
        why=why,
    )
