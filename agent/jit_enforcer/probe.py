"""Can this host enforce grants?  What stands against it is said in words, and then no grant is applied (DESIGN 5)."""

import os
import re
from typing import Final

from jit_enforcer import programs
from jit_enforcer.errors import Denied
from jit_enforcer.paths import Paths

_OLDEST_SUDO: Final = (1, 9, 10)
_OLDEST_SYSTEMD: Final = 252
_OLDEST_KERNEL: Final = (5, 14)
_LOG_PORT: Final = 843


class Probe:
    """Version and problems of this host.  Programs are asked again only after they were replaced."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._asked: tuple[int, int, int] | None = None
        self.sudo_version = ""
        self._of_programs: list[str] = []

    def problems(self) -> list[str]:
        """Empty: grants can be enforced."""
        self._ask_programs()
        found = [*self._of_programs, *self._include_line()]
        if not (self._paths.cgroup / "cgroup.controllers").exists():
            found.append("cgroup v2 is not mounted at /sys/fs/cgroup: boot with systemd.unified_cgroup_hierarchy=1")
        if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < _OLDEST_KERNEL:
            found.append("the kernel has no cgroup.kill: 5.14 or newer is needed")
        if self._port_is_open():
            found.append(f"any user may take port {_LOG_PORT}: set net.ipv4.ip_unprivileged_port_start to 1024")
        return found

    def _ask_programs(self) -> None:
        try:
            found = os.stat(programs.SUDO)
        except OSError:
            self._asked, self.sudo_version, self._of_programs = None, "", ["sudo is not installed: apt install sudo"]
            return
        identity = (found.st_dev, found.st_ino, found.st_mtime_ns)
        if identity != self._asked:
            self.sudo_version, problem = sudo_suitability(_said(programs.SUDO, "-V"))
            problems = problem, systemd_problem(_said(programs.SYSTEMCTL, "--version"))
            self._of_programs = [text for text in problems if text]
            self._asked = identity

    def _include_line(self) -> list[str]:
        """The include line must be there and the last thing sudo reads; each apply proves it with sudo's parser."""
        folder = self._paths.root / "etc/sudoers.d"
        try:
            lines = _lines((folder / "zzz-jit").read_text())
            main = _lines(self._paths.sudoers.read_text())
            later = sorted(n for n in os.listdir(folder) if n > "zzz-jit" and "." not in n and not n.endswith("~"))
        except (OSError, ValueError):
            return ["/etc/sudoers.d/zzz-jit is missing: reinstall jit-agent"]
        if lines != ["@includedir /run/jit/sudoers.d"]:
            return ["/etc/sudoers.d/zzz-jit is not as we wrote it: reinstall jit-agent"]
        if not main or main[-1] not in ("@includedir /etc/sudoers.d", "#includedir /etc/sudoers.d"):
            return ["/etc/sudoers does not end with @includedir /etc/sudoers.d: put the line last"]
        return [f"/etc/sudoers.d/{ascii(later[0])[1:-1]} comes after zzz-jit: rename it"] if later else []

    def _port_is_open(self) -> bool:
        """Only knowable in the host's own network namespace; under PrivateNetwork the agent has to look (REVIEW 19)."""
        proc = self._paths.proc
        try:
            if os.readlink(proc / "self/ns/net") != os.readlink(proc / "1/ns/net"):
                return False
            return int((proc / "sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= _LOG_PORT
        except (OSError, ValueError):
            return False


def sudo_suitability(said: str) -> tuple[str, str]:
    """Version and problem, from what `sudo -V` prints."""
    if "sudo-rs" in said:
        return said.splitlines()[0][:80], "sudo-rs knows neither NOTAFTER nor log servers: make sudo.ws the host's sudo"
    found = re.match(r"Sudo version ((\d+)\.(\d+)\.(\d+)[A-Za-z0-9.~+-]*)\n", said)
    if not found:
        return "", "sudo -V does not tell its version"
    if tuple(map(int, found.groups()[1:])) < _OLDEST_SUDO:
        return found[1], f"sudo {found[1]} is too old: 1.9.10 or newer is needed"
    return found[1], ""


def systemd_problem(said: str) -> str:
    found = re.match(r"systemd (\d+)", said)
    if not found:
        return "systemctl does not tell its version"
    return (
        ""
        if int(found[1]) >= _OLDEST_SYSTEMD
        else f"systemd {found[1]} is too old: {_OLDEST_SYSTEMD} or newer is needed"
    )


def _said(*argv: str) -> str:
    try:  # sudo -V tells its version first, and fails later without the capabilities we do without
        return programs.run(*argv, may_fail=True).decode("utf-8", "replace")
    except Denied:
        return ""


def _lines(text: str) -> list[str]:
    """The lines that mean something; `#includedir` does."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and (not line.startswith("#") or line.startswith("#include"))]
