"""One transaction under way: its connection, and the hints to give after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import CursorResult, Executable, Row
from sqlalchemy.ext.asyncio import AsyncConnection

from jit_server.adapters.sql.uncut import whole
from jit_server.errors import Conflict


@dataclass(frozen=True, slots=True)
class Session:
    connection: AsyncConnection
    topics: set[str] = field(default_factory=set)

    async def all(self, statement: Executable) -> Sequence[Row[Any]]:
        return (await self._execute(statement)).all()

    async def first(self, statement: Executable) -> Row[Any] | None:
        return (await self._execute(statement)).first()

    async def change(self, statement: Executable) -> int:
        """Execute, and return how many rows were changed."""
        return (await self._execute(statement)).rowcount

    async def change_one(self, statement: Executable, otherwise: str) -> None:
        """Execute; raise `Conflict`, saying `otherwise`, unless exactly one row was changed."""
        if await self.change(statement) != 1:
            raise Conflict(otherwise)

    async def _execute(self, statement: Executable) -> CursorResult[Any]:
        # A statement cut in the middle would leave a connection that still holds the write lock.
        return await whole(self.connection.execute(statement))
