"""What sudo costs under a grant: in turns with plain sudo on the same host, with more and more grants of others.

Plain sudo is bob's, by a rule of the host's own and without any grant: jit has no part in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import crowd
from bench.rows import Row, Target, compared, distribution
from jit_testing.lab import Lab
from jit_testing.remote import Hands, Remote

HOST = "web1"
OTHERS = (0, 10, 100)
LASTS_S = 3600
_SETTLE_S = 1
"""Until what was asked for before has been written down and sent."""
_PLAIN = "/etc/sudoers.d/plain-bob"
_SUDO_LIMIT = Target("ratio", 1.3)
_JIT_LIMIT = Target("ratio", 1.5)


def measure(lab: Lab, hands: Hands, runs: int, note: str = "") -> Iterator[Row]:
    """Ends with nobody having a grant."""
    lab.run(HOST, "sh", "-c", f"echo 'bob ALL=(root) NOPASSWD: /usr/bin/true' >{_PLAIN}; chmod 440 {_PLAIN}")
    crowd.take(hands, "alice", lasts_s=LASTS_S)
    with Remote(lab, HOST, Path(__file__).with_name("pairs.py")) as pairs:
        have = 0
        for others in OTHERS:
            for person in crowd.PEOPLE[have:others]:
                crowd.take(hands, person, lasts_s=LASTS_S)
            have = others
            time.sleep(_SETTLE_S)
            yield _pair(pairs, runs, f"sudo, {others} grants of others{note}", ["sudo", "-n", "true"], _SUDO_LIMIT)
        yield _pair(pairs, runs, f"jit sudo, {have} grants of others{note}", ["jit", "sudo", "true"], _JIT_LIMIT)
        crowd.disperse(hands)
        time.sleep(_SETTLE_S)
        yield _pair(pairs, runs, f"jit sudo, 0 grants of others{note}", ["jit", "sudo", "true"], _JIT_LIMIT)
        lab.cut(HOST)
        try:
            yield _pair(pairs, runs, f"sudo, network cable cut{note}", ["sudo", "-n", "true"], _SUDO_LIMIT)
            yield _pair(pairs, runs, f"jit sudo, network cable cut{note}", ["jit", "sudo", "true"], _JIT_LIMIT)
        finally:
            lab.heal(HOST)
    crowd.drop(hands, "alice")


def moves(lab: Lab, runs: int, note: str = "") -> Row:
    """What the kernel takes for the one thing of the gate that is its own: moving a process into another cgroup."""
    with Remote(lab, HOST, Path(__file__).with_name("moves.py")) as mover:
        seconds = mover.ask(runs=runs)["seconds"]
    return distribution(f"kernel: a process into another cgroup{note}", [1000 * one for one in seconds], "ms")


def _pair(pairs: Remote, runs: int, name: str, words: list[str], target: Target) -> Row:
    """Of a person with a grant, against plain sudo."""
    times = pairs.ask(runs=runs, commands=[("alice", words), ("bob", ["sudo", "-n", "true"])])["seconds"]
    ours, theirs = ([1000 * second for second in column] for column in times)
    return compared(name, ours, theirs, "ms", target)
