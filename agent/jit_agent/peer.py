"""Who is at the other end of the local socket: the kernel's and NSS's word, never the client's (S11, SPEC 4.1).

The uid is of the moment of connecting and authorises alone.  What is read of the process besides, its login session and
its cgroup, is believed only while a pidfd says that the number still names the process that connected.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import select
import socket
import struct
from asyncio.trsock import TransportSocket
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from jit_agent import logins
from jit_agent.errors import AgentError
from jit_agent.model import Login, Person

NAME_S = 5.0
PROC = Path("/proc")
NO_SESSION = 4_294_967_295
"""What the kernel says of a process that no login started."""
# Linux 6.5 and newer; Python has no name for it yet.
_SO_PEERPIDFD = 77
_SCOPE = re.compile(r"/jit-(gnt-[0-9a-hjkmnp-tv-z]{16})(?:-r[0-9]+)?\.scope(?:/|$)")


@dataclass(frozen=True, slots=True)
class RootInScope:
    """Root inside the scope of a grant: may look at that grant, end it and extend it."""

    grant_id: str


@dataclass(frozen=True, slots=True)
class Root:
    """Any other root: nobody in particular."""


Caller = Login | RootInScope | Root


def uid_of(connection: TransportSocket) -> int:
    return _credentials(connection)[1]


async def caller(connection: TransportSocket) -> Caller:
    """Who connected; raises `AgentError` for a uid without an account."""
    pid, uid = _credentials(connection)
    with closing(_Process(connection, pid, uid)) as process:
        if uid == 0:
            grant_id = grant_of_scope(process.read("cgroup"))
            return Root() if grant_id is None else RootInScope(grant_id)
        session = session_of(process.read("sessionid"))
        arrival = logins.arrival(uid, process.read("cgroup"), process.read("stat"))
    try:
        # A directory service may be slow, or away.
        async with asyncio.timeout(NAME_S):
            entry = await asyncio.to_thread(pwd.getpwuid, uid)
    except KeyError:
        raise AgentError(f"uid {uid} has no account on this host", code="denied") from None
    except TimeoutError:
        raise AgentError(f"the account of uid {uid} cannot be looked up now", code="unavailable") from None
    return Login(Person(uid, entry.pw_name), session, arrival)


def grant_of_scope(cgroup: str) -> str | None:
    """The grant in whose scope a process with this `/proc/PID/cgroup` is; None for any other place."""
    for line in cgroup.splitlines():
        if line.startswith("0::") and (found := _SCOPE.search(line)):
            return found[1]
    return None


def session_of(sessionid: str) -> int:
    """The audit session of a process with this `/proc/PID/sessionid`; 0 when no login started it."""
    if not (sessionid.isascii() and sessionid.isdigit()):
        return 0
    session = int(sessionid)
    return session if session < NO_SESSION else 0


class _Process:
    """The process that connected, as long as it lives."""

    def __init__(self, connection: TransportSocket, pid: int, uid: int) -> None:
        self._directory = PROC / str(pid)
        self._pidfd: int | None = None
        with suppress(OSError):
            self._pidfd = _peer_pidfd(connection)
            return
        # An older kernel: by number, which may name another process by now, but no other person's.
        with suppress(OSError):
            self._pidfd = os.pidfd_open(pid)
            if self._uid() != uid:
                self.close()

    def read(self, name: str) -> str:
        """A file of /proc/PID; empty if the process is gone, or is not the one that connected."""
        if self._pidfd is None:
            return ""
        try:
            text = (self._directory / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return text if self._lives(self._pidfd) else ""

    def close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _uid(self) -> int | None:
        """The effective uid, which is what the kernel notes at connecting."""
        found = re.search(r"^Uid:\t\d+\t(\d+)", self.read("status"), re.MULTILINE)
        return int(found[1]) if found else None

    @staticmethod
    def _lives(pidfd: int) -> bool:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return not poll.poll(0)


def _credentials(connection: TransportSocket) -> tuple[int, int]:
    """(pid, uid) of the process that connected."""
    pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def _peer_pidfd(connection: TransportSocket) -> int:
    return int(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD))
