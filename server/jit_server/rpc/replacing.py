"""One call of a kind for each host: a new one ends the old, whose connection may be dead without our knowing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from jit_server.errors import Conflict


class Newest:
    """The newest call of each host."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._running: dict[str, asyncio.Timeout] = {}

    @contextlib.asynccontextmanager
    async def alone(self, host_id: str) -> AsyncIterator[asyncio.Timeout]:
        """End the host's former call, if there is one; raises `Conflict` out of this one when it is replaced."""
        former = self._running.get(host_id)
        if former is not None and not former.expired():
            former.reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(None) as mine:
                self._running[host_id] = mine
                try:
                    yield mine
                finally:
                    if self.is_newest(host_id, mine):
                        del self._running[host_id]
        except TimeoutError:
            if not mine.expired():
                raise
            raise Conflict(f"a newer {self._what} of this host took the place of this one") from None

    def is_newest(self, host_id: str, mine: asyncio.Timeout) -> bool:
        return self._running.get(host_id) is mine
