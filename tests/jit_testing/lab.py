"""A lab of real hosts as a value for tests: run things as people, cut cables, type at terminals."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pexpect

from lab import lifecycle, network, otp, product
from lab.host import Host
from lab.places import Places


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is up.  Hosts are named; every method raises `LabError` for a host that does not exist or run."""

    places: Places

    def host(self, name: str) -> Host:
        return Host(self.places, self.places.hosts()[name])

    def exec(
        self, host: str, *words: str, user: str = "root", stdin: bytes | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as a logged-in person, without a terminal; the outcome, whatever its status."""
        return self.host(host).outcome(*words, user=user, stdin=stdin, timeout_s=timeout_s)

    def run(self, host: str, *words: str, user: str = "root", timeout_s: float = 60) -> str:
        """Like `exec`, but the command must succeed; its standard output."""
        return self.host(host).run(*words, user=user, timeout_s=timeout_s)

    def terminal(self, host: str, *words: str, user: str, timeout_s: float = 30) -> pexpect.spawn[str]:
        """Run a command as a person who sits at a terminal."""
        command, *arguments = self.host(host).command(words, user=user, terminal=True)
        return pexpect.spawn(command, arguments, timeout=timeout_s, encoding="utf-8", dimensions=(50, 160))

    def put(self, host: str, source: Path, target: str) -> None:
        self.host(host).put(source, target)

    def cut(self, host: str, direction: network.Direction = "both") -> None:
        network.cut(self.places, self.places.hosts()[host], direction)

    def heal(self, host: str) -> None:
        network.heal(self.places, self.places.hosts()[host])

    def reboot(self, host: str, *, power_cut: bool = False) -> None:
        """Boot a host anew, its disk kept; with `power_cut` nothing on it hears of that before."""
        self.host(host).reboot(power_cut=power_cut)

    def otp(self, person: str) -> str:
        """A one-time code that the server has not seen; may wait for the clock."""
        return otp.next_code(self.places, person)

    def jitctl(self, *words: str, user: str) -> str:
        """Run jitctl on the server host as a person, who is logged in if they are not yet; its standard output."""
        if self.exec("server", "jitctl", "whoami", user=user).returncode == 4:
            product.log_in(self.places, self.host("server"), user)
        return self.run("server", "jitctl", *words, user=user)

    def elevate(self, host: str, *, user: str = "alice", role: str = "drill-admin", lasts: str = "10m") -> str:
        """A grant in force: asked for without a second factor, approved by carol, confirmed by the host; its id."""
        asked = self.exec(host, "jit", "request", role, "-d", lasts, "-m", "a test", "--no-wait", user=user)
        assert asked.returncode == 3, asked.stderr
        request = asked.stdout.strip()
        self.jitctl("requests", "approve", request, user="carol")
        self.run(host, "jit", "status", "-w", request, user=user)
        told = json.loads(self.run(host, "jit", "status", "-o", "json", user=user))["requests"]
        return str(next(one["grant"]["grant_id"] for one in told if one["request_id"] == request))


def up(name: str, hosts: Sequence[str], packages: Path | None) -> Lab:
    """Boot a lab, with jit set up from `packages` unless None; what a killed run left under this name goes first.

    A host is written `web1`, or with its Debian release, `web1:13`.
    """
    places = Places(name)
    with lifecycle.exclusively(places):
        lifecycle.down(places)
        try:
            booted = lifecycle.boot(places, hosts)
            if packages:
                product.install(booted, packages)
                product.set_up(places, booted)
        except BaseException:
            lifecycle.down(places)
            raise
    return Lab(places)


def down(lab: Lab) -> None:
    """End the lab; nothing of it is left."""
    with lifecycle.exclusively(lab.places):
        lifecycle.down(lab.places)
