"""Recordings whose time is up go, with proof, and so does what nobody ever referred to (SPEC 8.6).

A recording is first marked, so that nobody reads it and nothing is added; then its objects go, but for those whose
content another chunk has; then the audit log says so.  Whatever stops this in the middle, the next round goes on.  No
object is deleted that was put a moment ago: the row that refers to it may be about to be committed.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Collection

from jit_server.domain.events import SERVER, EventKind, JsonValue
from jit_server.domain.session import RecordingState
from jit_server.errors import Unavailable
from jit_server.ports import Clock, ObjectStore
from jit_server.services.recording import note_session
from jit_server.services.recordings import proof_of
from jit_server.store import Store

COMMITTED_AFTER_US = 10 * 60 * 1_000_000
"""Long after an object was put, the transaction that refers to it has ended one way or the other."""
ORPHANED_AFTER_US = 24 * 3600 * 1_000_000
BATCH = 200
ROUND_S = 5.0
"""A round ends after about so long, for a server that stops waits for it; the next one goes on."""

_log = logging.getLogger(__name__)


class RetentionService:
    def __init__(self, store: Store, clock: Clock, objects: ObjectStore) -> None:
        self._store = store
        self._clock = clock
        self._objects = objects
        self._beginnings = itertools.cycle(f"{number:02x}" for number in range(256))

    async def expire(self) -> float | None:
        """Delete recordings whose time is up; return zero if this is to be called again at once, for more is due."""
        until = time.monotonic() + ROUND_S
        async with self._store.read() as tx:
            due = await tx.recordings.due(self._clock.now(), BATCH)
        gone = 0
        for session_id in due:
            if time.monotonic() >= until:
                return 0.0
            try:
                gone += await self._delete(session_id)
            except Unavailable as error:
                # One object that cannot be deleted must not keep all others.
                _log.warning("The recording of %s is to be deleted, and was not: %s", session_id, error)
        return 0.0 if gone and len(due) == BATCH else None

    async def sweep(self) -> None:
        """Remove the objects of one part of the store that were put more than a day ago and that no chunk refers to."""
        put_before = self._clock.now() - ORPHANED_AFTER_US
        old = await self._objects.listed(next(self._beginnings), put_before=put_before)
        for batch in _batches(old):
            await self._drop(batch, put_before)

    async def _delete(self, session_id: str) -> bool:
        """Delete the recording; False if an object of it must stay for a while yet, or the recording is gone."""
        async with self._store.write() as tx:
            await tx.recordings.delete(session_id)
        seen, all_gone = 0, True
        while True:
            async with self._store.read() as tx:
                page = await tx.recordings.chunks(session_id, seen, BATCH)
            if not page:
                break
            all_gone &= await self._drop({chunk.sha256 for chunk in page}, self._clock.now() - COMMITTED_AFTER_US)
            seen = page[-1].number + 1
        if not all_gone:
            return False
        async with self._store.write() as tx:
            session = await tx.sessions.get(session_id)
            if session is None or session.recording is RecordingState.DELETED:
                return False
            if session.chunks != seen:
                return True  # More came meanwhile, of a session that nobody had told of; the next round has it.
            proof = await proof_of(tx, session_id)
            now = self._clock.now()
            gone: dict[str, JsonValue] = {
                "digest": proof.digest,
                "chunks": proof.chunks,
                "bytes": proof.stored_bytes,
            }
            await note_session(tx, EventKind.RECORDING_DELETED, session, actor=SERVER, now=now, **gone)
            await tx.recordings.set_state(session_id, RecordingState.DELETED)
        return True

    async def _drop(self, digests: Collection[str], put_before: int) -> bool:
        """Delete those that no chunk refers to; False if one of these was put too lately."""
        async with self._store.read() as tx:
            referenced = await tx.recordings.referenced(digests)
        gone = [await self._objects.delete(digest, put_before=put_before) for digest in set(digests) - referenced]
        return all(gone)


def _batches(digests: Collection[str]) -> list[list[str]]:
    ordered = sorted(digests)
    return [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
