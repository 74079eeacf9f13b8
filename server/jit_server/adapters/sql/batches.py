"""Batches of requests in SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import insert, select, update

from jit_server.adapters.sql import codec
from jit_server.adapters.sql.requests import chunks
from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import batches
from jit_server.domain.batch import Batch


@dataclass(frozen=True, slots=True)
class SqlBatches:
    session: Session

    async def add(self, batch: Batch) -> None:
        await self.session.change(
            insert(batches).values(
                batch_id=batch.batch_id,
                user_id=batch.user_id,
                asked_on=batch.asked_on,
                created_at=batch.created_at,
                wanted=codec.dump(list(batch.wanted)),
                left_out=codec.dump_map(batch.left_out),
            )
        )

    async def of(self, batch_ids: Collection[str]) -> Mapping[str, Batch]:
        found: dict[str, Batch] = {}
        for some in chunks(sorted(batch_ids)):
            for row in await self.session.all(select(batches).where(batches.c.batch_id.in_(some))):
                found[row.batch_id] = Batch(
                    batch_id=row.batch_id,
                    user_id=row.user_id,
                    asked_on=row.asked_on,
                    created_at=row.created_at,
                    wanted=codec.texts(row.wanted),
                    left_out=codec.labels(row.left_out),
                )
        return found

    async def leave_out(self, batch: Batch, host: str, why: str) -> Batch:
        left_out = {**batch.left_out, host: why}
        await self.session.change_one(
            update(batches).where(batches.c.batch_id == batch.batch_id).values(left_out=codec.dump_map(left_out)),
            otherwise="the batch is gone",
        )
        return replace(batch, left_out=left_out)
