"""Sudo processes of a person that slipped past the gate while a grant lived (REVIEW 12, S2, S4).

A compromised agent could let sudo start outside every scope.  When a grant ends, such a sudo and what it started are
killed: only sudo itself, only if that very person started it after the grant began and before its rule was gone, and
never what the host's own rules were allowed to run.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jit_enforcer import processes
from jit_enforcer.paths import Paths

_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Span:
    """`since_us` and `until_us` are on CLOCK_BOOTTIME, like the starts in /proc; `spared` holds pids and starts."""

    since_us: int
    until_us: int
    spared: frozenset[tuple[int, int]]

    def holds(self, sudo: processes.Sudo) -> bool:
        return processes.ticks(self.since_us) <= sudo.start <= processes.ticks(self.until_us)


def kill(paths: Paths, spans: Mapping[int, Span], in_live_scope: Callable[[int], bool]) -> dict[int, int]:
    """Kill for all these people, by uid, until none is left; returns how many died of each.

    Where some are left the uid is missing.  A sudo with a terminal works through a child that is a sudo too: it is
    spared with its parent.
    """
    killed: dict[int, set[tuple[int, int]]] = {uid: set() for uid in spans}
    left = _outside(paths, spans, in_live_scope)
    for _ in range(_ROUNDS):
        if not left:
            break
        family = processes.family(paths)
        for uid, roots in left.items():
            for pid, start in roots:  # first, so that nothing is started anew
                below = [(child, family[child][0]) for child in processes.below(pid, family)]
                killed[uid] |= {one for one in ((pid, start), *below) if processes.kill(paths, *one)}
        time.sleep(0.001)
        left = _outside(paths, spans, in_live_scope)
    return {uid: len(found) for uid, found in killed.items() if uid not in left}


def _outside(
    paths: Paths, spans: Mapping[int, Span], in_live_scope: Callable[[int], bool]
) -> dict[int, list[tuple[int, int]]]:
    try:
        binary = processes.sudo_binary()
    except FileNotFoundError:  # removed: then none of them can be told from other programs
        return {}
    pids = processes.all_pids(paths) if spans else []
    found = [sudo for pid in pids if (sudo := processes.inspect(paths, pid, binary))]
    left: dict[int, list[tuple[int, int]]] = {}
    for uid, span in spans.items():
        own = [sudo for sudo in found if sudo.uid == uid]
        free = {sudo.pid for sudo in own if not span.holds(sudo) or (sudo.pid, sudo.start) in span.spared}
        for sudo in own:
            if not {sudo.pid, sudo.parent} & free and not in_live_scope(sudo.pid):
                left.setdefault(uid, []).append((sudo.pid, sudo.start))
    return left
