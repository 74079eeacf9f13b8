"""Processes as /proc shows them, held by pidfd so that a pid cannot change hands while we look (REVIEW 10, 11)."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jit_enforcer import programs
from jit_enforcer.errors import NotAdmitted
from jit_enforcer.paths import Paths

_ESTABLISHED = "01"
_LONGEST_COMMAND_LINE = 4 << 20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sudo:
    """A running sudo.  `uid` is the real one, of who called it; `start` is in clock ticks since the boot."""

    pid: int
    uid: int
    start: int
    parent: int


def all_pids(paths: Paths) -> list[int]:
    """Newest first, as far as pids tell."""
    return sorted((int(name) for name in os.listdir(paths.proc) if name.isdecimal()), reverse=True)


def sudo_binary() -> os.stat_result:
    return os.stat(programs.SUDO)


def inspect(paths: Paths, pid: int, binary: os.stat_result) -> Sudo | None:
    """The process, if it runs the host's own sudo."""
    try:
        if not os.path.samestat(os.stat(paths.proc / str(pid) / "exe"), binary):
            return None
        status = (paths.proc / str(pid) / "status").read_text("utf-8", "replace")
        uid = int(status.partition("\nUid:")[2].split(maxsplit=1)[0])
        start, parent = start_and_parent(paths, pid)
    except (OSError, ValueError, IndexError):  # it ended while we looked
        return None
    return Sudo(pid, uid, start, parent)


def start_and_parent(paths: Paths, pid: int) -> tuple[int, int]:
    """Raises `OSError` or `ValueError` if the process is gone."""
    stat = (paths.proc / str(pid) / "stat").read_text("utf-8", "replace")
    after_name = stat.rpartition(")")[2].split()
    if len(after_name) < 20:
        raise ValueError(stat)
    return int(after_name[19]), int(after_name[1])


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


def kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def socket_inode(paths: Paths, client: tuple[str, int], server: tuple[str, int]) -> str:
    """The inode of root's end of this TCP connection, in PID 1's network namespace.  Raises `NotAdmitted`.

    PID 1's table is the host's, whatever namespace we are in ourselves.
    """
    local, remote = _hexadecimal(*client), _hexadecimal(*server)
    try:
        rows = (paths.proc / "1/net/tcp").read_text("ascii").splitlines()[1:]
    except (OSError, ValueError) as e:
        raise NotAdmitted("the host's connections cannot be read") from e
    for row in rows:
        words = row.split()
        if words[1:4] == [local, remote, _ESTABLISHED]:
            if words[7] != "0":
                raise NotAdmitted("the connection does not come from root")
            return words[9]
    raise NotAdmitted("there is no such connection")


def holder(paths: Paths, inode: str) -> Sudo:
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


def _hexadecimal(address: str, port: int) -> str:
    return f"{bytes(reversed([int(part) for part in address.split('.')])).hex().upper()}:{port:04X}"
