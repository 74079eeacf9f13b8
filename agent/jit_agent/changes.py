"""A bell: whoever waits hears that something changed, and looks for themselves (level, not edge)."""

from __future__ import annotations

import asyncio

IDLE_S = 60.0


class Bell:
    """Rings are counted, so one that came between looking and waiting is not missed."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.count = 0

    def ring(self) -> None:
        self.count += 1
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    async def wait_beyond(self, count: int, *, timeout_s: float) -> None:
        """Return once there were more than `count` rings, or after the time; the caller looks again either way."""
        if self.count > count:
            return
        # Not wait_for: before Python 3.12 it can swallow a cancellation that comes together with the ring.
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return


async def forward(source: Bell, target: Bell) -> str:
    """Ring the target whenever the source rings; never returns."""
    seen = source.count
    while True:
        await source.wait_beyond(seen, timeout_s=IDLE_S)
        if source.count > seen:
            seen = source.count
            target.ring()
