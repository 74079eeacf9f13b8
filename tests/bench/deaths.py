"""Start programs under grants on the host where this runs, and say when the last of each grant's processes died.

Runs as root under the host's own python3:
{"do": "start", "person": NAME, "processes": N} runs `sudo -n` with N programs that take no hint (TERM, HUP, INT), in
sessions of their own, so that they outlive sudo too; answers how many processes the grant's scope then has, sudo and
the shell among them and the placeholder not;
{"do": "await", "until": SECONDS} → {"died": {PERSON: µs UTC}, "alive": {PERSON: N}}, what was started being forgotten.
Every process is held by a pidfd and the kernel tells of its end, to the microsecond: nobody looks every few
milliseconds, and nothing runs here until there is something to see.
"""

import json
import os
import pwd
import resource
import select
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = b"sleep\x00100000\x00"
PLACEHOLDER = b"jit-placeholder\x00"
STUBBORN = """
trap '' TERM HUP INT
n=0
while [ $n -lt {processes} ]; do setsid sleep 100000 & n=$((n+1)); done
wait
"""
START_S = 30.0

held: dict[int, str] = {}
"""pidfd → whose."""


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for line in sys.stdin:
        asked = json.loads(line)
        answer = start(asked["person"], asked["processes"]) if asked["do"] == "start" else await_(asked["until"])
        print(json.dumps(answer), flush=True)


def start(person: str, processes: int) -> dict[str, object]:
    uid = pwd.getpwnam(person).pw_uid
    sudo = subprocess.Popen(
        ["sudo", "-n", "sh", "-c", STUBBORN.format(processes=processes)], user=uid, group=uid, extra_groups=[],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}, cwd="/",
    )  # fmt: skip
    give_up = time.monotonic() + START_S
    while True:
        lines = {pid: line for pid in scope_of(sudo.pid) if (line := command_line(pid))}
        if sum(line == PROGRAM for line in lines.values()) == processes:
            break
        if sudo.poll() is not None or time.monotonic() > give_up:
            return {"failed": f"{person}: the programs do not start (sudo: {sudo.returncode})"}
        time.sleep(0.005)
    pids = [pid for pid, line in lines.items() if not line.startswith(PLACEHOLDER)]
    for pid in pids:
        held[os.pidfd_open(pid)] = person
    return {"processes": len(pids)}


def await_(until: float) -> dict[str, object]:
    poll = select.poll()
    for fd in held:
        poll.register(fd, select.POLLIN)
    died: dict[str, int] = {}
    while held and (left := until - time.time()) > 0:
        for fd, _ in poll.poll(left * 1000):
            died[held.pop(fd)] = time.time_ns() // 1000
            poll.unregister(fd)
            os.close(fd)
    alive: dict[str, int] = {}
    for fd, person in held.items():
        alive[person] = alive.get(person, 0) + 1
        os.close(fd)
    held.clear()
    return {"died": died, "alive": alive}


def scope_of(pid: int) -> list[int]:
    try:
        inside = Path(f"/proc/{pid}/cgroup").read_text().split("::", 1)[1].strip()
        if "/jit-gnt-" not in inside:
            return []
        return [int(one) for one in Path(f"/sys/fs/cgroup{inside}/cgroup.procs").read_text().split()]
    except OSError:
        return []


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


main()
