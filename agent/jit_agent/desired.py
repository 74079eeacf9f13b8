"""Level-triggered desired state (SPEC 5.2): whatever came before, after `settle` the host's live set is the set.

Applying twice is harmless, so nothing is remembered between two calls and every doubt is settled by doing it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from jit_agent.errors import EnforcerRefused
from jit_agent.model import DesiredState, SignedGrant
from jit_agent.ports import Enforcer
from jit_agent.report_model import Refused
from jit_agent.reports import Reports
from jit_agent.text import safe

log = logging.getLogger(__name__)


async def settle(
    desired: DesiredState,
    enforcer: Enforcer,
    reports: Reports,
    *,
    everything: bool,
    superseded: Callable[[], bool],
    applied: Callable[[], None],
) -> bool:
    """Bring the host to exactly this set; each grant is then applied or refused, and that is durable.

    Rights are taken away first: a set that also adds must not keep an old right alive for as long as adding takes (S1).
    Then comes what is not in force in this revision, or `everything`, which mends a rule or scope that somebody took
    away.  A grant that the enforcer refuses stops no other.  `applied` is called after each.

    Returns False, with nothing settled, as soon as this set is `superseded`: the newer one may take away more.  Raises
    `Unavailable` when enforcer or spool do not answer; the caller settles again.
    """
    ids = [grant.grant_id for grant in desired.grants]
    ended = await enforcer.sync(ids)
    live = await _live(enforcer) if ids and not everything else {}
    new = [grant for grant in desired.grants if live.get(grant.grant_id) != grant.revision]
    for grant in new:
        if superseded():
            return False
        await _apply(grant, enforcer, reports)
        applied()
    # A grant that the enforcer had refused to end, or that came to life meanwhile, is not left to the next change.
    ended += await enforcer.sync(ids)
    await reports.settled(ids)
    if new or ended:
        log.info("Desired state %d settled: %d applied, %d ended", desired.generation, len(new), len(ended))
    return True


async def _live(enforcer: Enforcer) -> dict[str, int]:
    """Revisions by grant; none when there are more grants than one answer tells, which only costs time."""
    try:
        return {grant.grant_id: grant.revision for grant in (await enforcer.status()).live}
    except EnforcerRefused:
        return {}


async def _apply(grant: SignedGrant, enforcer: Enforcer, reports: Reports) -> None:
    try:
        applied = await enforcer.apply(grant)
    except EnforcerRefused as e:
        log.warning("Grant refused: %s revision %d: %s: %s", grant.grant_id, grant.revision, e.enforcer_code, e)
        await reports.outcome(grant.grant_id, Refused(grant.revision, safe(e.enforcer_code), safe(str(e))))
    else:
        await reports.outcome(grant.grant_id, applied)
