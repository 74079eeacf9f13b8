"""The machine's cgroup2 hierarchy mounted with `favordynmods`, for as long as it is measured.

Without it the kernel makes a process that changes cgroup wait for an RCU grace period (cgroups(7) calls the option one
for frequent changes); with it every fork on the machine pays a little instead.  The option is the whole machine's, so
it is set on request only, and set back.  Kernels from 6.18 keep part of the gain until the next boot whatever is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.places import cgroup_root
from lab.process import run


@contextlib.contextmanager
def favoured() -> Iterator[None]:
    """Raises `LabError` if the kernel does not know the option."""
    place = str(cgroup_root())
    kept = _options(place)
    if "favordynmods" in kept.split(","):
        yield
        return
    run(["mount", "-o", "remount,favordynmods", place])
    try:
        yield
    finally:
        # The old options alone: mount(8) would merge them with those in force, and there is no word for "not".
        run(["mount", "--options-mode", "ignore", "-t", "cgroup2", "-o", f"remount,{kept}", "cgroup2", place])


def _options(place: str) -> str:
    with open("/proc/mounts", encoding="utf-8") as mounts:
        return next(line.split()[3] for line in mounts if line.split()[1] == place)
