"""Ends travel from the enforcer to the spool; only then may the enforcer forget them (S7)."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import aclosing

from jit_agent.changes import Bell
from jit_agent.errors import AgentError
from jit_agent.ports import Enforcer
from jit_agent.reports import Reports

log = logging.getLogger(__name__)

RETRY_S = 1.0


async def watch(enforcer: Enforcer, reports: Reports, *, changed: Bell, connected: Bell, ended: Bell) -> None:
    """Watch for ever; rings `connected` when the enforcer is (again) there, `ended` at an end, `changed` at both."""
    complained = False
    while True:
        try:
            async with aclosing(enforcer.endings()) as endings:
                async for proof in endings:
                    complained = False
                    if proof is None:
                        connected.ring()
                        changed.ring()
                        continue
                    await reports.outcome(proof.grant_id, proof)
                    await enforcer.reported(proof.grant_id)
                    log.info("Grant ended: %s, %s, %d µs late", proof.grant_id, proof.reason, proof.late_us)
                    for one in proof.leftovers:
                        log.warning("Left behind by %s: process %d: %s", proof.grant_id, one.pid, one.command)
                    changed.ring()
                    ended.ring()
        except AgentError as e:
            if not complained:
                log.warning("Endings cannot be watched: %s", e)
            complained = True
        await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311 (spreads load, guards nothing)
