"""While a grant lives: does this host's sudo still do what we meant?  If not, every grant ends at once (DESIGN 5, S6).

sudo may be swapped for one that cannot enforce grants, and a later file may weaken ours.  That something changed is
seen by a look at sudo and its files, before each request and every second; what it means is asked of sudo itself then,
and every minute in any case, for what a look does not show.
"""

import sys
from typing import Final

from jit_enforcer import ending
from jit_enforcer.errors import Denied, Unsafe, Unsuitable
from jit_enforcer.host import Host

_SECOND: Final = 1_000_000
_EVERY_S: Final = 1.0
_ASK_AGAIN_US: Final = 60 * _SECOND
# Files are edited, packages unpacked, and the process table may be full: no answer for so long is a bad one.
_PATIENCE_US: Final = 10 * _SECOND


class Lookout:
    """Remembers when, and in which state of sudo and its files, all was well."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._well: object = None
        self._well_at = host.clock.boot_us()

    def look(self) -> None:
        """End all grants, as stopped by the host, if this host can no longer keep them."""
        host, now = self._host, self._host.clock.boot_us()
        live, seen = host.live(), host.probe.fingerprint()
        if not live:  # the first grant is let in by a look at the whole that comes after this one
            self._well, self._well_at = seen, now
            return
        guarded = host.rules.guard(live)
        if guarded and seen == self._well and now - self._well_at < _ASK_AGAIN_US:
            return
        try:
            if not guarded:  # sudo would ask nobody, and start outside every scope
                raise Unsuitable(f"a file of ours is gone from {host.paths.dropins}")
            if problems := host.probe.known_problems():
                raise Unsuitable(problems[0])
            host.rules.verify(live)
        except Unsafe as e:
            if now - self._well_at < _PATIENCE_US:
                return
            reason: Denied = e
        except Denied as e:
            reason = e
        else:
            self._well, self._well_at = seen, now
            return
        sys.stderr.write(f"All grants end: {reason}\n")
        ending.end(host, live, "stopped")

    def wait_s(self) -> float:
        """How long the loop may sleep before the next look, in seconds."""
        return _EVERY_S if self._host.live() else 60.0
