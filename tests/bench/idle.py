"""A host where nothing happens: what agent and enforcer hold in memory, and what they take of a core."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from bench.rows import Row, Target, Unmeasurable, single
from jit_testing.lab import Lab

HOST = "web1"
_MEMORY = {"jit-enforcer": Target("value", 12), "jit-agent": Target("value", 50)}
_CPU = Target("value", 0.1)
_CALM_S = 5


def measure(lab: Lab, idle_s: int) -> Iterator[Row]:
    """Memory is compared with one python3 of the host that does nothing."""
    nothing = "exec python3 -I -S -c 'print(open(\"/proc/self/status\").read())'"
    bare = _resident(lab.run(HOST, "sh", "-c", nothing))
    for service, limit in _MEMORY.items():
        pid = lab.run(HOST, "systemctl", "show", "-P", "MainPID", service).strip()
        resident = _resident(lab.run(HOST, "cat", f"/proc/{pid}/status"))
        yield single(f"{service}: resident memory, against bare python3", resident, "MB", limit, baseline=bare)
    time.sleep(_CALM_S)
    before, start = _used(lab), time.monotonic()
    time.sleep(idle_s)
    took = time.monotonic() - start
    parts = {service: (used - before[service]) / took / 10_000 for service, used in _used(lab).items()}
    for service, part in parts.items():
        yield single(f"  {service}: of one core, idle", part, "%")
    yield single(f"both idle for {took:.0f} s: of one core", sum(parts.values()), "%", _CPU)


def _used(lab: Lab) -> dict[str, int]:
    """Microseconds of CPU, as the kernel's accounting has them."""
    used = {}
    for service in _MEMORY:
        stat = lab.run(HOST, "cat", f"/sys/fs/cgroup/system.slice/{service}.service/cpu.stat")
        used[service] = int(re.findall(r"^usage_usec (\d+)", stat, re.MULTILINE)[0])
    return used


def _resident(status: str) -> float:
    """In MB (10^6)."""
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    if not found:
        raise Unmeasurable("a process has no VmRSS")
    return int(found.group(1)) * 1024 / 1_000_000
