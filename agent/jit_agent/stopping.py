"""A session whose record cannot go on, and that may not go on without one, is ended (S5)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from jit_agent import sudo_wire
from jit_agent.errors import AgentError, EnforcerUnavailable
from jit_agent.sudo_connection import Connection
from jit_agent.text import safe
from jit_agent.workshop import Workshop

log = logging.getLogger(__name__)

SAY_WHY_S = 0.3
"""How long sudo may take to tell its person why, before it is killed as well."""
RETRY_S = 1.0


async def tell_sudo(workshop: Workshop, connection: Connection, why: str) -> None:
    """Where there is no terminal to write to, nobody but sudo can say why."""
    workshop.start(connection.part(sudo_wire.abort(f"jit: {why}")))
    with suppress(TimeoutError):
        async with asyncio.timeout(SAY_WHY_S):
            await connection.lost.wait()


async def kill(workshop: Workshop, session_id: str, why: str) -> None:
    """Until the enforcer has done it, or says that it cannot be done."""
    while True:
        try:
            await workshop.enforcer.kill(session_id, why)
            return
        except EnforcerUnavailable as e:
            log.error("sudo session %s is not ended yet: %s", session_id, safe(str(e)))
        except AgentError as e:
            log.error("sudo session %s cannot be ended: %s", session_id, safe(str(e)))
            return
        await asyncio.sleep(RETRY_S)
