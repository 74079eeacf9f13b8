"""Somebody at a desk: `jitctl` as a process of its own against a real server in this one."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp

from jit_testing.server_world import PASSWORD, World


@dataclass(frozen=True, slots=True)
class Told:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True)
class Person:
    """Somebody at a desk: a home of their own, an authenticator, and `jitctl`."""

    name: str
    home: Path
    world: World
    totp: pyotp.TOTP | None = None

    async def __call__(self, *arguments: str, stdin: str = "") -> Told:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "jit_ctl", *arguments),
            env={**os.environ, "XDG_CONFIG_HOME": f"{self.home}/config", "XDG_STATE_HOME": f"{self.home}/state"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Told(process.returncode, out.decode(), err.decode())

    def code(self) -> str:
        assert self.totp is not None
        self.world.clock.advance(30)
        return self.totp.at(self.world.clock.now() // 1_000_000)

    async def enrol(self, command: str) -> None:
        """Run the line an administrator handed over, then confirm with a code."""
        words = shlex.split(command)[1:]
        begun = await self(*words, "-o", "json")
        assert begun.status == 3, begun.err
        totp = pyotp.parse_uri(begun.json["uri"])
        assert isinstance(totp, pyotp.TOTP)
        self.totp = totp
        confirmed = await self(*words, "--otp", self.code())
        assert confirmed.status == 0, confirmed.err

    async def log_in(self) -> None:
        told = await self("login", "--password-stdin", "--otp", self.code(), stdin=PASSWORD + "\n")
        assert told.status == 0, told.err


async def administrator(world: World, home: Path) -> Person:
    """The one whom `init` made, at work within two commands."""
    person = Person("root-admin", home, world)
    server = ["--server", f"127.0.0.1:{world.bootstrap_port}", "--ca", world.installed.ca_fingerprint]
    token = world.installed.mfa_token
    await person.enrol(shlex.join(["jitctl", "mfa", "enroll", *server, "--user", "root-admin", "--token", token]))
    await person.log_in()
    return person


async def joined(admin: Person, name: str) -> Person:
    person = Person(name, admin.home.parent / name, admin.world)
    added = await admin("users", "add", name)
    assert added.status == 0, added.err
    await person.enrol(added.out)
    await person.log_in()
    return person
