"""Run a program of the host: by absolute path, without a shell, with an empty environment and little patience."""

import os
import select
import signal
from typing import IO, Final

from jit_enforcer.errors import Unsafe

SUDO: Final = "/usr/bin/sudo"
CVTSUDOERS: Final = "/usr/bin/cvtsudoers"
SYSTEMCTL: Final = "/usr/bin/systemctl"
SLEEP: Final = "/usr/bin/sleep"
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_PATIENCE_S: Final = 5


def run(*argv: str, given: bytes = b"", may_fail: bool = False) -> bytes:
    """The program's standard output; of one that may fail, also what it said on standard error.

    It is `given` this on standard input.
    Raises `Unsafe` if it cannot run, takes over 5 s, or fails and may not.
    """
    try:
        with _file() as into, _file() as out, _file() as err:
            into.write(given)
            into.seek(0)
            status = _status(argv, into.fileno(), out.fileno(), err.fileno())
            out.seek(0)
            err.seek(0)
            said, complaint = out.read(), err.read()
    except OSError as e:
        raise Unsafe(f"{argv[0]} cannot run: {e.strerror}") from e
    if may_fail:
        return said + complaint
    if status != 0:
        shown = ascii(complaint.decode("utf-8", "replace").strip())[:200]
        raise Unsafe(f"{argv[0]} failed with status {status}: {shown}")
    return said


def _file() -> IO[bytes]:
    """Where a program reads or writes, so that nobody has to read or write along."""
    return open(os.memfd_create("jit"), "w+b")


def _status(argv: tuple[str, ...], *standard: int) -> int:
    """Run to the end with these as standard input, output and error; a signal is a negative status."""
    files = [(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in enumerate(standard)]
    # As subprocess does: Python ignores these, other programs do not expect it.
    default = (signal.SIGPIPE, signal.SIGXFSZ)
    pid = os.posix_spawn(argv[0], argv, _ENVIRONMENT, file_actions=files, setsigdef=default)
    patience = select.poll()
    pidfd = os.pidfd_open(pid)
    try:
        patience.register(pidfd, select.POLLIN)
        if not patience.poll(_PATIENCE_S * 1000):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status
