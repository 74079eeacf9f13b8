"""A real agent in the test's own loop, between a fake enforcer and a fake server, over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from jit_agent import keys
from jit_agent.config import Config, load_or_explain
from jit_agent.daemon import Daemon
from jit_agent.model import new_session_id
from jit_testing.fake_enforcer import HOST, FakeEnforcer
from jit_testing.fake_server import FakeServer

Json = dict[str, Any]
NOBODY = pwd.getpwnam("nobody")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class World:
    """One host: its agent, and both of the agent's neighbours."""

    directory: Path
    enforcer: FakeEnforcer
    server: FakeServer
    log_port: int
    agent: asyncio.Task[int] | None = None

    @property
    def config(self) -> Path:
        return self.directory / "agent.toml"

    def enrol(self) -> None:
        """Write what `jit-agent enroll` would."""
        pki = self.directory / "pki"
        pki.mkdir(mode=0o700, exist_ok=True)
        key, csr = keys.new_key_and_csr()
        for name, content in (
            ("host.key", key),
            ("host.crt", self.server.issue(csr)),
            ("ca.crt", self.server.authority.pem),
        ):
            (pki / name).write_bytes(content)
        self.write_config(server=self.server.address, host_id=HOST, host_name="web1")

    def write_config(self, **keys_: Any) -> None:
        everywhere = {
            "agent_socket": str(self.directory / "agent.sock"),
            "enforcer_socket": str(self.enforcer.path),
            "state_directory": str(self.directory),
            "footprint_directory": str(self.directory / "footprints"),
            "sudo_log_address": f"127.0.0.1:{self.log_port}",
        }
        self.config.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in (everywhere | keys_).items()))

    async def start(self) -> None:
        await self._start(load_or_explain(self.config))

    async def start_unenrolled(self) -> None:
        """Start on a file that enrols nobody; where things are is then told in code."""
        config = load_or_explain(self.config)
        await self._start(
            replace(
                config,
                agent_socket=self.directory / "agent.sock",
                enforcer_socket=self.enforcer.path,
                state_directory=self.directory,
                footprint_directory=self.directory / "footprints",
                sudo_log_address=("127.0.0.1", self.log_port),
            )
        )

    async def _start(self, config: Config) -> None:
        self.agent = asyncio.create_task(Daemon(config, self.config).run())
        async with asyncio.timeout(10):
            while not (self.directory / "agent.sock").exists():
                await asyncio.sleep(0.01)
                if self.agent.done():
                    self.agent.result()

    async def stop(self) -> None:
        if self.agent is not None:
            self.agent.cancel()
            await asyncio.gather(self.agent, return_exceptions=True)
            self.agent = None
            (self.directory / "agent.sock").unlink(missing_ok=True)

    async def ask(self, **request: Any) -> Json:
        """One request of an unprivileged person, who is `nobody`."""
        lines = await self.talk(json.dumps(request).encode() + b"\n")
        answer: Json = lines[-1]
        return answer

    async def talk(self, line: bytes, *, uid: int = NOBODY.pw_uid, first: str = "") -> list[Json]:
        """Send these bytes as this user from a process of theirs; every line of the answer."""
        person = await Person.connect(self, uid, first)
        try:
            await person.send(line)
            return [answer async for answer in person.answers()]
        finally:
            await person.leave()


def as_user(uid: int) -> list[str]:
    """Words before a command.  subprocess's own `user=` forks, and a fork of a process that runs gRPC crashes."""
    return ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


LOG_IN = f"echo {NOBODY.pw_uid} >/proc/self/loginuid"
"""As pam_loginuid does at a login: from then on the process has an audit session of its own."""
LOG_OUT = "echo 4294967295 >/proc/self/loginuid"
"""As a process that no login started, wherever the tests run."""

_CLIENT = """
import os, socket, sys, threading
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
def up():
    try:
        while data := os.read(0, 65536):
            connection.sendall(data)
    except OSError:
        pass
threading.Thread(target=up, daemon=True).start()
while data := connection.recv(65536):
    os.write(1, data)
"""


class Person:
    """A process of another user at the agent's socket: the kernel says who it is."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def connect(cls, world: World, uid: int, first: str = "") -> Person:
        """`first`: what root does in that process before it becomes the person, in shell (LOG_IN, or a cgroup)."""
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", f"{first or ':'} && exec \"$@\"", "sh",
            *as_user(uid), "/usr/bin/python3", "-I", "-S", "-c", _CLIENT, str(world.directory / "agent.sock"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**21,
        )  # fmt: skip
        return cls(process)

    async def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        with suppress(ConnectionError):
            # The agent may have answered and gone before it read all of it.
            await self._process.stdin.drain()

    async def answers(self) -> AsyncIterator[Json]:
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            while line := await self._process.stdout.readline():
                yield json.loads(line)

    async def leave(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@pytest.fixture
def scope() -> Iterator[tuple[str, str]]:
    """A grant, and the shell words that put a process into a cgroup named like its scope."""
    grant_id = "gnt-" + new_session_id().removeprefix("ses-")
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    cgroup = next(Path(fields[1]) for fields in mounts if fields[2] == "cgroup2") / f"jit-{grant_id}.scope"
    cgroup.mkdir()
    yield grant_id, f"echo $$ >{cgroup}/cgroup.procs"
    deadline = time.monotonic() + 10
    while "populated 1" in (cgroup / "cgroup.events").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    cgroup.rmdir()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    if os.geteuid() != 0:
        pytest.fail("these tests speak to the agent as several users, and need root for it")
    async with AsyncExitStack() as stack:
        # pytest's own directory is closed to other users, who must reach the agent's socket.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jit-agent-test-")))
        directory.chmod(0o755)
        enforcer = await stack.enter_async_context(FakeEnforcer(directory / "enforcer.sock"))
        server = await stack.enter_async_context(FakeServer())
        made = World(directory, enforcer, server, free_port())
        stack.push_async_callback(made.stop)
        made.enrol()
        await made.start()
        yield made
