"""Persistence of sessions and their recordings, as the services see it; the rules are those of `store`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from jit_server.domain.recording import Chunk
from jit_server.domain.session import Command, RecordingState, Session
from jit_server.domain.session_order import Watcher
from jit_server.store_values import Scope, SessionQuery, Usage


class Sessions(Protocol):
    async def add(self, session: Session) -> None:
        """Raises `Conflict` if the id is taken."""

    async def get(self, session_id: str) -> Session | None: ...

    async def find(self, id_prefix: str, scope: Scope) -> Sequence[Session]:
        """At most three in the scope whose id begins like this."""

    async def select(self, query: SessionQuery, scope: Scope, *, limit: int, skip: int = 0) -> Sequence[Session]:
        """Those in the scope that match, newest first, but for the newest `skip`."""

    async def stranded(self, limit: int) -> Sequence[Session]:
        """Open ones whose grant is over, of hosts that are connected, by id."""

    async def usage(self, role: str, since: int, limit: int) -> Sequence[Usage]:
        """What sudo ran under grants of the role from then on (µs UTC), the most frequent first, at most so many."""

    async def change(self, before: Session, after: Session) -> Session:
        """Compare and set from the state it has in `before`; return `after`.

        Raises `Conflict` if it is no longer there, or for a move or change that the database forbids.
        """

    async def add_command(self, session_id: str, command: Command) -> bool:
        """False: the session has `MAX_COMMANDS` of them, and this one is not kept."""

    async def commands(self, session_id: str, limit: int) -> Sequence[Command]:
        """As they came."""

    async def watcher(self, session_id: str, user_id: str) -> Watcher | None: ...

    async def watch(self, watcher: Watcher) -> None:
        """Put this in place of what was known of the watcher."""

    async def watchers(self, session_ids: Collection[str], since: int) -> Sequence[Watcher]:
        """Those seen after this, by session and person."""

    def changed(self, session: Session) -> None:
        """Give the hint that something about it changed that is not in it, such as who watches."""


class Recordings(Protocol):
    """Chunks, and what a session says of its own: how many it has, their bytes, its recording's state and damage."""

    async def add(self, chunk: Chunk) -> None:
        """Keep the session's next chunk.  Raises `Conflict` if it is not the next one."""

    async def chunk(self, session_id: str, number: int) -> Chunk | None: ...

    async def chunks(self, session_id: str, first: int, limit: int) -> Sequence[Chunk]:
        """At most so many from this number on, in order, also those that were deleted."""

    async def set_state(self, session_id: str, state: RecordingState) -> None: ...

    async def set_damage(self, session_id: str, why: str, now: int) -> None:
        """Raises `Conflict` if something was wrong with it before."""

    async def due(self, now: int, limit: int) -> Sequence[str]:
        """Sessions whose time is up with chunks that were not deleted, with proof.

        One that nobody ever described counts from when it was first heard of.
        """

    async def delete(self, session_id: str) -> None:
        """All its chunks are deleted, as far as readers know."""

    async def referenced(self, digests: Collection[str]) -> frozenset[str]:
        """Those of the contents that some chunk has which is not deleted."""

    async def not_whole(self, after: str, limit: int) -> Sequence[str]:
        """Sessions that have chunks, or had, and are not called whole, with ids above this one, in order."""
