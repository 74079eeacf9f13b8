"""One transaction under way: its connection, and the hints to give after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Executable, Row
from sqlalchemy.ext.asyncio import AsyncConnection

from jit_server.errors import Conflict


@dataclass(frozen=True, slots=True)
class Session:
    connection: AsyncConnection
    topics: set[str] = field(default_factory=set)

    async def all(self, statement: Executable) -> Sequence[Row[Any]]:
        return (await self.connection.execute(statement)).all()

    async def first(self, statement: Executable) -> Row[Any] | None:
        return (await self.connection.execute(statement)).first()

    async def change(self, statement: Executable) -> int:
        """Execute, and return how many rows were changed."""
        return (await self.connection.execute(statement)).rowcount

    async def change_one(self, statement: Executable, otherwise: str) -> None:
        """Execute; raise `Conflict`, saying `otherwise`, unless exactly one row was changed."""
        if await self.change(statement) != 1:
            raise Conflict(otherwise)
