"""Time moves of a process between two cgroups, with pauses as between two commands of a person.

Runs as root under the host's own python3: {"runs": N} → {"seconds": [...]}.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

PAUSE_S = 0.1
ROOMS = [Path("/sys/fs/cgroup/bench-a"), Path("/sys/fs/cgroup/bench-b")]


def main() -> None:
    for line in sys.stdin:
        print(json.dumps({"seconds": moves(json.loads(line)["runs"])}), flush=True)


def moves(runs: int) -> list[float]:
    for room in ROOMS:
        room.mkdir(exist_ok=True)
    guest = subprocess.Popen(["sleep", "infinity"])
    try:
        return [move(guest.pid, ROOMS[number % 2]) for number in range(runs)]
    finally:
        guest.kill()
        guest.wait()
        for room in ROOMS:
            room.rmdir()


def move(pid: int, room: Path) -> float:
    time.sleep(PAUSE_S)
    start = time.perf_counter()
    fd = os.open(room / "cgroup.procs", os.O_WRONLY)
    os.write(fd, str(pid).encode())
    os.close(fd)
    return time.perf_counter() - start


main()
