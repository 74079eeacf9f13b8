"""The sleeping process that keeps a grant's scope in being while nothing of the grant runs."""

import os
from typing import Final

from jit_enforcer import programs
from jit_enforcer.paths import Paths

_ARGV: Final = ("jit-placeholder", "infinity")
_CMDLINE: Final = b"jit-placeholder\0infinity\0"


def spawn() -> int:
    """The pid of a new one, a child of ours."""
    silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    return os.posix_spawn(programs.SLEEP, _ARGV, {}, setsid=True, file_actions=silent)


def bury(pid: int) -> None:
    """End one that found no place."""
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def is_one(paths: Paths, pid: int) -> bool:
    """True while it is alive: of a dead process no command line is left."""
    try:
        return (paths.proc / str(pid) / "cmdline").read_bytes() == _CMDLINE
    except OSError:
        return False
