"""`jitctl` against a server in this process, a fake or the real one, over real TLS, with a home of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest
import pytest_asyncio
from pexpect import fdpexpect

from jit_ctl.main import run
from jit_testing.ctl_certificates import Authority
from jit_testing.desk import Person, administrator
from jit_testing.fake_ctl_server import FakeServer
from jit_testing.fake_ctl_state import CODE, PASSWORD
from jit_testing.server_world import World, new_world


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.make()


@pytest.fixture
def server(authority: Authority) -> Iterator[FakeServer]:
    with FakeServer(authority) as fake:
        yield fake


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["error"]


class Jitctl:
    """Runs one command line in this process, without a terminal."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        self._capsys.readouterr()
        status = run(arguments)
        told = self._capsys.readouterr()
        assert "Traceback" not in told.err
        return Outcome(status, told.out, told.err)

    def login(self, server: FakeServer) -> Outcome:
        return self(
            "login",
            "--server",
            server.bootstrap,
            "--ca",
            server.authority.fingerprint,
            "--user",
            "alice",
            "--otp",
            CODE,
            "--password-stdin",
            stdin=PASSWORD + "\n",
        )


@pytest.fixture
def jitctl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Jitctl:
    return Jitctl(capsys, monkeypatch)


@pytest.fixture
def alice(jitctl: Jitctl, server: FakeServer) -> Jitctl:
    """`jitctl` after a login."""
    assert jitctl.login(server).status == 0
    server.asked.clear()
    return jitctl


class Terminal(fdpexpect.fdspawn):  # type: ignore[misc]  # pexpect has no types
    """The real program on a pseudo terminal.

    Not pexpect.spawn: that forks, and gRPC's threads in this process do not survive a fork.
    """

    def __init__(self, arguments: tuple[str, ...], columns: int, term: str, rows: int) -> None:
        ours, its = os.openpty()
        termios.tcsetwinsize(its, (rows, columns))
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-m", "jit_ctl", *arguments],
            stdin=its,
            stdout=its,
            stderr=its,
            env={**os.environ, "TERM": term},
        )
        os.close(its)
        super().__init__(ours, encoding="utf-8", timeout=20)

    def end(self) -> int:
        """Read what is left; return the exit status."""
        self.expect(pexpect.EOF)
        return self.process.wait(20)

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit status."""
        self.send("\x03")
        return self.end()

    def destroy(self) -> None:
        self.process.kill()
        self.process.wait(20)
        self.close()


@pytest.fixture
def on_terminal() -> Iterator[Callable[..., Terminal]]:
    """Starts `jitctl` on a terminal; whatever still runs afterwards is ended."""
    started: list[Terminal] = []

    def start(*arguments: str, columns: int = 240, term: str = "dumb", rows: int = 60) -> Terminal:
        started.append(Terminal(arguments, columns, term, rows))
        return started[-1]

    yield start
    for terminal in started:
        terminal.destroy()


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A real server in this process."""
    world = await new_world(tmp_path)
    await world.start()
    yield world
    await world.close()


@pytest_asyncio.fixture
async def admin(world: World, tmp_path: Path) -> Person:
    return await administrator(world, tmp_path / "admin")
