"""Can this host enforce grants?  What stands against it is said in words, and then no grant is applied (DESIGN 5)."""

import os
import re
from typing import Final

from jit_enforcer import parseback, programs, sudoersfiles
from jit_enforcer.errors import Unsafe, Unsuitable
from jit_enforcer.paths import Paths

_OLDEST_SUDO: Final = (1, 9, 12)
_OLDEST_SYSTEMD: Final = 252
_OLDEST_KERNEL: Final = (5, 14)
_LOG_PORT: Final = 843
_RS: Final = (
    "this host's sudo is sudo-rs, which knows neither NOTAFTER nor log servers: make the original sudo /usr/bin/sudo "
    "again (where it is an alternative: update-alternatives --set sudo /usr/bin/sudo.ws)"
)


class Probe:
    """Version and problems of this host.  What was found well is asked again only after it changed."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._sudoers, self._folder = str(paths.sudoers), f"{paths.sudoers}.d"
        self._programs: object = None
        self._files: object = None
        self.sudo_version = ""

    def problems(self) -> list[str]:
        """Empty: grants can be enforced."""
        try:
            return self.known_problems()
        except Unsafe as e:
            return [str(e)]

    def known_problems(self) -> list[str]:
        """Like `problems`; raises `Unsafe` if what is asked does not answer, which may pass."""
        found = self._of_programs() or self._of_sudoers()
        if not (self._paths.cgroup / "cgroup.controllers").exists():
            found.append("cgroup v2 is not mounted at /sys/fs/cgroup: boot with systemd.unified_cgroup_hierarchy=1")
        if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < _OLDEST_KERNEL:
            found.append("the kernel has no cgroup.kill: 5.14 or newer is needed")
        if self._port_is_open():
            found.append(f"any user may take port {_LOG_PORT}: set net.ipv4.ip_unprivileged_port_start to 1024")
        return found

    def fingerprint(self) -> object:
        """Something else whenever sudo itself or one of its files was replaced or written."""
        # On the path of every sudo, hence plain strings.
        try:
            names = os.listdir(self._folder)
        except OSError:
            names = []
        files = [f"{self._folder}/{name}" for name in names]
        return files, [_seen(file) for file in (programs.SUDO, self._sudoers, *files)]

    def _of_programs(self) -> list[str]:
        seen = _seen(programs.SUDO)
        if seen and seen == self._programs:
            return []
        self.sudo_version = ""
        if not seen:
            return ["sudo is not installed: apt install sudo"]
        self.sudo_version, problem = sudo_suitability(_said(programs.SUDO, "-V"))
        problems = [problem, systemd_problem(_said(programs.SYSTEMCTL, "--version"))]
        self._programs = None if any(problems) else seen
        return [text for text in problems if text]

    def _of_sudoers(self) -> list[str]:
        """Our include line must be the last thing sudo reads, and nothing may loosen what it includes."""
        seen = self.fingerprint()
        if seen == self._files:
            return []
        self._files = None
        if not (self._paths.root / "etc/sudoers.d/zzz-jit").exists():
            return ["/etc/sudoers.d/zzz-jit is missing: reinstall jit-agent"]
        if problem := sudoersfiles.what_comes_later(self._paths):
            return [problem]
        try:
            parseback.check_whole(self._paths, defaults=[], rules=[], run_as_names={"root"}, run_as_uids={0})
        except Unsuitable as e:
            return [str(e)]
        self._files = seen
        return []

    def _port_is_open(self) -> bool:
        """Only knowable in the host's own network namespace, as our unit is; elsewhere nothing is said (REVIEW 19)."""
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
        return said.splitlines()[0][:80], _RS
    found = re.match(r"Sudo version ((\d+)\.(\d+)\.(\d+)[A-Za-z0-9.~+-]*)\n", said)
    if not found:
        return "", "sudo -V does not tell its version"
    if tuple(map(int, found.groups()[1:])) < _OLDEST_SUDO:
        return found[1], f"sudo {found[1]} is too old: 1.9.12 or newer is needed"
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
    """What it prints first is its version; sudo then fails for want of capabilities, which is no matter."""
    return programs.run(*argv, may_fail=True).decode("utf-8", "replace")


def _seen(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
