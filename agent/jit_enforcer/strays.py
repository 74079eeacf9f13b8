"""Sudo processes of a person that slipped past the gate while a grant lived (REVIEW 12, S2, S4).

A compromised agent could let sudo start outside every scope.  When a grant ends, such a sudo and what it started are
killed: only sudo itself, only if that very person started it after the grant began, and never what the host's own
rules were allowed to run.
"""

import contextlib
import time
from collections.abc import Callable, Collection

from jit_enforcer import processes
from jit_enforcer.errors import Unsafe
from jit_enforcer.paths import Paths

_ROUNDS = 100


def kill(
    paths: Paths, *, uid: int, since_us: int, spared: Collection[tuple[int, int]], in_live_scope: Callable[[int], bool]
) -> int:
    """Kill until none is left; returns how many were killed.  Raises `Unsafe` if new ones keep coming.

    `since_us` is on CLOCK_BOOTTIME, which is what /proc counts starts in.  A sudo with a terminal works through a child
    that is a sudo too: it is spared with its parent.
    """
    killed: set[tuple[int, int]] = set()
    since = since_us * processes.TICKS_PER_S // 1_000_000
    for _ in range(_ROUNDS):
        own = [sudo for sudo in _all(paths) if sudo.uid == uid]
        free = {sudo.pid for sudo in own if sudo.start < since or (sudo.pid, sudo.start) in spared}
        left = [
            (sudo.pid, sudo.start) for sudo in own if not {sudo.pid, sudo.parent} & free and not in_live_scope(sudo.pid)
        ]
        if not left:
            return len(killed)
        for pid, start in _descendants(paths, left):
            if _kill(paths, pid, start):
                killed.add((pid, start))
        time.sleep(0.001)
    raise Unsafe("sudo processes outside every scope do not go away")


def _all(paths: Paths) -> list[processes.Sudo]:
    binary = processes.sudo_binary()
    return [sudo for pid in processes.all_pids(paths) if (sudo := processes.inspect(paths, pid, binary))]


def _descendants(paths: Paths, roots: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The roots and everything below them, roots first, so that nothing is started anew."""
    children: dict[int, list[tuple[int, int]]] = {}
    for pid in processes.all_pids(paths):
        with contextlib.suppress(OSError, ValueError):  # it ended while we looked
            start, parent = processes.start_and_parent(paths, pid)
            children.setdefault(parent, []).append((pid, start))
    found = list(roots)
    for pid, _ in found:
        found += children.get(pid, [])
    return found


def _kill(paths: Paths, pid: int, start: int) -> bool:
    try:
        with processes.held(pid) as pidfd:
            if processes.start_and_parent(paths, pid)[0] != start:
                return False
            processes.kill(pidfd)
    except (OSError, ValueError):  # gone
        return False
    return True
