"""What the figures were measured on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

from jit_testing.lab import Lab

HOST = "web1"


def describe(lab: Lab) -> dict[str, str]:
    """One line each, for people and for build/bench-machine.json."""

    def said(*words: str) -> str:
        return lab.run(HOST, *words).strip().splitlines()[0]

    cpus = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.findall(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return {
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": f"{len(cpus)} × {cpus[0] if cpus else 'unknown'}",
        "memory": f"{int(memory[0]) / 1_048_576:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f} (1 min)",
        "kernel": os.uname().release,
        "cgroup2": next(words[3] for words in mounts if words[2] == "cgroup2"),
        "host": said("sh", "-c", '. /etc/os-release; echo "$PRETTY_NAME"'),
        "sudo": said("sudo", "--version"),
        "systemd": said("systemctl", "--version"),
        "python": said("python3", "--version"),
        "jit": said("dpkg-query", "--show", "jit-agent").split()[-1],
        "commit": _commit(),
    }


def write(facts: dict[str, str], file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(facts, indent=1) + "\n")


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
