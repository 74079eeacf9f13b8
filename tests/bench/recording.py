"""What recording costs: how fast output passes, what a small command takes, and what the agent holds meanwhile.

Output is `sudo cat` of a big file into /dev/null: sudo reads it through a pipe and sends it to whoever records.  The
cable is cut meanwhile, so that what is measured is recording and not uploading, which sudo's own server does not do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import keystrokes, outage, witnesses
from bench.rows import Row, Target, compared, single
from bench.witnesses import COMPRESSED, HOST, NOBODY, OURS, PLAIN
from jit_testing.lab import Lab
from jit_testing.remote import Hands, Remote

BIG = "/var/tmp/bench-big"
MEGABYTES = 500
ROUNDS = 5
_RAW = Target("ratio", 0.9, at_least=True)
_PACKED = Target("ratio", 5, at_least=True)
_MEMORY = Target("value", 100)
WARM_UP = 3
"""Rounds of pairs.py before the first that counts; they are recorded as well."""


def measure(lab: Lab, hands: Hands, runs: int, waiting_gb: float) -> Iterator[Row]:
    """Ends with nobody having a grant, and with nothing waiting on the host."""
    with witnesses.recording(lab, hands):
        yield from _small(lab, runs)
        yield from keystrokes.measure(lab)
        fill(lab, MEGABYTES, "words")
        with witnesses.agent_told(lab, **{witnesses.COMPRESSION: "false"}):
            yield from _output(lab, "as it is", PLAIN, _RAW)
        yield from _output(lab, "compressed", COMPRESSED, _PACKED)
        fill(lab, MEGABYTES, "noise")
        yield from _output(lab, "compressed, noise", COMPRESSED)
        yield from outage.measure(lab, BIG, waiting_gb)


def fill(lab: Lab, megabytes: int, kind: str) -> None:
    """A new big file on the host, read once so that no disk is measured."""
    script = "/usr/local/lib/jit-tests/fill.py"
    lab.put(HOST, Path(__file__).with_name("fill.py"), script)
    lab.run(HOST, "python3", "-I", "-S", script, BIG, str(megabytes), kind, timeout_s=300)
    lab.run(HOST, "sh", "-c", f"cat {BIG} >/dev/null")


def _small(lab: Lab, runs: int) -> Iterator[Row]:
    """The same command recorded by us, by sudo's own server and by nobody, in turns."""
    true = ["sudo", "-n", "true"]
    ours, theirs, plain = _times(lab, runs, [(OURS, true), (PLAIN, true), (NOBODY, true)])
    yield compared("sudo true, recorded by sudo_logsrvd, to unrecorded", _ms(theirs), _ms(plain), "ms")
    yield compared("sudo true, recorded by jit under a grant, to unrecorded", _ms(ours), _ms(plain), "ms")
    yield compared("sudo true, recorded by jit, to sudo_logsrvd", _ms(ours), _ms(theirs), "ms")


def _output(lab: Lab, how: str, other: str, *targets: Target) -> Iterator[Row]:
    cat = ["sudo", "-n", "cat", BIG]
    outage.settle(lab)
    before = outage.waiting(lab)
    witnesses.forget_peak(lab)
    cpu = witnesses.agent_cpu_s(lab)
    lab.cut(HOST)
    try:
        ours, theirs = _times(lab, ROUNDS, [(OURS, cat), (other, cat)])
        took = len(ours) + WARM_UP
        kept = (outage.sealed(lab) - before) / took / 1_000_000
        cpu = witnesses.agent_cpu_s(lab) - cpu
        memory = witnesses.peak_mb(lab)
    finally:
        lab.heal(HOST)
    yield compared(
        f"sudo cat of {MEGABYTES} MB, {how}, to sudo_logsrvd", _rates(ours), _rates(theirs), "MB/s", *targets
    )
    yield single(f"  agent: most memory, {how}", memory, "MB", _MEMORY)
    yield single(f"  agent: CPU for {MEGABYTES} MB, {how}", cpu / took, "s")
    their_kept = witnesses.stored_bytes(lab, other) / took / 1_000_000
    yield single(f"  stored of {MEGABYTES} MB, {how}, to sudo_logsrvd", kept, "MB", baseline=their_kept)


def _times(lab: Lab, runs: int, commands: list[tuple[str, list[str]]]) -> list[list[float]]:
    with Remote(lab, HOST, Path(__file__).with_name("pairs.py")) as pairs:
        time.sleep(1)
        pairs.send(runs=runs, commands=commands)
        return [list(column) for column in pairs.receive(timeout_s=900)["seconds"]]


def _ms(seconds: list[float]) -> list[float]:
    return [1000 * one for one in seconds]


def _rates(seconds: list[float]) -> list[float]:
    return [MEGABYTES / one for one in seconds]
