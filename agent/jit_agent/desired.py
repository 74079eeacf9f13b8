"""Level-triggered desired state (SPEC 5.2): whatever came before, after `settle` the host's live set is the set.

Applying twice is harmless, so nothing is remembered between two calls and every doubt is settled by doing it again.
"""

from __future__ import annotations

import logging

from jit_agent.errors import EnforcerRefused
from jit_agent.model import DesiredState, Refused
from jit_agent.ports import Enforcer
from jit_agent.reports import Reports
from jit_agent.text import safe

log = logging.getLogger(__name__)


async def settle(desired: DesiredState, enforcer: Enforcer, reports: Reports) -> None:
    """Bring the host to exactly this set; each grant is then applied or refused, and that is durable.

    Rights are taken away first: a set that also adds must not keep an old right alive for as long as adding takes (S1).
    A grant that the enforcer refuses stops no other.  Raises `Unavailable` when enforcer or spool do not answer; the
    caller settles again.
    """
    ids = [grant.grant_id for grant in desired.grants]
    ended = await enforcer.sync(ids)
    for grant in desired.grants:
        try:
            applied = await enforcer.apply(grant)
        except EnforcerRefused as e:
            log.warning("Grant refused: %s revision %d: %s: %s", grant.grant_id, grant.revision, e.enforcer_code, e)
            await reports.outcome(grant.grant_id, Refused(grant.revision, safe(e.enforcer_code), safe(str(e))))
        else:
            await reports.outcome(grant.grant_id, applied)
    # A grant that the enforcer had refused to end, or that came to life meanwhile, is not left to the next change.
    ended += await enforcer.sync(ids)
    await reports.settled(ids)
    log.info("Desired state %d settled: %d grants, %d ended", desired.generation, len(ids), len(ended))
