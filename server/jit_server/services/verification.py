"""Is what is stored what the audit log says was stored (SPEC 8.2, S11)?  Objects against rows, rows against events.

Every event `recording.stored` is asked for its recording, so that one whose rows are gone is missed; then come the
recordings that were never whole.  That a recording was deleted counts only if the audit log says so too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from enum import StrEnum

from jit_server.domain.events import SERVER, Event, EventKind, JsonValue, Query, RecordedEvent
from jit_server.domain.identity import Person
from jit_server.domain.ids import Kind, id_prefix, is_id
from jit_server.domain.recording import Chunk, mismatch
from jit_server.domain.session import RecordingState, Session
from jit_server.errors import NotFound
from jit_server.ports import Clock, ObjectStore
from jit_server.services import access
from jit_server.services.recordings import damage, is_past, proof_of
from jit_server.store import Store
from jit_server.store_values import Scope

PAGE = 200
BEING_DELETED = "its time is up, and it is being deleted"


class Found(StrEnum):
    WHOLE = "whole"
    INCOMPLETE = "incomplete"
    ARRIVING = "arriving"
    DELETED = "deleted"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; `detail` says what is wrong, and with which chunk."""

    session_id: str
    found: Found
    detail: str = ""
    chunks: int = 0
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the database says of one recording; `index` is over the rows of its chunks."""

    session: Session | None
    digest: str
    index: str
    chunks: int
    stored_bytes: int


class VerificationService:
    def __init__(self, store: Store, clock: Clock, objects: ObjectStore) -> None:
        self._store = store
        self._clock = clock
        self._objects = objects

    async def verify(
        self, caller: Person, untrusted_id: str = "", *, since: int = 0, until: int = 0
    ) -> AsyncGenerator[Verdict, None]:
        """Give a verdict on one session's recording, or on all that were recorded in [since, until), µs UTC.

        Raises `Denied` for others than administrators and auditors, `NotFound` for a session of which nothing is there.
        """
        only = await self._admit(caller, untrusted_id)
        # Not whole any more, as their rows say: not to be looked at twice.
        seen: set[str] = set()
        # What the rows call deleted, until the event is found that says so.
        said_deleted: dict[str, Verdict] = {}
        window = Query(kind=EventKind.RECORDING_STORED, since=since, until=max(0, until - 1))
        nothing = True
        async for verdict in self._all(only, window, seen):
            nothing = False
            if verdict.found is Found.DELETED and verdict.detail != BEING_DELETED:
                said_deleted[verdict.session_id] = verdict
            else:
                yield verdict
        if said_deleted:
            async for recorded in self._events(Query(kind=EventKind.RECORDING_DELETED), only):
                proved = said_deleted.pop(_session_of(recorded.event), None)
                if proved is not None:
                    yield proved
        for session_id in said_deleted:
            rows = await self._rows(session_id)
            yield await self._damaged(session_id, rows, "it was deleted, and the audit log does not say so")
        if only and nothing:
            raise NotFound(f"nothing was recorded of {only}")

    async def _all(self, only: str, window: Query, seen: set[str]) -> AsyncIterator[Verdict]:
        async for recorded in self._events(window, only):
            session_id = _session_of(recorded.event)
            rows = await self._rows(session_id)
            verdict = await self._of_stored(session_id, recorded.event, rows)
            called_whole = rows.session is not None and rows.session.recording is RecordingState.WHOLE
            if only or not called_whole or verdict.found is not Found.WHOLE:
                seen.add(session_id)
            yield verdict
        async for session_id in self._not_whole(only):
            rows = await self._rows(session_id)
            session = rows.session
            if session_id in seen or session is None or not (rows.chunks or session.chunks or session.chunks_told):
                continue
            if window.since <= session.began_at and (not window.until or session.began_at <= window.until):
                yield await self._of_unproved(session_id, session, rows)

    async def _admit(self, caller: Person, untrusted_id: str) -> str:
        """Return the id of the one session that is meant, or nothing for all."""
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            if not untrusted_id or is_id(Kind.SESSION, untrusted_id):
                return untrusted_id
            prefix = id_prefix(Kind.SESSION, untrusted_id)
            found = await tx.sessions.find(prefix, Scope(everything=True))
            return access.only(found, "session", untrusted_id).session_id

    async def _events(self, query: Query, only: str) -> AsyncIterator[RecordedEvent]:
        query = replace(query, limit=PAGE)
        while True:
            async with self._store.read() as tx:
                page = await tx.audit.query(query)
            for recorded in page:
                if not only or _session_of(recorded.event) == only:
                    yield recorded
            if len(page) < PAGE:
                return
            query = replace(query, after=page[-1].sequence)

    async def _not_whole(self, only: str) -> AsyncIterator[str]:
        if only:
            yield only
            return
        after = ""
        while True:
            async with self._store.read() as tx:
                page = await tx.recordings.not_whole(after, PAGE)
            for session_id in page:
                yield session_id
            if len(page) < PAGE:
                return
            after = page[-1]

    async def _rows(self, session_id: str) -> _Rows:
        async with self._store.read() as tx:
            session = await tx.sessions.get(session_id)
            proof = await proof_of(tx, session_id)
        return _Rows(session, proof.digest, proof.index, proof.chunks, proof.stored_bytes)

    async def _of_stored(self, session_id: str, event: Event, rows: _Rows) -> Verdict:
        """A recording that was whole once: the audit log has its digests."""
        session, said = rows.session, event.details
        if session is None:
            return await self._damaged(session_id, rows, "the database has lost its session", event)
        proved = (said.get("index"), said.get("digest"), said.get("chunks"), said.get("bytes"))
        if (rows.index, rows.digest, rows.chunks, rows.stored_bytes) != proved:
            return await self._damaged(session_id, rows, "the rows of its chunks are not those that were stored")
        if (session.digest, session.chunks, session.stored_bytes) != proved[1:]:
            return await self._damaged(session_id, rows, "the session's row is not the one that was stored")
        if session.recording is RecordingState.DELETED:
            return _verdict(session_id, rows, Found.DELETED)
        if session.recording in {RecordingState.NONE, RecordingState.ARRIVING}:
            return await self._damaged(session_id, rows, "it was stored, and its session does not say so")
        wrong = await self._wrong_chunk(session_id)
        if wrong:
            return await self._damaged(session_id, rows, wrong)
        return _verdict(session_id, rows, Found.INCOMPLETE if session.incomplete else Found.WHOLE, session.incomplete)

    async def _of_unproved(self, session_id: str, session: Session, rows: _Rows) -> Verdict:
        """A recording that no event calls stored: its chunks can be looked at, each by itself."""
        if session.recording is RecordingState.DELETED:
            return _verdict(session_id, rows, Found.DELETED)
        if session.damage:
            return _verdict(session_id, rows, Found.DAMAGED, session.damage)
        if (session.chunks, session.stored_bytes) != (rows.chunks, rows.stored_bytes):
            return await self._damaged(session_id, rows, "rows of its chunks are missing, or were changed")
        if session.end_told and rows.chunks and rows.chunks >= session.chunks_told:
            return await self._damaged(session_id, rows, "all its chunks are here, and the audit log does not say so")
        wrong = await self._wrong_chunk(session_id)
        if wrong:
            return await self._damaged(session_id, rows, wrong)
        if session.recording is RecordingState.INCOMPLETE:
            return _verdict(session_id, rows, Found.INCOMPLETE, session.incomplete)
        return _verdict(session_id, rows, Found.ARRIVING)

    async def _wrong_chunk(self, session_id: str) -> str:
        """What is wrong with the first chunk with which something is; empty: nothing."""
        first = 0
        while True:
            async with self._store.read() as tx:
                page = await tx.recordings.chunks(session_id, first, PAGE)
            if not page:
                return ""
            for chunk in page:
                if wrong := await self._wrong(chunk):
                    return wrong
            first = page[-1].number + 1

    async def _wrong(self, chunk: Chunk) -> str:
        if chunk.deleted:
            return f"chunk {chunk.number} was deleted before its time"
        try:
            content = await self._objects.get(chunk.sha256)
        except NotFound:
            return f"chunk {chunk.number} is missing from the store"
        return await asyncio.to_thread(mismatch, chunk, content)

    async def _damaged(self, session_id: str, rows: _Rows, why: str, event: Event | None = None) -> Verdict:
        """Write it down, once.  `event` stands in for a session that the database has lost."""
        told_before = rows.session is None and await self._told(session_id)
        async with self._store.write() as tx:
            session = await tx.sessions.get(session_id)
            now = self._clock.now()
            if session is not None:
                if is_past(session, now) and session.recording is not RecordingState.DELETED:
                    return _verdict(session_id, rows, Found.DELETED, BEING_DELETED)
                await damage(tx, session, why, SERVER, now, found=True)
            elif event is not None and not told_before:
                details: dict[str, JsonValue] = {"session": session_id, "why": why}
                told = replace(event, at=now, kind=EventKind.RECORDING_DAMAGED, actor=SERVER, details=details)
                await tx.audit.append(told)
        return _verdict(session_id, rows, Found.DAMAGED, why)

    async def _told(self, session_id: str) -> bool:
        async for _ in self._events(Query(kind=EventKind.RECORDING_DAMAGED), session_id):
            return True
        return False


def _verdict(session_id: str, rows: _Rows, found: Found, detail: str = "") -> Verdict:
    return Verdict(session_id, found, detail, rows.chunks, rows.stored_bytes)


def _session_of(event: Event) -> str:
    return str(event.details.get("session", ""))
