"""One scope a grant: everything it starts is in there, and dies with it (S2, S4, DESIGN 5, REVIEW 5).

The scope is made around a sleeping placeholder, so that admitting a sudo is one write to `cgroup.procs`.
"""

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jit_enforcer import programs, units
from jit_enforcer.errors import Expired, Unsafe
from jit_enforcer.paths import Paths
from jit_enforcer.units import Scope

_NAME: Final = re.compile(r"jit-gnt-[0-9a-hjkmnp-tv-z]{16}(-r[0-9]{1,10})?\.scope")
_PLACEHOLDER: Final = ("jit-placeholder", "infinity")
_PLACEHOLDER_CMDLINE: Final = b"jit-placeholder\0infinity\0"
_SECOND: Final = 1_000_000


class Scopes:
    """The scopes of this host."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._users = paths.cgroup / "user.slice"

    def place(self, name: str, uid: int) -> Scope:
        """Where to put a scope: in the user's slice if logind tracks the user (there `su -` stays inside)."""
        own = f"user-{uid}.slice"
        return Scope(name, own if (self._users / own).is_dir() else "jit.slice")

    def start(self, scope: Scope, *, left_us: int, not_after: int) -> None:
        """Make the scope and its timer.  Raises `Expired` if PID 1 has no time left to end it, or `Unsafe`."""
        if left_us <= _SECOND:
            raise Expired("less than a second is left")
        silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
        pid = os.posix_spawn(programs.SLEEP, _PLACEHOLDER, {}, setsid=True, file_actions=silent)
        try:
            units.start_scope(self._paths.bus, scope, pid=pid, runtime_us=left_us - _SECOND)
            units.start_timer(self._paths.bus, scope, not_after=not_after)
            self._await(pid, scope.name)
        except Unsafe:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise

    def stop_timer(self, scope: Scope) -> None:
        """Take the calendar timer back; if that fails it fires once, into nothing."""
        with contextlib.suppress(Unsafe):
            units.stop_timer(self._paths.bus, scope)

    def exists(self, scope: Scope) -> bool:
        return self._directory(scope).is_dir()

    def admit(self, scope: Scope, pid: int) -> None:
        """Move a process into the scope.  Raises `Unsafe` unless the kernel confirms it."""
        directory = self._directory(scope)
        try:
            (directory / "cgroup.procs").write_text(f"{pid}\n")
        except OSError as e:
            raise Unsafe(f"cannot move the process into {scope.name}: {e.strerror}") from e
        if not self.holds(scope, pid):
            raise Unsafe(f"the process did not stay in {scope.name}")

    def holds(self, scope: Scope, pid: int) -> bool:
        """True if the process is in the scope or in a cgroup below it."""
        try:
            lines = (self._paths.proc / str(pid) / "cgroup").read_text().splitlines()
        except OSError:
            return False
        inside = f"/{self._directory(scope).relative_to(self._paths.cgroup)}"
        found = next((line[3:] for line in lines if line.startswith("0::")), "")
        return found == inside or found.startswith(f"{inside}/")

    def processes(self, scope: Scope) -> list[int]:
        """The pids in the scope, the placeholder not among them."""
        return [pid for pid in self._pids(self._directory(scope)) if not self._is_placeholder(pid)]

    def move(self, old: Scope, new: Scope) -> None:
        """Move everything from one scope into another, until the old one is empty (REVIEW 5).  Raises `Unsafe`."""
        source, target = self._directory(old), self._directory(new) / "cgroup.procs"
        for _ in range(1000):
            pids = self._pids(source)
            if not pids:
                return
            for pid in pids:
                with contextlib.suppress(OSError):  # it ended, or forked on: the next round sees
                    target.write_text(f"{pid}\n")
        raise Unsafe(f"{old.name} does not become empty")

    def kill(self, scope: Scope, *, patience_s: float = 2.0) -> int:
        """Kill everything inside, again until the kernel says `populated 0`; returns how many there were.

        Raises `Unsafe` if something is left.  One write can miss a process that is just being forked.
        """
        directory = self._directory(scope)
        killed = len(self.processes(scope))
        give_up = time.monotonic() + patience_s
        while self._populated(directory):
            with contextlib.suppress(OSError):  # removed under our hands; if not, the deadline below speaks
                (directory / "cgroup.kill").write_text("1")
            if time.monotonic() > give_up:
                raise Unsafe(f"{scope.name} does not become empty")
            time.sleep(0.001)
        return killed

    def found(self) -> Iterator[Scope]:
        """Every scope on the host that carries our name."""
        for slice_ in (self._paths.cgroup / "jit.slice", *self._users.glob("user-*.slice")):
            for path in slice_.glob("jit-gnt-*.scope"):
                if _NAME.fullmatch(path.name):
                    yield Scope(path.name, slice_.name)

    def _directory(self, scope: Scope) -> Path:
        above = self._users if scope.slice.startswith("user-") else self._paths.cgroup
        return above / scope.slice / scope.name

    def _pids(self, directory: Path) -> list[int]:
        pids = []
        for folder, _, _ in os.walk(directory):
            with contextlib.suppress(OSError):  # removed while we look
                pids += [int(line) for line in (Path(folder) / "cgroup.procs").read_text().split()]
        return pids

    def _populated(self, directory: Path) -> bool:
        try:
            return "populated 1" in (directory / "cgroup.events").read_text()
        except OSError as e:
            if e.errno in (errno.ENOENT, errno.ENODEV):
                return False
            raise Unsafe(f"cannot read {directory}: {e.strerror}") from e

    def _is_placeholder(self, pid: int) -> bool:
        try:
            return (self._paths.proc / str(pid) / "cmdline").read_bytes() == _PLACEHOLDER_CMDLINE
        except OSError:
            return False

    def _await(self, pid: int, name: str) -> None:
        for _ in range(2000):
            with contextlib.suppress(OSError):
                if (self._paths.proc / str(pid) / "cgroup").read_text().rstrip().endswith(f"/{name}"):
                    return
            time.sleep(0.001)
        raise Unsafe(f"systemd did not start {name} within two seconds")
