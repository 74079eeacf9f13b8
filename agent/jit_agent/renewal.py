"""The host's certificate renews itself after two thirds of its life, without a restart (SPEC 1.3)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from jit_agent import identity, keys
from jit_agent.errors import AgentError
from jit_agent.identity import Identity
from jit_agent.ports import Clock
from jit_agent.server_link import ServerLink

log = logging.getLogger(__name__)

LOOK_S = 60.0
RETRY_S = 300.0

MakeKey = Callable[[], Awaitable[tuple[bytes, bytes]]]


class Renewal:
    """Keeps the current identity; `run` renews it for ever."""

    def __init__(
        self, pki: Path, current: Identity, link: ServerLink, clock: Clock, *, make_key: MakeKey = keys.in_own_process
    ) -> None:
        self._pki = pki
        self._link = link
        self._clock = clock
        self._make_key = make_key
        self.current = current
        self.error = ""

    async def run(self) -> None:
        while True:
            # Looked at often rather than slept for days: clocks are set, and machines suspended.
            wait = LOOK_S
            if self._clock.now_us() >= self.current.renew_at:
                try:
                    await self.renew()
                except AgentError as e:
                    self.error = str(e)
                    log.warning("The host's certificate could not be renewed: %s", e)
                    wait = RETRY_S
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311 (spreads load, guards nothing)

    async def renew(self) -> None:
        """Get a certificate for a new key and speak with it; raises `AgentError` and keeps the old one."""
        key, csr = await self._make_key()
        certificate, ca = await self._link.renew_certificate(csr.decode("ascii"))
        self.current = identity.replace(self._pki, key, certificate.encode(), ca.encode())
        self.error = ""
        await self._link.use(self.current)
        log.info("The host's certificate was renewed")
