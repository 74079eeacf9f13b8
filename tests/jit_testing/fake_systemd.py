"""systemd as the agent sees it: sockets passed in, connections kept (FDSTORE) while the agent is away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

_START = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
# Out of the way first: the places they go to may be taken by one another.
high = [os.dup2(fd, 200 + number) for number, fd in enumerate(fds)]
for number, fd in enumerate(high):
    os.dup2(fd, 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.executable, [sys.executable, "-m", "jit_agent.main", "run", "--config", sys.argv[3]])
"""


class FakeSystemd:
    """Runs one agent program; `kill` it, `start` it again."""

    def __init__(self, directory: Path, config: Path, people: Path, log_port: int) -> None:
        self._config = config
        self._notify = directory / "notify"
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._notices.bind(str(self._notify))
        self._people = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        people.unlink(missing_ok=True)
        self._people.bind(str(people))
        self._people.listen()
        self._sudo_log = socket.create_server(("127.0.0.1", log_port), backlog=64)
        self.kept: dict[str, int] = {}
        """Name and descriptor of what the agent asked to be kept."""
        self.says: list[str] = []
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Until the agent says that it is ready."""
        passed = {"agent": self._people.fileno(), "sudolog": self._sudo_log.fileno()} | self.kept
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _START, ",".join(map(str, passed.values())), ":".join(passed), str(self._config),
            pass_fds=tuple(passed.values()), env=os.environ | {"NOTIFY_SOCKET": str(self._notify)},
        )  # fmt: skip
        self.says.clear()
        async with asyncio.timeout(60):
            while not any(said.startswith("READY=1") for said in self.says):
                await asyncio.sleep(0.01)
                self.listen()

    def listen(self) -> None:
        """Do what the agent asked for until now."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._notices, 4_096, 4)
            except BlockingIOError:
                return
            said = data.decode()
            self.says.append(said)
            fields = dict(line.split("=", 1) for line in said.splitlines())
            if fields.get("FDSTORE") == "1":
                self.kept[fields["FDNAME"]] = fds[0]
            elif fields.get("FDSTOREREMOVE") == "1" and fields["FDNAME"] in self.kept:
                os.close(self.kept.pop(fields["FDNAME"]))

    async def kill(self, number: int = signal.SIGKILL) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        await self._process.wait()
        self.listen()
        self._process = None

    def forget(self) -> None:
        """Keep nothing any longer, as when the machine dies."""
        while self.kept:
            os.close(self.kept.popitem()[1])

    async def stop(self) -> None:
        """As when the unit is stopped: nothing is kept any longer."""
        if self._process is not None:
            await self.kill()
        self.forget()
        for one in (self._notices, self._people, self._sudo_log):
            one.close()
