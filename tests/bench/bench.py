"""What jit costs on a booted host, as ratios against plain sudo in the same run.

Prints a table and writes build/bench.json: a list of {"name", "value", "unit", "baseline", "ratio", "n", "p50", "p99"}.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from jit_testing import lab as labs  # noqa: E402
from lab import lifecycle  # noqa: E402

RUNS = 200
PLAIN = "/etc/sudoers.d/plain-bob"


def main() -> None:
    made = labs.up(f"bench-{os.getpid()}", ["server", "web1"], lifecycle.build_packages(12))
    try:
        rows = [*commands(made), *memory(made)]
    finally:
        labs.down(made)
    print(f"{'name':46} {'value':>10} {'unit':5} {'baseline':>10} {'ratio':>6} {'n':>5}")
    for row in rows:
        figures = f"{row['value']:10.2f} {row['unit']:5} {row['baseline']:10.2f} {row['ratio']:6.2f} {row['n']:5}"
        print(f"{row['name']:46} {figures}")
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench.json").write_text(json.dumps(rows, indent=1) + "\n")


def commands(lab: labs.Lab) -> list[dict[str, Any]]:
    """`sudo -n true` of bob by a standing rule without jit, of alice under a grant, and `jit sudo true`."""
    lab.put("web1", Path(__file__).with_name("pairs.py"), "/usr/local/bin/pairs.py")
    lab.run("web1", "sh", "-c", f"echo 'bob ALL=(root) NOPASSWD: /usr/bin/true' >{PLAIN}; chmod 440 {PLAIN}")
    # One process takes turns between two people: root becomes each of them first, which costs both the same.
    alice, bob = ("setpriv --reuid {0} --regid {0} --init-groups env USER={1}".format(*who) for who in PEOPLE)
    grant(lab)
    return [
        compared(lab, "sudo under a grant, against plain sudo", f"{alice} sudo -n true", f"{bob} sudo -n true", "root"),
        compared(lab, "jit sudo, against sudo under the same grant", "jit sudo true", "sudo -n true", "alice"),
    ]


PEOPLE = ((1001, "alice"), (1002, "bob"))


def grant(lab: labs.Lab) -> None:
    asked = lab.exec("web1", "jit", "request", "drill-admin", "-m", "a measurement", "--no-wait", user="alice")
    found = re.search(r"req-[0-9a-z]{16}", asked.stdout + asked.stderr)
    if not found:
        raise SystemExit(f"bench: the request was refused: {asked.stderr}")
    lab.jitctl("requests", "approve", found.group(), user="carol")
    lab.run("web1", "jit", "status", "-w", found.group(), user="alice")


def compared(lab: labs.Lab, name: str, ours: str, baseline: str, user: str) -> dict[str, Any]:
    said = lab.run("web1", "python3", "/usr/local/bin/pairs.py", str(RUNS), ours, baseline, user=user, timeout_s=300)
    mine, theirs = ([1000 * second for second in column] for column in json.loads(said))
    cuts = statistics.quantiles(mine, n=100)
    return {
        "name": name,
        "value": statistics.median(mine),
        "unit": "ms",
        "baseline": statistics.median(theirs),
        # The median of the pairs' ratios: both halves of a pair ran under the same mood of the machine.
        "ratio": statistics.median(a / b for a, b in zip(mine, theirs, strict=True)),
        "n": len(mine),
        "p50": cuts[49],
        "p99": cuts[98],
    }


def memory(lab: labs.Lab) -> list[dict[str, Any]]:
    """Resident memory of the two services, against one python3 that does nothing."""
    idle = "exec python3 -I -S -c 'print(open(\"/proc/self/status\").read())'"
    bare = resident(lab.run("web1", "sh", "-c", idle))
    rows = []
    for unit in ("jit-enforcer", "jit-agent"):
        pid = lab.run("web1", "systemctl", "show", "-P", "MainPID", unit).strip()
        value = resident(lab.run("web1", "cat", f"/proc/{pid}/status"))
        row = {"name": f"{unit}: resident memory, against bare python3", "value": value, "unit": "MB", "baseline": bare}
        rows.append({**row, "ratio": value / bare, "n": 1, "p50": value, "p99": value})
    return rows


def resident(status: str) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    if not found:
        raise SystemExit("bench: a process has no VmRSS")
    return int(found.group(1)) / 1000


if __name__ == "__main__":
    main()
