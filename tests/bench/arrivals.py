"""Say when rule, scope and marker of the next grant arrived on the host where this runs, and let sudo prove it.

Runs as root under the host's own python3, and begins when no footprint is under way any more: grants do not follow each
other at once.  {"person": NAME, "slice": FOLDER} → {"watching": true} at once, so that the
approval can be given; then one more line: when rule, scope and marker were in place, in µs UTC, and the status of a
`sudo -n true` started as soon as all three were.
The kernel tells of changes by itself (inotify(7)): nothing here runs until there is something to see.
"""

import ctypes
import json
import os
import pwd
import select
import struct
import subprocess
import sys
import time

RULES = "/run/jit/sudoers.d"
MARKERS = "/run/jit/active"
FOOTPRINTS = r"/sys/fs/cgroup/system.slice/system-jit\x2dfootprint.slice/cgroup.events"
EVENT = struct.Struct("iIII")
IN_MOVED_TO, IN_CREATE = 0x80, 0x100
GIVE_UP_S = 30.0

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(watch(asked["person"], asked["slice"])), flush=True)


def watch(person: str, slice_: str) -> dict[str, object]:
    calm()
    fd = libc.inotify_init1(os.O_CLOEXEC)
    try:
        kinds = {
            add(fd, RULES, IN_MOVED_TO): ("rule", "gnt-"),
            add(fd, slice_, IN_CREATE): ("scope", "jit-gnt-"),
            add(fd, MARKERS, IN_MOVED_TO): ("marker", person),
        }
        print(json.dumps({"watching": True}), flush=True)
        seen: dict[str, object] = {}
        give_up = time.monotonic() + GIVE_UP_S
        while len(seen) < len(kinds):
            if not select.select([fd], [], [], max(0.0, give_up - time.monotonic()))[0]:
                return {"failed": f"only {sorted(seen)} came"}
            now = time.time_ns() // 1000
            for which, name in events(os.read(fd, 65_536)):
                kind, prefix = kinds[which]
                if name.startswith(prefix):
                    seen.setdefault(kind, now)
        return seen | {"sudo": sudo(person)}
    finally:
        os.close(fd)


def calm() -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        try:
            with open(FOOTPRINTS, encoding="ascii") as file:
                if "populated 0" in file.read():
                    return
        except FileNotFoundError:
            return
        time.sleep(0.02)


def add(fd: int, folder: str, mask: int) -> int:
    which = libc.inotify_add_watch(fd, folder.encode(), mask)
    if which < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
    return int(which)


def events(read: bytes) -> list[tuple[int, str]]:
    found, at = [], 0
    while at < len(read):
        which, _, _, length = EVENT.unpack_from(read, at)
        at += EVENT.size
        found.append((which, read[at : at + length].rstrip(b"\0").decode()))
        at += length
    return found


def sudo(person: str) -> int:
    uid = pwd.getpwnam(person).pw_uid
    done = subprocess.run(["sudo", "-n", "true"], user=uid, group=uid, extra_groups=[], check=False, env={})
    return done.returncode


main()
