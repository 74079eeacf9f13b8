"""One scope a grant: everything it starts is in there, and dies with it (S2, S4, DESIGN 5, REVIEW 5).

The scope is made around a sleeping placeholder, so that admitting a sudo is one write to `cgroup.procs`.  While the
placeholder lives PID 1 cannot take the scope for empty and forget it, and its time limit with it.
"""

import contextlib
import errno
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jit_enforcer import dbus, placeholder, processes, units
from jit_enforcer.errors import Expired, Unsafe
from jit_enforcer.paths import Paths
from jit_enforcer.units import Scope

_NAME: Final = re.compile(r"jit-gnt-[0-9a-hjkmnp-tv-z]{16}(-r[0-9]{1,10})?\.scope")
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
        pid = placeholder.spawn()
        try:
            units.start(self._paths.bus, scope, pid=pid, runtime_us=left_us - _SECOND, not_after=not_after)
            self._await(pid, scope.name)
        except Unsafe:
            placeholder.bury(pid)
            raise

    def mend(self, scope: Scope) -> None:
        """Give a scope whose placeholder was killed another one.  Raises `Unsafe` if PID 1 has given the scope up."""
        pid = placeholder.spawn()
        try:
            units.attach(self._paths.bus, scope, pid=pid)
            self._await(pid, scope.name)
        except Unsafe:
            placeholder.bury(pid)
            raise

    def stop_timer(self, scope: Scope) -> None:
        """Take the calendar timer back.  Raises `Unsafe` if the bus is away; then it fires once, into nothing."""
        with contextlib.suppress(dbus.Refused):  # it has fired, or was never made
            units.stop_timer(self._paths.bus, scope)

    def exists(self, scope: Scope) -> bool:
        return self._directory(scope).is_dir()

    def whole(self, scope: Scope) -> bool:
        """True if the placeholder is alive in it, so that PID 1 keeps the scope and its time limit."""
        return any(placeholder.is_one(self._paths, pid) for pid in self._pids(self._directory(scope)))

    def admit(self, scope: Scope, pid: int) -> None:
        """Move a process into the scope.  Raises `Unsafe` unless it is there and PID 1 still holds the scope."""
        directory = self._directory(scope)
        try:
            (directory / "cgroup.procs").write_text(f"{pid}\n")
        except OSError as e:
            raise Unsafe(f"cannot move the process into {scope.name}: {e.strerror}") from e
        if not self.holds(scope, pid) or not self.whole(scope):
            raise Unsafe(f"{scope.name} was given up meanwhile: run it again")

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
        return [pid for pid in self._pids(self._directory(scope)) if not placeholder.is_one(self._paths, pid)]

    def programs(self, scope: Scope) -> list[int]:
        """The pids in the scope that are neither placeholder nor sudo."""
        return [pid for pid in self.processes(scope) if not processes.runs_sudo(self._paths, pid)]

    def send(self, scope: Scope, pid: int, *numbers: signal.Signals) -> None:
        """Send signals to a process, if it is in the scope still."""
        with contextlib.suppress(OSError), processes.held(pid) as pidfd:  # it ended
            if self.holds(scope, pid):
                for number in numbers:
                    signal.pidfd_send_signal(pidfd, number)

    def move(self, old: Scope, new: Scope) -> None:
        """Move all programs from one scope into another, and let PID 1 forget the old one (REVIEW 5).  Raises `Unsafe`.

        Its placeholder goes last, and dies: new processes are moved until none has come.
        """
        target = self._directory(new) / "cgroup.procs"
        for _ in range(1000):
            pids = self.processes(old)
            for pid in pids:
                with contextlib.suppress(OSError):  # it ended, or forked on: the next round sees
                    target.write_text(f"{pid}\n")
            if not pids:
                break
        else:
            raise Unsafe(f"{old.name} does not become empty")
        self.kill(old)

    def kill(self, scope: Scope, *, patience_s: float = 2.0) -> int:
        """Kill everything inside, again until the kernel says `populated 0`; returns how many programs there were.

        Raises `Unsafe` if something is left.  One write can miss a process that is just being forked.
        """
        directory = self._directory(scope)
        killed = len(self.programs(scope))
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

    def _await(self, pid: int, name: str) -> None:
        for _ in range(2000):
            with contextlib.suppress(OSError):
                if (self._paths.proc / str(pid) / "cgroup").read_text().rstrip().endswith(f"/{name}"):
                    return
            time.sleep(0.001)
        raise Unsafe(f"systemd did not start {name} within two seconds")
