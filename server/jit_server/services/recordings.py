"""Recordings as hosts send them and people read them: each chunk kept once, in order, the whole proved at the end
(SPEC 8.2, 8.4, S7).

A chunk's bytes are durable before its row is, and its row before the host is told.  What a host refuses to be held to
(another chunk than the one kept, one that is missing, a digest that does not fit) is `recording.damaged`, said once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from jit_server.domain.events import SERVER, EventKind, JsonValue
from jit_server.domain.identity import Host, HostCaller, Person
from jit_server.domain.recording import Chunk, Proof, check, mismatch
from jit_server.domain.session import RecordingState, Session, unknown
from jit_server.errors import Invalid, NotFound, Unavailable
from jit_server.ports import Clock, ObjectStore
from jit_server.services import access
from jit_server.services.recording import host_actor, note_session
from jit_server.store import Store, Transaction

PAGE = 500
"""So many rows of chunks are held at once, whatever the recording's length."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The chunk is the next one: its bytes are to be sent."""


@dataclass(frozen=True, slots=True)
class Kept:
    """So many chunks of the session, from its first, are durable."""

    chunks: int


@dataclass(frozen=True, slots=True)
class Refused:
    """No more of this recording is taken, and why; `damages`: what came cannot be what was recorded."""

    chunks: int
    why: str
    damages: bool = False


class RecordingService:
    def __init__(self, store: Store, clock: Clock, objects: ObjectStore) -> None:
        self._store = store
        self._clock = clock
        self._objects = objects

    async def weigh(self, caller: HostCaller, untrusted: Chunk) -> Wanted | Kept | Refused:
        """Say whether the bytes of a chunk are wanted, before any of them is taken.

        Raises `Unauthenticated` for a host that does not count.
        """
        async with self._store.read() as tx:
            host = await access.host(tx, caller)
            session = await tx.sessions.get(untrusted.session_id)
            decision = await _decide(tx, session, host, untrusted, self._clock.now())
        if isinstance(decision, Refused) and decision.damages:
            return await self._refuse(caller, untrusted, decision)
        return decision

    async def put(self, untrusted: Chunk, content: bytes) -> str:
        """Make the bytes of a chunk durable, for `keep`; return what about them is not as it says, and they are not.

        Raises `Unavailable` when the objects do not answer: the host sends it again later.
        """
        wrong = await asyncio.to_thread(mismatch, untrusted, content)
        if not wrong:
            await self._objects.put(content)
        return wrong

    async def keep(self, caller: HostCaller, untrusted: Chunk) -> Kept | Refused:
        """Keep the chunk whose bytes were put just now, unless it is kept already; durable when this returns.

        Raises `Unavailable` when the database does not answer.
        """
        async with self._store.write() as tx:
            host = await access.host(tx, caller)
            now = self._clock.now()
            session = await tx.sessions.get(untrusted.session_id)
            decision = await _decide(tx, session, host, untrusted, now)
            if isinstance(decision, Kept):
                return decision
            session = session or await _first_heard_of(tx, host, untrusted.session_id, now)
            if isinstance(decision, Refused):
                if decision.damages:
                    await damage(tx, session, decision.why, host_actor(host), now)
                return decision
            await tx.recordings.add(untrusted)
            if session.recording is RecordingState.NONE:
                await tx.recordings.set_state(session.session_id, RecordingState.ARRIVING)
            await settle(tx, replace(session, chunks=untrusted.number + 1), now)
        return Kept(untrusted.number + 1)

    async def refuse(self, caller: HostCaller, untrusted: Chunk, why: str) -> Refused:
        """Say that what came cannot be what was recorded."""
        return await self._refuse(caller, untrusted, Refused(untrusted.number, why, damages=True))

    async def chunks(self, session_id: str, first: int, limit: int = PAGE) -> Sequence[Chunk]:
        """Those that are kept and not deleted, from this number on."""
        async with self._store.read() as tx:
            return [chunk for chunk in await tx.recordings.chunks(session_id, first, limit) if not chunk.deleted]

    async def content(self, chunk: Chunk) -> bytes:
        """The bytes of a chunk as stored, which are what its SHA-256 says.

        Raises `NotFound` if it has been deleted since, `Unavailable` if it is damaged, which is then known to all.
        """
        try:
            content = await self._objects.get(chunk.sha256)
            why = await asyncio.to_thread(mismatch, chunk, content)
        except NotFound:
            content, why = b"", f"chunk {chunk.number} is missing from the store"
        if not why:
            return content
        async with self._store.write() as tx:
            now_stored = await tx.recordings.chunk(chunk.session_id, chunk.number)
            session = await tx.sessions.get(chunk.session_id)
            if session is None or now_stored is None or now_stored.deleted:
                raise NotFound(f"the recording of {chunk.session_id} was deleted")
            await damage(tx, session, why, SERVER, self._clock.now(), found=True)
        raise Unavailable(
            f"the recording of {chunk.session_id} is damaged: {why}", hint="restore it from a backup of the server"
        )

    async def note_replay(self, caller: Person, session_id: str) -> None:
        """Write down that the caller reads this recording; durable before they see any of it."""
        async with self._store.write() as tx:
            user = await access.person(tx, caller)
            session = await tx.sessions.get(session_id)
            if session is None:
                raise NotFound(f"no session {session_id}")
            await note_session(tx, EventKind.SESSION_REPLAYED, session, actor=user.name, now=self._clock.now())

    async def _refuse(self, caller: HostCaller, untrusted: Chunk, refused: Refused) -> Refused:
        async with self._store.write() as tx:
            host = await access.host(tx, caller)
            now = self._clock.now()
            session = await tx.sessions.get(untrusted.session_id)
            # Between the look and now it may have become another host's, or gone.
            decision = await _decide(tx, session, host, untrusted, now)
            if isinstance(decision, Refused) and not decision.damages:
                return decision
            session = session or await _first_heard_of(tx, host, untrusted.session_id, now)
            await damage(tx, session, refused.why, host_actor(host), now)
        return refused


