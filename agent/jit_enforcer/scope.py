"""One scope a grant: everything it starts is in there, and dies with it (S2, S4, DESIGN 5, REVIEW 5).

The scope is made around a sleeping placeholder, so that admitting a sudo is one write to `cgroup.procs`.  While the
placeholder lives PID 1 cannot take the scope for empty and forget it, and its time limit with it.  Each session has a
cgroup of its own below the scope, which is delegated to us, so that it alone can be frozen or killed (SPEC 3.2).
"""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jit_enforcer import cgroup, dbus, migration, placeholder, processes, units
from jit_enforcer.errors import Expired, Unsafe
from jit_enforcer.grant import SESSION_ID
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
        return any(placeholder.is_one(self._paths, pid) for pid in cgroup.pids(self._directory(scope)))

    def admit(self, scope: Scope, session: str, pid: int) -> None:
        """Move a process into the session's cgroup.  Raises `Unsafe` unless it is there and PID 1 holds the scope.

        Asking again for the same process is harmless; two cannot begin one session.
        """
        directory = self._directory(scope, session)
        if {*cgroup.pids(directory)} - {pid}:
            raise Unsafe(f"{session} has begun already: run it again")
        try:
            directory.mkdir(exist_ok=True)
            cgroup.enter(directory, pid)
        except OSError as e:
            raise Unsafe(f"cannot move the process into {scope.name}: {e.strerror}") from e
        if cgroup.of_process(self._paths, pid) != self._inside(directory) or not self.whole(scope):
            raise Unsafe(f"{scope.name} was given up meanwhile: run it again")

    def holds(self, scope: Scope, pid: int) -> bool:
        """True if the process is in the scope or in a cgroup below it."""
        inside = self._inside(self._directory(scope))
        return f"{cgroup.of_process(self._paths, pid)}/".startswith(f"{inside}/")

    def has_session(self, scope: Scope, session: str) -> bool:
        """True if something of the session is in the scope.  Raises `Unsafe`."""
        return cgroup.is_populated(self._directory(scope, session))

    def freeze(self, scope: Scope, session: str) -> bool:
        """Let nothing of the session run; returns whether that was new.  Raises `Unsafe`."""
        return cgroup.set_frozen(self._directory(scope, session), frozen=True)

    def await_frozen(self, scope: Scope, session: str) -> None:
        """Raises `Unsafe` unless all of it stands still within a second."""
        cgroup.await_frozen(self._directory(scope, session))

    def thaw(self, scope: Scope, session: str) -> bool:
        """Let it go on; returns whether that was new.  Raises `Unsafe`."""
        return cgroup.set_frozen(self._directory(scope, session), frozen=False)

    def kill_session(self, scope: Scope, session: str) -> int:
        """As `kill`, of one session, within a second."""
        return self._kill(self._directory(scope, session), patience_s=1.0)

    def kill_frozen(self, scope: Scope) -> None:
        """Kill the sessions that are frozen, without a thaw in which they could act; waits for nothing."""
        for directory in self._sessions(scope):
            with contextlib.suppress(Unsafe):  # what it may be is killed with all the rest
                if cgroup.is_frozen(directory):
                    cgroup.begin_to_kill(directory)

    def sweep(self, scope: Scope) -> None:
        """Remove the cgroups of sessions that are over."""
        for directory in self._sessions(scope):
            with contextlib.suppress(OSError):  # it is not over
                directory.rmdir()

    def processes(self, scope: Scope) -> list[int]:
        """The pids in the scope, the placeholder not among them."""
        return self._processes(self._directory(scope))

    def programs(self, scope: Scope) -> list[int]:
        """The pids in the scope that are neither placeholder nor sudo."""
        return self._programs(self.processes(scope))

    def send(self, scope: Scope, pid: int, *numbers: signal.Signals) -> None:
        """Send signals to a process, if it is in the scope still."""
        with contextlib.suppress(OSError), processes.held(pid) as pidfd:  # it ended
            if self.holds(scope, pid):
                for number in numbers:
                    signal.pidfd_send_signal(pidfd, number)

    def move(self, old: Scope, new: Scope) -> None:
        """Move all programs from one scope into another, and let PID 1 forget the old one (REVIEW 5).  Raises `Unsafe`.

        Its placeholder goes last, and dies.
        """
        migration.move(self._paths, self._directory(old), self._directory(new))
        self.kill(old)

    def kill(self, scope: Scope, *, patience_s: float = 2.0) -> int:
        """Kill everything inside; returns how many programs there were.  Raises `Unsafe` if something is left."""
        return self._kill(self._directory(scope), patience_s=patience_s)

    def found(self) -> Iterator[Scope]:
        """Every scope on the host that carries our name."""
        for slice_ in (self._paths.cgroup / "jit.slice", *self._users.glob("user-*.slice")):
            for path in slice_.glob("jit-gnt-*.scope"):
                if _NAME.fullmatch(path.name):
                    yield Scope(path.name, slice_.name)

    def _directory(self, scope: Scope, session: str = "") -> Path:
        above = self._users if scope.slice.startswith("user-") else self._paths.cgroup
        return above / scope.slice / scope.name / session

    def _inside(self, directory: Path) -> str:
        return f"/{directory.relative_to(self._paths.cgroup)}"

    def _sessions(self, scope: Scope) -> Iterator[Path]:
        """The cgroups of all that were let in and are not swept away."""
        directory = self._directory(scope)
        with contextlib.suppress(OSError):  # the scope has gone
            if directory.stat().st_nlink != 2:  # else there is no folder in it
                yield from (directory / name for name in os.listdir(directory) if SESSION_ID.fullmatch(name))

    def _processes(self, directory: Path) -> list[int]:
        return [pid for _, pid in migration.members(self._paths, directory)]

    def _programs(self, pids: list[int]) -> list[int]:
        return [pid for pid in pids if not processes.runs_sudo(self._paths, pid)]

    def _kill(self, directory: Path, *, patience_s: float) -> int:
        killed = len(self._programs(self._processes(directory)))
        cgroup.kill(directory, patience_s=patience_s)
        return killed

    def _await(self, pid: int, name: str) -> None:
        for _ in range(2000):
            if cgroup.of_process(self._paths, pid).endswith(f"/{name}"):
                return
            time.sleep(0.001)
        raise Unsafe(f"systemd did not start {name} within two seconds")
