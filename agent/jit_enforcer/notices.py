"""One line on each terminal of a person (SPEC 3.5), and never more than a try: nothing waits for a terminal.

Only terminals that are theirs and take messages (`mesg y`: writable for group tty).
"""

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jit_enforcer.grant import Grant
from jit_enforcer.paths import Paths

_FLAGS: Final = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_SHORT_ID: Final = 8
_WHY: Final = {
    "revoked": ": it was revoked",
    "dropped": ": it was given back",
    "stopped": ": this host ended it",
    "used": ": its one command is over",
}


def ending_soon(paths: Paths, grant: Grant, *, minutes: int, wall_us: int) -> None:
    """`wall_us` is when it ends."""
    at = time.strftime("%H:%M:%S UTC", time.gmtime(wall_us // 1_000_000))
    extend = f"to go on: jit extend {grant.grant[:_SHORT_ID]}"
    span = f"{minutes} minutes" if minutes > 1 else "1 minute"
    _tell(paths, grant.uid, f"{_name(grant)} ends in {span}, at {at}; {extend}")


def ended(paths: Paths, grant: Grant, *, reason: str, stopped: int) -> None:
    """`stopped` counts the programs that did not end by themselves."""
    why = ": the jit server was not heard" if reason == "expired" and grant.until > grant.not_after else ""
    programs = {0: "", 1: "; 1 program was stopped"}.get(stopped, f"; {stopped} programs were stopped")
    _tell(paths, grant.uid, f"{_name(grant)} has ended{why or _WHY.get(reason, '')}{programs}")


def said(paths: Paths, grant: Grant, message: str) -> None:
    """What somebody has to say to the person; nothing, if it is empty."""
    if message:
        _tell(paths, grant.uid, f"{_name(grant)}: {message}")


def _name(grant: Grant) -> str:
    return f"jit: {grant.role} on {os.uname().nodename}"


def _tell(paths: Paths, uid: int, line: str) -> None:
    shown = "".join(character if " " <= character <= "~" else ascii(character)[1:-1] for character in line)
    for terminal in _terminals(paths):
        with contextlib.suppress(OSError):  # gone, full, or not for messages
            if _takes_messages(os.lstat(terminal), uid):
                fd = os.open(terminal, _FLAGS)
                try:
                    if _takes_messages(os.fstat(fd), uid):
                        os.write(fd, f"\r\n{shown}\r\n".encode("ascii"))
                finally:
                    os.close(fd)


def _terminals(paths: Paths) -> Iterator[Path]:
    """Those of sessions over the network, and the console's."""
    with contextlib.suppress(OSError):
        yield from (paths.dev / "pts" / name for name in os.listdir(paths.dev / "pts") if name.isdecimal())
    with contextlib.suppress(OSError):
        yield from (paths.dev / name for name in os.listdir(paths.dev) if name.startswith("tty") and name[3:])


def _takes_messages(found: os.stat_result, uid: int) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_uid == uid and bool(found.st_mode & stat.S_IWGRP)
