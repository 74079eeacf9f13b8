"""From T to the death of the last elevated process, negative where that came before T (SPEC 3.5 plans for it).

With everything alive, and with agent and enforcer killed before T and kept dead, so that PID 1 alone is left.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import crowd
from bench.rows import Row, Target, Unmeasurable, distribution
from jit_testing.lab import Lab
from jit_testing.remote import Hands, Remote

HOST = "web1"
SIZES = (1, 10, 100)
AT_ONCE = 50
_ALIVE = Target("p99", 100)
_DEAD = Target("p99", 2000)
_SERVICES = ("jit-enforcer", "jit-agent")
_MARGIN_S = 6.0
"""Long enough for what is later than any target to be seen."""
_DEATH_S = 5.0
"""How long before the first T the services are killed."""


@dataclass(frozen=True, slots=True)
class Case:
    """`persons` each have a grant and run so many processes under it; the grants last from their start, or to one T."""

    name: str
    persons: Sequence[str]
    processes: int
    lasts_s: int
    same_second: bool = False


def measure(lab: Lab, hands: Hands, grants: int) -> Iterator[Row]:
    cases = [Case(f"{size} processes", crowd.PEOPLE[:grants], size, lasts_s=20 + grants * size // 60) for size in SIZES]
    together = Case(f"{AT_ONCE} grants in one second", crowd.PEOPLE[:AT_ONCE], 1, lasts_s=45, same_second=True)
    with Remote(lab, HOST, Path(__file__).with_name("deaths.py")) as watcher:
        for case in (*cases, together):
            late = _run(lab, hands, watcher, case, kill=False)
            yield distribution(f"T → last process dead, {case.name}", late, "ms", _ALIVE)
        for case in (*cases, together):
            with _kept_dead(lab):
                late = _run(lab, hands, watcher, case, kill=True)
            yield distribution(f"  agent and enforcer dead, {case.name}", late, "ms", _DEAD)
            crowd.disperse(hands)


def _run(lab: Lab, hands: Hands, watcher: Remote, case: Case, *, kill: bool) -> list[float]:
    """How late each grant's last process died, in ms."""
    ends_in = int(time.time()) + case.lasts_s
    lives = []
    for person in case.persons:
        lasts_s = ends_in - int(time.time()) if case.same_second else case.lasts_s
        lives.append(crowd.take(hands, person, lasts_s=lasts_s))
        watcher.ask(do="start", person=person, processes=case.processes)
    first, last = min(live.not_after for live in lives), max(live.not_after for live in lives)
    if time.time() > first / 1_000_000 - _DEATH_S:
        raise Unmeasurable(f"{case.name}: this machine is too slow to start everything before the first end")
    if kill:
        time.sleep(first / 1_000_000 - _DEATH_S - time.time())
        lab.run(HOST, "systemctl", "kill", "--signal", "KILL", *_SERVICES)
    seen = watcher.ask(do="await", until=last / 1_000_000 + _MARGIN_S)
    if seen["alive"]:
        raise Unmeasurable(f"{case.name}: processes outlived their grants: {seen['alive']}")
    return [(seen["died"][live.person] - live.not_after) / 1000 for live in lives]


@contextlib.contextmanager
def _kept_dead(lab: Lab) -> Iterator[None]:
    """Within this, a service that dies stays dead; afterwards both run as before."""
    for service in _SERVICES:
        folder = f"/run/systemd/system/{service}.service.d"
        lab.run(HOST, "sh", "-c", f"mkdir -p {folder}; printf '[Service]\\nRestart=no\\n' >{folder}/bench.conf")
    lab.run(HOST, "systemctl", "daemon-reload")
    try:
        yield
    finally:
        for service in _SERVICES:
            lab.run(HOST, "rm", "-r", f"/run/systemd/system/{service}.service.d")
        lab.run(HOST, "systemctl", "daemon-reload")
        lab.run(HOST, "systemctl", "reset-failed", *_SERVICES)
        lab.run(HOST, "systemctl", "start", *_SERVICES)
        lab.run(HOST, "sh", "-c", "until systemctl is-active -q jit-enforcer jit-agent; do :; done")
