"""From an approval to a grant that can be used on its host.

The clock starts when the approver's client sends the approval, and again when the server's answer is there; it stops
when the last of rule, scope and fast-path marker is in place.  A `sudo -n true` started at that instant has to succeed,
each time.  All clocks are one kernel's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from bench import crowd
from bench.rows import Row, Target, Unmeasurable, distribution
from jit_testing.lab import Lab
from jit_testing.remote import Desk, Hands, Remote

HOST = "web1"
PERSON = "alice"
APPROVER = "carol"
_LIMITS = (Target("p50", 15), Target("p99", 100))
_SLICE = "/sys/fs/cgroup/user.slice/user-1001.slice"


def measure(lab: Lab, hands: Hands, grants: int) -> Iterator[Row]:
    """Alice is logged in all the while, as a person at work is: her scopes are then in her own slice."""
    shell = lab.terminal(HOST, "bash", "--norc", user=PERSON)
    usable, answered = [], []
    parts: dict[str, list[float]] = {"rule": [], "scope": [], "marker": []}
    grants_seen = set()
    with Desk(lab, APPROVER) as desk, Remote(lab, HOST, Path(__file__).with_name("arrivals.py")) as watcher:
        for _ in range(grants):
            request = crowd.ask(hands, PERSON, role="drill-admin", lasts_s=600)
            watcher.ask(person=PERSON, slice=_SLICE)
            decided = desk.call("approve", request, "")
            seen = watcher.receive()
            if seen["sudo"] != 0:
                raise Unmeasurable("rule, scope and marker were in place, and sudo was refused")
            grants_seen.add(crowd.live(hands, PERSON)[-1].grant)
            crowd.drop(hands, PERSON)
            for part, times in parts.items():
                times.append((seen[part] - decided["sent"]) / 1000)
            usable.append(max(times[-1] for times in parts.values()))
            answered.append(usable[-1] - (decided["returned"] - decided["sent"]) / 1000)
    shell.close(force=True)
    yield distribution("approve → usable, from the approval sent", usable, "ms", *_LIMITS)
    yield distribution("approve → usable, from the server's answer", answered, "ms", *_LIMITS)
    for part, times in parts.items():
        yield distribution(f"  of it: sent → {part} in place", times, "ms")
    yield distribution("approve → the server shows it as active", _confirmed(lab, grants_seen), "ms", *_LIMITS)


def _confirmed(lab: Lab, grants: set[str]) -> list[float]:
    """By the audit log's own times: from the approval's to the host's confirmation."""
    at: dict[tuple[str, str], datetime] = {}
    for kind in ("grant.issued", "grant.active"):
        lines = lab.jitctl("audit", "ls", "--kind", kind, "-n", "1000", "-o", "jsonl", user="dave").splitlines()
        for event in map(json.loads, lines):
            at[event["grant_id"], kind] = datetime.fromisoformat(event["at"])
    return [(at[one, "grant.active"] - at[one, "grant.issued"]) / timedelta(milliseconds=1) for one in grants]
