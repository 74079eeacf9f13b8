"""A folder of cgroup v2: who is in it and below it, and how the kernel stops, freezes and thaws them all at once."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jit_enforcer.errors import Unsafe
from jit_enforcer.paths import Paths

_FREEZE_PATIENCE_S: Final = 1.0


def folders(directory: Path) -> Iterator[Path]:
    """It and all below it."""
    return (Path(folder) for folder, _, _ in os.walk(directory))


def pids(directory: Path) -> list[int]:
    """Of the processes in it, not below it."""
    try:
        return [int(line) for line in (directory / "cgroup.procs").read_text().split()]
    except OSError:  # removed while we look
        return []


def of_process(paths: Paths, pid: int) -> str:
    """Where the process is, as a path below /sys/fs/cgroup that begins with a slash; empty if it is gone."""
    try:
        lines = (paths.proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def enter(directory: Path, pid: int) -> None:
    """Move the process there; its forks follow.  Raises `OSError`."""
    (directory / "cgroup.procs").write_text(f"{pid}\n")


def kill(directory: Path, *, patience_s: float) -> None:
    """Kill everything in it and below, again until the kernel says `populated 0`: one write can miss a fork.

    Raises `Unsafe` if something is left.
    """
    give_up = time.monotonic() + patience_s
    while is_populated(directory):
        begin_to_kill(directory)
        if time.monotonic() > give_up:
            raise Unsafe(f"{directory.name} does not become empty")
        time.sleep(0.001)


def begin_to_kill(directory: Path) -> None:
    """Wait for nothing."""
    with contextlib.suppress(OSError):  # removed under our hands; if not, the deadline of who waits speaks
        (directory / "cgroup.kill").write_text("1")


def is_populated(directory: Path) -> bool:
    """True if a process is in it or below it.  Raises `Unsafe`."""
    return _says(directory, "cgroup.events", "populated 1")


def is_frozen(directory: Path) -> bool:
    """True if it was told to freeze.  Raises `Unsafe`."""
    return _says(directory, "cgroup.freeze", "1")


def set_frozen(directory: Path, *, frozen: bool) -> bool:
    """Tell it; returns whether that was new.  Raises `Unsafe`."""
    if is_frozen(directory) == frozen:
        return False
    try:
        (directory / "cgroup.freeze").write_text("1" if frozen else "0")
    except OSError as e:
        raise Unsafe(f"cannot {'freeze' if frozen else 'thaw'} {directory.name}: {e.strerror}") from e
    return True


def await_frozen(directory: Path) -> None:
    """Return when nothing in it runs any more, after milliseconds.  Raises `Unsafe` after a second."""
    give_up = time.monotonic() + _FREEZE_PATIENCE_S
    while is_populated(directory) and not _says(directory, "cgroup.events", "frozen 1"):
        if time.monotonic() > give_up:
            raise Unsafe(f"{directory.name} does not freeze wholly: the kernel holds one of its processes")
        time.sleep(0.001)


def _says(directory: Path, file: str, text: str) -> bool:
    """False also where there is no such cgroup any more."""
    try:
        return text in (directory / file).read_text().split("\n")
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ENODEV):
            return False
        raise Unsafe(f"cannot read {directory}: {e.strerror}") from e
