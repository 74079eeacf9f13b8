"""The last minutes of a grant (SPEC 3.5): warnings, then the end of its programs, before PID 1 takes what is left.

Programs get a chance to put their screen in order, and sudo, which outlives them, to put the terminal in order.
No end depends on it (S2).
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from jit_enforcer import notices
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry
from jit_enforcer.units import Scope

CLOSING_US: Final = 2_500_000
"""What is left when programs are told to end; from then on no sudo is let in."""
_KILL_US: Final = 1_500_000
_MINUTE_US: Final = 60_000_000
_NOTICES: Final = (5, 1)
# Later than this a notice would be wrong about the time: it is left out.
_STALE_US: Final = 30_000_000
_START_US: Final = 5_000_000
_TO_LEAVE_S: Final = 0.25
_TO_TIDY_S: Final = 0.15


class LastMinutes:
    """Each step once a grant and revision.  What is done is only remembered here: after a restart of the enforcer
    within 30 s of a notice it is given again, and one that fell due while the enforcer was dead is given then or, past
    these 30 s, left out.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._done: set[tuple[str, int, int]] = set()

    def tick(self) -> None:
        """Do what is due."""
        live = self._host.live()
        names = {entry.grant.grant for entry in live}
        self._done = {step for step in self._done if step[0] in names}
        for entry in live:
            left, promised = self._left(entry)
            for minutes in _NOTICES:
                if self._notice_is_due(entry, promised - minutes * _MINUTE_US) and self._first(
                    entry, entry.grant.until, minutes
                ):
                    at = self._host.clock.wall_us() + promised
                    notices.ending_soon(self._host.paths, entry.grant, minutes=minutes, wall_us=at)
            for before_us, act in ((CLOSING_US, hang_up), (_KILL_US, kill_programs)):
                if left <= before_us and self._first(entry, entry.grant.revision, -before_us):
                    stopped = act(self._host, entry.scope)
                    counted = replace(entry, killed=max(entry.killed, stopped))
                    self._host.ledger.entries[entry.grant.grant] = counted

    def wait_s(self) -> float:
        """How long until the next step, in seconds."""
        moments = []
        for entry in self._host.live():
            left, promised = self._left(entry)
            moments += [promised - minutes * _MINUTE_US for minutes in _NOTICES]
            moments += [left - CLOSING_US, left - _KILL_US]
        return min((moment / 1_000_000 for moment in moments if moment > 0), default=60.0)

    def _left(self, entry: Entry) -> tuple[int, int]:
        """Until the deadline, and until the end that the person was promised, in µs."""
        left = self._host.left_us(entry)
        return left, left + entry.grant.until - entry.grant.not_after

    def _notice_is_due(self, entry: Entry, ahead_us: int) -> bool:
        """A notice whose moment was before the grant, or at its very start, is left out: it began as short as that."""
        moment = self._host.clock.boot_us() + ahead_us
        return -_STALE_US < ahead_us <= 0 and entry.since + _START_US < moment

    def _first(self, entry: Entry, number: int, step: int) -> bool:
        key = (entry.grant.grant, number, step)
        if key in self._done:
            return False
        self._done.add(key)
        return True


def hang_up(host: Host, scope: Scope) -> int:
    """Ask everything in the scope to end; sudo hands TERM on, and must not take HUP for its terminal's end.

    A frozen session could not hear it, and shall not run again: it is killed.  Returns how many programs there were.
    """
    programs = set(host.scopes.programs(scope))
    host.scopes.kill_frozen(scope)
    for pid in host.scopes.processes(scope):
        signals = (signal.SIGHUP, signal.SIGTERM) if pid in programs else (signal.SIGTERM,)
        host.scopes.send(scope, pid, *signals)
    return len(programs)


def kill_programs(host: Host, scope: Scope) -> int:
    """Kill everything in the scope but sudo, also what it forks meanwhile; returns how many programs there were."""
    first = host.scopes.programs(scope)
    left = first
    for _ in range(10):
        for pid in left:
            host.scopes.send(scope, pid, signal.SIGKILL)
        left = host.scopes.programs(scope)
        if not left:
            break
    return len(first)


def close_now(host: Host, scopes: Sequence[Scope]) -> dict[Scope, int]:
    """An end nobody could foresee: the same for all these scopes together, in 0.4 s at most.

    Returns how many programs each had.
    """
    programs = {scope: hang_up(host, scope) for scope in scopes}
    _await(lambda: not any(host.scopes.programs(scope) for scope in scopes), _TO_LEAVE_S)
    for scope in scopes:
        kill_programs(host, scope)
    _await(lambda: not any(host.scopes.processes(scope) for scope in scopes), _TO_TIDY_S)
    return programs


def _await(done: Callable[[], bool], patience_s: float) -> None:
    give_up = time.monotonic() + patience_s
    while not done() and time.monotonic() < give_up:
        time.sleep(0.005)
