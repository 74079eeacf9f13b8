"""Locks in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, insert, select, update

from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import locks
from jit_server.domain.lock import Lock, LockKind

_NOT_LIFTED = locks.c.lifted_at == 0


@dataclass(frozen=True, slots=True)
class SqlLocks:
    session: Session

    async def add(self, lock: Lock) -> None:
        await self.session.change(insert(locks).values({**dataclasses.asdict(lock), "kind": lock.kind.value}))

    async def find(self, id_prefix: str) -> Sequence[Lock]:
        return await self._load(select(locks).where(locks.c.lock_id.startswith(id_prefix, autoescape=True)).limit(3))

    async def standing(self, now: int) -> Sequence[Lock]:
        lasts = (locks.c.expires_at == 0) | (locks.c.expires_at > now)
        return await self._load(_newest_first(select(locks).where(_NOT_LIFTED, lasts)))

    async def past(self, now: int) -> Sequence[Lock]:
        return await self._load(select(locks).where(_NOT_LIFTED, locks.c.expires_at > 0, locks.c.expires_at <= now))

    async def newest(self, limit: int) -> Sequence[Lock]:
        return await self._load(_newest_first(select(locks)).limit(limit))

    async def lift(self, lock_id: str, at: int, by: str) -> None:
        await self.session.change_one(
            update(locks).where(locks.c.lock_id == lock_id, _NOT_LIFTED).values(lifted_at=at, lifted_by=by),
            otherwise="the lock was lifted already",
        )

    async def _load(self, query: Select[Any]) -> list[Lock]:
        rows = await self.session.all(query)
        return [Lock(**{**row._mapping, "kind": LockKind(row.kind)}) for row in rows]


def _newest_first(query: Select[Any]) -> Select[Any]:
    return query.order_by(locks.c.created_at.desc(), locks.c.lock_id)
