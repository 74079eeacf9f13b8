"""What is so on a lab host, by the kernel's word alone: the process table, cgroup files and folders (S1, S2).

Run as root: `watch GRANT MARK EARLIEST LATEST` waits and tells when rule and marked processes went; `look` tells what
there is now.  It asks nothing of jit and imports nothing of it.  Times are seconds of CLOCK_MONOTONIC.
"""

import json
import os
import select
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final

RULES: Final = Path("/run/jit/sudoers.d")
MARKERS: Final = Path("/run/jit/active")
TICKETS: Final = Path("/run/sudo/ts")
CGROUPS: Final = Path("/sys/fs/cgroup")
PAUSE_MS: Final = 4
# A record of sudo's time stamp file: version, length, kind, flags, and more that is no matter here.
RECORD: Final = struct.Struct("=HHHH")
LOCK: Final = 4
DISABLED: Final = 1


def now() -> float:
    return time.monotonic()


def words_of(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def marked(mark: str) -> list[int]:
    """The processes that carry the mark on their command line, we are not one of them."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [pid for pid in pids if pid != os.getpid() and f"{mark}-" in words_of(pid)]


def watch(grant: str, mark: str, earliest: float, latest: float) -> dict[str, Any]:
    """Follow the marked processes by pidfd and the rule by its size; a first line says: begun.

    Ends once all are dead after `earliest`, or at `latest`.
    """
    poll = select.poll()
    held: dict[int, int] = {}
    died: dict[int, float] = {}
    for pid in marked(mark):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        held[fd] = pid
        poll.register(fd, select.POLLIN)
    print(json.dumps(sorted(held.values())), flush=True)
    rule_gone: float | None = None
    while now() < latest and not (now() > earliest and len(died) == len(held)):
        for fd, _ in poll.poll(PAUSE_MS):
            died[held[fd]] = now()
            poll.unregister(fd)
        if rule_gone is None and not size(RULES / grant):
            rule_gone = now()
    return {"died": died, "rule_gone": rule_gone, "left": marked(mark)}


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def look() -> dict[str, Any]:
    """Every trace a grant can have on the host: rules and hints that say something, tickets, processes in scopes."""
    scopes = {}
    for folder, _, _ in os.walk(CGROUPS):
        if "/jit-gnt-" in folder:
            try:
                pids = [int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()]
            except OSError:  # removed while we look
                continue
            commands = [words for pid in pids if not (words := words_of(pid)).startswith("jit-placeholder ")]
            if commands:
                scopes[folder.removeprefix(str(CGROUPS))] = commands
    return {
        "rules": names(RULES),
        "markers": names(MARKERS),
        "tickets": [path.name for path in TICKETS.iterdir() if holds_ticket(path)] if TICKETS.is_dir() else [],
        "scopes": scopes,
    }


def holds_ticket(path: Path) -> bool:
    """True if sudo remembers a password there; it also keeps a mere lock in the file of everybody who asks."""
    content = path.read_bytes()
    while len(content) >= RECORD.size:
        _, length, kind, flags = RECORD.unpack_from(content)
        if kind != LOCK and not flags & DISABLED:
            return True
        content = content[max(length, RECORD.size) :]
    return False


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if size(path)] if folder.is_dir() else []


def main() -> None:
    match sys.argv[1:]:
        case ["watch", grant, mark, earliest, latest]:
            print(json.dumps(watch(grant, mark, float(earliest), float(latest))))
        case ["look"]:
            print(json.dumps(look()))
        case unknown:
            raise SystemExit(f"witness.py: not {unknown}")


if __name__ == "__main__":
    main()
