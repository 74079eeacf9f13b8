"""The processes of a host are those of its cgroup.

No process id is ever written down: what is in the cgroup is ours, so a lab that was killed is found again, and a
process that merely got the number of one of ours is never touched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from lab.process import LabError


def members(cgroup: Path) -> list[int]:
    """Process ids in `cgroup` and below."""
    pids: list[int] = []
    # os.walk, because a cgroup may go away while we look and that is no error.
    for folder, _, _ in os.walk(cgroup):
        with contextlib.suppress(OSError):
            pids += [int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()]
    return sorted(set(pids))


def leader(cgroup: Path) -> int:
    """The host's PID 1 as seen from here; raise `LabError` if the host is not running."""
    for pid in members(cgroup / "payload" / "init.scope"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("NSpid:") and line.split()[-1] == "1":
                    return pid
    raise LabError(f"host {cgroup.name} is not running; see: lab status")


def kill(cgroup: Path) -> None:
    """Kill everything in `cgroup` and remove it; return when it is gone."""
    deadline = time.monotonic() + 10
    while cgroup.exists():
        with contextlib.suppress(OSError):
            (cgroup / "cgroup.kill").write_text("1")
        if not members(cgroup):
            _remove(cgroup)
        if time.monotonic() > deadline:
            raise LabError(f"processes {members(cgroup)} in {cgroup} do not end")
        time.sleep(0.02)


def halt(pid: int) -> None:
    """Ask a host's PID 1 to power off at once."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGRTMIN + 4)


def _remove(cgroup: Path) -> None:
    for folder, _, _ in os.walk(cgroup, topdown=False):
        # Busy for an instant after the last process ended: the caller tries again.
        with contextlib.suppress(OSError):
            os.rmdir(folder)
