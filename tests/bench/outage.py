"""Recordings that waited on the host for a server that was away: how fast they go up, and what the agent holds then."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench import witnesses
from bench.rows import Row, Target, Unmeasurable, single
from bench.witnesses import HOST, OURS
from jit_testing.lab import Lab

RECORDINGS = "/var/lib/jit-agent/recordings"
_MEMORY = Target("value", 150)
_LONGEST_S = 900.0


def waiting(lab: Lab) -> int:
    """Bytes of recordings on the host; du complains about what goes while it looks."""
    return int(lab.exec(HOST, "du", "-sb", RECORDINGS).stdout.split()[0])


def sealed(lab: Lab) -> int:
    """The same once all of it is chunks: until then segments of 4 MiB count, full or not."""
    lab.run(HOST, "sh", "-c", f"while find {RECORDINGS} -name '*.raw' | grep -q .; do sleep 0.05; done", timeout_s=120)
    return waiting(lab)


def settle(lab: Lab, below: int = 1_000_000) -> None:
    """Until what waited is at the server; `below`: bytes that may be left, folders among them."""
    give_up = time.monotonic() + _LONGEST_S
    while waiting(lab) > below:
        if time.monotonic() > give_up:
            raise Unmeasurable(f"after {_LONGEST_S:.0f} s {waiting(lab)} bytes of recordings still wait")
        time.sleep(0.2)


def measure(lab: Lab, big: str, gigabytes: float) -> Iterator[Row]:
    """The big file is recorded with the cable cut until so much waits, then the cable is healed."""
    settle(lab)
    lab.cut(HOST)
    try:
        while waiting(lab) < gigabytes * 1_000_000_000:
            lab.run(HOST, "sh", "-c", f"sudo -n cat {big} >/dev/null", user=OURS, timeout_s=120)
        size = sealed(lab)
        witnesses.restart_agent(lab)
        memory = witnesses.peak_mb(lab)
        yield single(f"  agent: most memory at its start, {size / 1e9:.1f} GB wait", memory, "MB", _MEMORY)
        witnesses.forget_peak(lab)
    finally:
        lab.heal(HOST)
    while waiting(lab) == size:
        time.sleep(0.05)
    start = time.monotonic()
    settle(lab)
    took = time.monotonic() - start
    yield single("upload after an outage", size / took / 1_000_000, "MB/s")
    yield single("  agent: most memory while it uploads", witnesses.peak_mb(lab), "MB", _MEMORY)
