"""What recording adds to a keystroke's echo when many people type at once, and what that takes of the agent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import witnesses
from bench.rows import Row, Target, distribution, percentile, single
from bench.witnesses import HOST, NOBODY, OURS, PLAIN
from jit_testing.lab import Lab
from jit_testing.remote import Remote

SESSIONS = 50
KEYS = 60
PAUSE_S = 0.2
ROUNDS = 2
_ADDED = Target("value", 5)


def measure(lab: Lab) -> Iterator[Row]:
    """Each recorder in turn, more than once; all delays of one are taken together."""
    seconds: dict[str, list[float]] = {NOBODY: [], PLAIN: [], OURS: []}
    cpu = took = 0.0
    witnesses.forget_peak(lab)
    with Remote(lab, HOST, Path(__file__).with_name("typists.py")) as typists:
        for _ in range(ROUNDS):
            for person in (NOBODY, PLAIN, OURS):
                before, start = witnesses.agent_cpu_s(lab), time.monotonic()
                asked = {"words": ["sudo", "-n", "cat"], "sessions": SESSIONS, "keys": KEYS, "pause_s": PAUSE_S}
                seconds[person] += typists.ask(person=person, **asked)["seconds"]
                if person == OURS:
                    cpu += witnesses.agent_cpu_s(lab) - before
                    took += time.monotonic() - start
    delays = {person: [1000 * one for one in samples] for person, samples in seconds.items()}
    yield distribution(f"echo of a key, {SESSIONS} typing, not recorded", delays[NOBODY], "ms")
    yield distribution(f"echo of a key, {SESSIONS} typing, sudo_logsrvd", delays[PLAIN], "ms")
    yield distribution(f"echo of a key, {SESSIONS} typing, jit", delays[OURS], "ms")
    added = percentile(delays[OURS], 0.99) - percentile(delays[NOBODY], 0.99)
    yield single("  added by jit to the p99", added, "ms", _ADDED)
    yield single(f"  agent: of one core, {SESSIONS} typing", 100 * cpu / took, "%")
    yield single(f"  agent: most memory, {SESSIONS} typing", witnesses.peak_mb(lab), "MB")
