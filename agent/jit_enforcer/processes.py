"""Processes as /proc shows them, held by pidfd so that a pid cannot change hands while we look (REVIEW 10, 11)."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jit_enforcer import programs
from jit_enforcer.errors import NotAdmitted
from jit_enforcer.paths import Paths

_LONGEST_COMMAND_LINE = 4 << 20
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sudo:
    """A running sudo.  `uid` is the real one, of who called it; `start` is in clock ticks since the boot."""

    pid: int
    uid: int
    start: int
    parent: int


def ticks(boot_us: int) -> int:
    """A moment of CLOCK_BOOTTIME as /proc counts it."""
    return boot_us * _TICKS_PER_S // 1_000_000


def _read(paths: Paths, pid: int, name: str) -> bytes:
    """A short file of /proc at once: walks read thousands of them."""
    fd = os.open(f"{paths.proc}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)


def all_pids(paths: Paths) -> list[int]:
    """Newest first, as far as pids tell."""
    return sorted((int(name) for name in os.listdir(paths.proc) if name.isdecimal()), reverse=True)


def sudo_binary() -> os.stat_result:
    return os.stat(programs.SUDO)


def runs_sudo(paths: Paths, pid: int) -> bool:
    """True if the process runs the host's sudo, replaced on disk meanwhile or not."""
    try:
        exe = os.readlink(paths.proc / str(pid) / "exe")
    except OSError:
        return False
    return exe.removesuffix(" (deleted)") == os.path.realpath(programs.SUDO)


def real_uid(paths: Paths, pid: int) -> int:
    """-1, which is nobody's, if the process is gone."""
    try:
        return int(_read(paths, pid, "status").partition(b"\nUid:")[2].split(maxsplit=1)[0])
    except (OSError, IndexError):
        return -1


def audit(paths: Paths, pid: int, what: Literal["loginuid", "sessionid"]) -> int:
    """Who logged in, or in which session, as the kernel's audit handed it down; 0xFFFFFFFF: nobody, none.

    -1 if the process is gone, or the kernel keeps no such account.
    """
    try:
        return int(_read(paths, pid, what))
    except (OSError, ValueError):
        return -1


def inspect(paths: Paths, pid: int, binary: os.stat_result) -> Sudo | None:
    """The process, if it runs the host's own sudo."""
    try:
        if not os.path.samestat(os.stat(f"{paths.proc}/{pid}/exe"), binary):
            return None
        uid = real_uid(paths, pid)
        start, parent = start_and_parent(paths, pid)
    except (OSError, ValueError):  # it ended while we looked
        return None
    return Sudo(pid, uid, start, parent)


def start_and_parent(paths: Paths, pid: int) -> tuple[int, int]:
    """Raises `OSError` or `ValueError` if the process is gone, or dead and only not yet buried."""
    after_name = _read(paths, pid, "stat").rpartition(b")")[2].split()
    if len(after_name) < 20 or after_name[0] in b"ZX":
        raise ValueError("dead")
    return int(after_name[19]), int(after_name[1])


def family(paths: Paths) -> dict[int, tuple[int, int]]:
    """Start and parent of every process."""
    found = {}
    for pid in all_pids(paths):
        with contextlib.suppress(OSError, ValueError):  # it ended while we looked
            found[pid] = start_and_parent(paths, pid)
    return found


def below(pid: int, family: Mapping[int, tuple[int, int]]) -> list[int]:
    """The descendants, parents before their children."""
    found = [pid]
    for above in found:
        found += [child for child, (_, parent) in family.items() if parent == above]
    return found[1:]


def command_line(paths: Paths, pid: int) -> list[str]:
    """The words it was started with.  Raises `NotAdmitted`."""
    try:
        with open(paths.proc / str(pid) / "cmdline", "rb") as file:
            content = file.read(_LONGEST_COMMAND_LINE + 1)
    except OSError as e:
        raise NotAdmitted("the sudo process is gone") from e
    if not content.endswith(b"\0") or len(content) > _LONGEST_COMMAND_LINE:
        raise NotAdmitted("the command line of sudo cannot be read whole")
    return os.fsdecode(content[:-1]).split("\0")


@contextlib.contextmanager
def held(pid: int) -> Iterator[int]:
    """A pidfd of the process.  Raises `OSError` if it is gone."""
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        os.close(fd)


def alive(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)


def kill(paths: Paths, pid: int, start: int) -> bool:
    """Kill the process that has this pid and began at this time; True if it was still there."""
    try:
        with held(pid) as pidfd:
            if start_and_parent(paths, pid)[0] != start:
                return False
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except (OSError, ValueError):  # gone
        return False
    return True


def holder(paths: Paths, inode: int) -> Sudo:
    """The sudo process that holds this socket.  Raises `NotAdmitted`."""
    binary = sudo_binary()
    wanted = f"socket:[{inode}]"
    for pid in all_pids(paths):
        sudo = inspect(paths, pid, binary)
        if sudo and wanted in _open_files(paths.proc / str(pid) / "fd"):
            return sudo
    raise NotAdmitted("no sudo of this host holds the connection")


def _open_files(directory: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            with contextlib.suppress(OSError):
                yield os.readlink(directory / name)
