"""What an ordinary user can find out about a host whose agent does not answer."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass

from jit_cli.command import SUDO

_UNITS = ("jit-agent.socket", "jit-agent.service", "jit-enforcer.service")
_ENROLMENT = ("/etc/jit/agent.toml", "/etc/jit/trust.json")
_INCLUDE = "/etc/sudoers.d/zzz-jit"
_TOOL_WITHIN_S = 5.0
# Regular expressions in rules, and log servers, need this.
_OLDEST_SUDO = (1, 9, 12)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold; `fix` says what to do when it does not."""

    name: str
    ok: bool
    detail: str
    fix: str


def look(agent_says: str, root: str = "") -> list[Check]:
    """Return every check, the agent's own silence first.  Files are looked up under `root`."""
    return [
        Check("agent", False, agent_says, "as root: systemctl restart jit-agent.socket jit-agent.service"),
        *map(_unit, _UNITS),
        _enrolment(root),
        _include_line(root),
        sudo_variant(_output([SUDO, "-V"])),
    ]


def _output(argv: list[str]) -> str | None:
    """What a program prints, whatever its exit status; None if it cannot be run."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TOOL_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip()


def _unit(unit: str) -> Check:
    state = _output(["/usr/bin/systemctl", "is-active", unit])
    if state is None:
        return Check(unit, False, "systemctl cannot be run", "jit needs a host that systemd has booted")
    fix = f"as root: systemctl enable --now {unit}; what happened: journalctl -u {unit}"
    return Check(unit, state == "active", state.splitlines()[0] if state else "unknown", fix)


def _enrolment(root: str) -> Check:
    absent = [path for path in _ENROLMENT if not os.path.exists(root + path)]
    detail = f"{' and '.join(absent)} missing" if absent else "the files of an enrolment are there"
    return Check("enrolment", not absent, detail, "as root: jit-agent enroll, with a token from an administrator")


def _include_line(root: str) -> Check:
    try:
        os.stat(root + _INCLUDE)
    except FileNotFoundError:
        return Check("include line", False, f"{_INCLUDE} is missing", "reinstall the package jit-agent")
    except OSError:
        return Check("include line", True, f"{_INCLUDE} cannot be seen by you; not checked", "")
    return Check("include line", True, f"{_INCLUDE} is there (only root can read it)", "")


def sudo_variant(printed: str | None) -> Check:
    """Judge what `sudo -V` printed: the original sudo, new enough."""
    fix = "install the distribution's package sudo, the original one, 1.9.12 or newer"
    if not printed:
        return Check("sudo", False, f"{SUDO} cannot be run", fix)
    first = printed.splitlines()[0]
    version = re.search(r"Sudo version (\d+)\.(\d+)\.(\d+)", first)
    if version is None:
        return Check("sudo", False, f"{first} (not the original sudo)", fix)
    new_enough = tuple(map(int, version.groups())) >= _OLDEST_SUDO
    return Check("sudo", new_enough, first, fix)
