"""Listening sockets and the connections on them.

The sockets are systemd's where it gave us some, so that no local user can take them while the agent is down (S11); else
we bind them ourselves, for tests and by hand.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from jit_agent.config import Config
from jit_agent.errors import Misconfigured
from jit_agent.model import is_id

BACKLOG = 4_096

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Listeners:
    """`activated`: both came from PID 1.  `kept`: connections of sudo that it held while the agent was away."""

    people: socket.socket
    sudo_log: socket.socket
    activated: bool
    kept: dict[str, socket.socket]

    def close(self) -> None:
        self.people.close()
        self.sudo_log.close()


def listeners(config: Config) -> Listeners:
    """Raises `Misconfigured` when systemd passed something else, or an address cannot be bound."""
    from systemd import daemon

    given = {name: fd for fd, name in daemon.listen_fds_with_names(unset_environment=True).items()}
    if not given:
        return Listeners(_unix(config.agent_socket), _tcp(config.sudo_log_address), activated=False, kept={})
    kept = {name: given.pop(name) for name in list(given) if is_id(name, "ses")}
    if set(given) != {"agent", "sudolog"}:
        raise Misconfigured(
            f"systemd passed the sockets {', '.join(sorted(given))}",
            hint="enable both: systemctl enable --now jit-agent.socket jit-sudolog.socket",
        )
    return Listeners(
        _adopt(given["agent"]), _adopt(given["sudolog"]), activated=True,
        kept={name: _adopt(fd) for name, fd in kept.items()},
    )  # fmt: skip


class Service:
    """Accepts on one socket and runs a handler for each connection, until it is stopped."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket, *, limit: int) -> None:
        """`limit`: bytes buffered of a peer that is not read."""
        # Not start_unix_server: from Python 3.13 on that removes the path when it closes, and the path is systemd's.
        # Known before it serves, so that being cancelled in between leaves nothing to the event loop.
        self._server = await asyncio.start_server(
            self._accept, sock=listener, limit=limit, backlog=BACKLOG, start_serving=False
        )
        await self._server.start_serving()

    async def stop(self) -> None:
        """Accept no more, cancel what runs, and wait until every handler has put its things in order."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._handler(reader, writer)


def _adopt(fd: int) -> socket.socket:
    adopted = socket.socket(fileno=fd)
    adopted.setblocking(False)
    return adopted


def _unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o666)
    except OSError as e:
        listener.close()
        raise Misconfigured(f"cannot listen on {path}: {e.strerror}") from e
    listener.listen(BACKLOG)
    return listener


def _tcp(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as e:
        listener.close()
        raise Misconfigured(f"cannot listen on {address[0]}:{address[1]}: {e.strerror}") from e
    listener.listen(BACKLOG)
    return listener
