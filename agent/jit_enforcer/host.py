"""What apply, end, admit and reconcile share: one host, its clock, ledger, rules and scopes."""

import contextlib
import os
import time
from dataclasses import dataclass

from jit_enforcer.clock import Clock
from jit_enforcer.ledger import Entry, Ledger
from jit_enforcer.paths import Paths
from jit_enforcer.probe import Probe
from jit_enforcer.rules import Rules
from jit_enforcer.scope import Scopes


@dataclass(frozen=True, slots=True)
class Host:
    """`boot` is the id of the boot that grants must be signed for."""

    paths: Paths
    clock: Clock
    boot: str
    ledger: Ledger
    rules: Rules
    scopes: Scopes
    probe: Probe

    def left_us(self, entry: Entry) -> int:
        """What is left until the deadline: the earlier of the wall clock's and the boot clock's (SPEC 2.4)."""
        return min(entry.grant.not_after - self.clock.wall_us(), entry.deadline - self.clock.boot_us())

    def live(self) -> list[Entry]:
        """Grants whose rules stand, or should."""
        return [entry for entry in self.ledger.entries.values() if entry.state == "live"]

    def unfinished(self) -> list[Entry]:
        """Grants that are live, and those whose end is still under way."""
        return [entry for entry in self.ledger.entries.values() if entry.state != "ended"]

    def unreported(self) -> list[Entry]:
        """Grants that have ended, in proof, and nobody said yet that the proof is durable elsewhere."""
        return [entry for entry in self.ledger.entries.values() if entry.state == "ended" and not entry.reported]

    def rest(self) -> None:
        """After a round of work: bury placeholders that died, and unlink emptied files while no grant lives."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not self.unfinished():
            self.rules.sweep(older_than_s=60, now_s=time.time())

    def sweep(self) -> None:
        """Take away what sessions that are over left of themselves; not on the path of every sudo."""
        for entry in self.live():
            self.scopes.sweep(entry.scope)

    def ensure_scope(self, entry: Entry) -> None:
        """Make the scope anew if it is gone while the grant lives, or mend it.  Raises `Denied`."""
        if self.scopes.whole(entry.scope):
            return
        if self.scopes.exists(entry.scope):
            self.scopes.mend(entry.scope)
        else:
            self.scopes.start(entry.scope, left_us=self.left_us(entry), not_after=entry.grant.not_after)