async def settle(tx: Transaction, session: Session, now: int) -> None:
    """See whether the recording is whole: its end is told, and all chunks that this names are kept (SPEC 8.2).

    To be called when a chunk was kept and when the end was told, whichever comes last.
    """
    if not session.end_told or not session.chunks or session.chunks < session.chunks_told:
        return
    if session.recording is RecordingState.DELETED:
        return
    by = f"host {session.host}"
    if session.chunks > session.chunks_told:
        why = f"the host sent {session.chunks} chunks, and named {session.chunks_told} at the end"
        await damage(tx, session, why, by, now)
        return
    proof = await proof_of(tx, session.session_id)
    if proof.digest != session.digest:
        await damage(tx, session, "its digest is not the one that the host named at the end", by, now)
        return
    proved: dict[str, JsonValue] = {
        "chunks": proof.chunks,
        "bytes": proof.stored_bytes,
        "digest": proof.digest,
        "index": proof.index,
    }
    await note_session(tx, EventKind.RECORDING_STORED, session, actor=by, now=now, **proved)
    marred = session.incomplete or session.damage
    whole = RecordingState.INCOMPLETE if marred else RecordingState.WHOLE
    await tx.recordings.set_state(session.session_id, whole)


def is_past(session: Session, now: int) -> bool:
    """Whether the time of its recording is up; of one that nobody ever described, counted from its first chunk."""
    if session.retain_until or session.started_at:
        return 0 < session.retain_until <= now
    return session.began_at + session.retain_s * 1_000_000 <= now


async def proof_of(tx: Transaction, session_id: str) -> Proof:
    """The digests over all chunks there are of the session."""
    proof = Proof()
    async for chunk in all_chunks(tx, session_id):
        proof.add(chunk)
    return proof


async def all_chunks(tx: Transaction, session_id: str) -> AsyncIterator[Chunk]:
    """Every chunk there is a row of, in order, also deleted ones."""
    first = 0
    while page := await tx.recordings.chunks(session_id, first, PAGE):
        for chunk in page:
            yield chunk
        first = page[-1].number + 1


async def damage(tx: Transaction, session: Session, why: str, by: str, now: int, *, found: bool = False) -> None:
    """Write down what is wrong with the recording, unless something is known to be already.

    `found`: in what is stored here, so that even a recording that was whole is called so no more.
    """
    if found or session.recording in {RecordingState.NONE, RecordingState.ARRIVING}:
        await tx.recordings.set_state(session.session_id, RecordingState.INCOMPLETE)
    if not session.damage:
        await note_session(tx, EventKind.RECORDING_DAMAGED, session, actor=by, now=now, why=why)
        await tx.recordings.set_damage(session.session_id, why, now)


async def _first_heard_of(tx: Transaction, host: Host, session_id: str, now: int) -> Session:
    """A session that nobody has told of yet is the host's whose chunks come first."""
    session = unknown(session_id, host.host_id, host.name, now)
    await tx.sessions.add(session)
    return session


async def _decide(
    tx: Transaction, stored: Session | None, host: Host, chunk: Chunk, now: int
) -> Wanted | Kept | Refused:
    session = stored or unknown(chunk.session_id, host.host_id, host.name, now)
    if session.host_id != host.host_id:
        return Refused(0, "the session is another host's")
    kept = session.chunks
    if session.recording is RecordingState.DELETED or is_past(session, now):
        return Refused(kept, "its time is up, and it is deleted")
    try:
        check(chunk)
    except Invalid as error:
        return Refused(kept, str(error), damages=True)
    if chunk.number > kept:
        return Refused(kept, f"chunk {chunk.number} came after {kept} chunks: some are missing", damages=True)
    if chunk.number == kept:
        return Wanted()
    known = await tx.recordings.chunk(chunk.session_id, chunk.number)
    if known is not None and known.sha256 == chunk.sha256:
        return Kept(kept)
    return Refused(kept, f"chunk {chunk.number} is another than the one that is kept", damages=True)
