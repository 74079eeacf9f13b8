"""Who is at the other end of the local socket: the kernel's and NSS's word, never the client's (S11, SPEC 4.1)."""

from __future__ import annotations

import asyncio
import pwd
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from jit_agent.errors import AgentError
from jit_agent.model import Person

NAME_S = 5.0
_SCOPE = re.compile(r"/jit-(gnt-[0-9a-hjkmnp-tv-z]{16})(?:-r[0-9]+)?\.scope(?:/|$)")


@dataclass(frozen=True, slots=True)
class RootInScope:
    """Root inside the scope of a grant: may look at that grant and end it."""

    grant_id: str


@dataclass(frozen=True, slots=True)
class Root:
    """Any other root: nobody in particular."""


Caller = Person | RootInScope | Root


def credentials(connection: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process that connected."""
    pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


async def caller(pid: int, uid: int, proc: Path = Path("/proc")) -> Caller:
    """Raises `AgentError` for a uid without an account."""
    if uid == 0:
        grant_id = grant_of_scope(pid, proc)
        return Root() if grant_id is None else RootInScope(grant_id)
    try:
        # A directory service may be slow, or away.
        async with asyncio.timeout(NAME_S):
            entry = await asyncio.to_thread(pwd.getpwuid, uid)
    except KeyError:
        raise AgentError(f"uid {uid} has no account on this host", code="denied") from None
    except TimeoutError:
        raise AgentError(f"the account of uid {uid} cannot be looked up now", code="unavailable") from None
    return Person(uid, entry.pw_name)


def grant_of_scope(pid: int, proc: Path = Path("/proc")) -> str | None:
    """The grant in whose scope the process is; None for any other place, or a process that is gone."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("0::") and (found := _SCOPE.search(line)):
            return found[1]
    return None
