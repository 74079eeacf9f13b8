"""Chunks of recordings in SQL, with the columns of their sessions that tell of them; the bytes are objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, exists, insert, or_, select, update

from jit_server.adapters.sql import requests
from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import recording_chunks, sessions
from jit_server.domain.recording import Chunk
from jit_server.domain.session import RecordingState

_SESSIONS, _CHUNKS = sessions.c, recording_chunks.c


@dataclass(frozen=True, slots=True)
class SqlRecordings:
    session: Session

    async def add(self, chunk: Chunk) -> None:
        await self._change(
            chunk.session_id,
            _SESSIONS.chunks == chunk.number,
            otherwise=f"chunk {chunk.number} is not the next one",
            chunks=chunk.number + 1,
            stored_bytes=_SESSIONS.stored_bytes + chunk.size,
        )
        values = dataclasses.asdict(chunk)
        values["chunk"] = values.pop("number")
        await self.session.change(insert(recording_chunks).values(values))

    async def chunk(self, session_id: str, number: int) -> Chunk | None:
        row = await self.session.first(
            select(recording_chunks).where(_CHUNKS.session_id == session_id, _CHUNKS.chunk == number)
        )
        return None if row is None else _chunk(row)

    async def chunks(self, session_id: str, first: int, limit: int) -> Sequence[Chunk]:
        wanted = select(recording_chunks).where(_CHUNKS.session_id == session_id, _CHUNKS.chunk >= first)
        return [_chunk(row) for row in await self.session.all(wanted.order_by(_CHUNKS.chunk).limit(limit))]

    async def set_state(self, session_id: str, state: RecordingState) -> None:
        await self._change(session_id, otherwise="there is no such session", recording=state.value)

    async def set_damage(self, session_id: str, why: str, now: int) -> None:
        await self._change(
            session_id, _SESSIONS.damage == "", otherwise="the recording was damaged", damage=why, damaged_at=now
        )

    async def due(self, now: int, limit: int) -> Sequence[str]:
        never_described = and_(_SESSIONS.retain_until == 0, _SESSIONS.started_at == 0)
        past = or_(
            and_(_SESSIONS.retain_until > 0, _SESSIONS.retain_until <= now),
            # Not added to `began_at`, which is a host's word and may be as large as a number can be.
            and_(never_described, _SESSIONS.began_at <= now - _SESSIONS.retain_s * 1_000_000),
        )
        kept = (_SESSIONS.chunks > 0, _SESSIONS.recording != RecordingState.DELETED.value)
        wanted = select(_SESSIONS.session_id).where(*kept, past)
        order = (_SESSIONS.retain_until, _SESSIONS.session_id)
        return [row.session_id for row in await self.session.all(wanted.order_by(*order).limit(limit))]

    async def delete(self, session_id: str) -> None:
        self.session.topics.add(session_id)
        kept = update(recording_chunks).where(_CHUNKS.session_id == session_id, _CHUNKS.deleted.is_(False))
        await self.session.change(kept.values(deleted=True))

    async def referenced(self, digests: Collection[str]) -> frozenset[str]:
        found: set[str] = set()
        for some in requests.chunks(sorted(digests)):
            wanted = select(_CHUNKS.sha256).where(_CHUNKS.sha256.in_(some), _CHUNKS.deleted.is_(False)).distinct()
            found |= {row.sha256 for row in await self.session.all(wanted)}
        return frozenset(found)

    async def not_whole(self, after: str, limit: int) -> Sequence[str]:
        has_rows = exists().where(_CHUNKS.session_id == _SESSIONS.session_id)
        wanted = select(_SESSIONS.session_id).where(
            _SESSIONS.session_id > after,
            _SESSIONS.recording != RecordingState.WHOLE.value,
            or_(_SESSIONS.chunks > 0, has_rows),
        )
        order = _SESSIONS.session_id
        return [row.session_id for row in await self.session.all(wanted.order_by(order).limit(limit))]

    async def _change(self, session_id: str, *still: Any, otherwise: str, **values: object) -> None:
        self.session.topics.add(session_id)
        await self.session.change_one(
            update(sessions).where(_SESSIONS.session_id == session_id, *still).values(values), otherwise=otherwise
        )


def _chunk(row: Row[Any]) -> Chunk:
    return Chunk(
        session_id=row.session_id,
        number=row.chunk,
        sha256=row.sha256,
        size=row.size,
        decoded_size=row.decoded_size,
        start_ns=row.start_ns,
        end_ns=row.end_ns,
        encoding=row.encoding,
        deleted=row.deleted,
    )
