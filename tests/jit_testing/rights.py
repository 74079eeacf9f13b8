"""Who may run what, where, until when: a model of the whole, against which real hosts are held.

It knows what was asked and answered, never what a host says, and it errs on one side only: at any instant it allows at
least what the rules of DESIGN 4 allow.  What a host allows beyond it is a right too many (S1) or one too long (S2).
Times are µs UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

SECOND = 1_000_000
LATE = 2 * SECOND
"""How long after its end a process, a scope or a rule may be there, whatever is dead."""
REVOKED = 2 * SECOND
"""How long a revocation may take on a host that is connected and whose services run."""
RECONNECTING = 40 * SECOND
"""How long after a fault a host may still not have heard of a revocation."""


@dataclass(slots=True)
class Right:
    """A grant, as far as is known.

    `ends` is the latest it can end; `grant` is empty if an answer was lost, so that the grant may not exist at all.
    """

    person: str
    host: str
    role: str
    everything: bool
    ends: int
    grant: str
    revoked: int | None = None
    dropped: int | None = None


@dataclass(slots=True)
class HostState:
    """What keeps a host from hearing of a revocation: now, and up to when after the last fault."""

    cut: bool = False
    enforcer_dead: bool = False
    excused_until: int = 0

    def is_excused(self, at: int) -> bool:
        return self.cut or self.enforcer_dead or at < self.excused_until


@dataclass(slots=True)
class Rights:
    """Every right there ever was in this run."""

    hosts: dict[str, HostState]
    all: list[Right] = field(default_factory=list)
    programs: dict[str, list[Right]] = field(default_factory=dict)
    """Mark of a program that runs under a grant → the rights it may have been started by."""

    def fault(self, host: str, at: int) -> None:
        """Something on the host's way to the server, or on the host, was broken and is whole again."""
        self.hosts[host].excused_until = at + RECONNECTING

    def settled(self) -> None:
        """Every host has heard everything: no fault of before excuses anything any more."""
        for host in self.hosts.values():
            host.excused_until = 0

    def revoke(self, at: int, *, person: str = "", host: str = "", role: str = "", grant: str = "") -> None:
        """What hits this person, host, role or grant is ordered to end."""
        for right in self.all:
            hit = person in ("", right.person) and host in ("", right.host) and role in ("", right.role)
            if hit and grant in ("", right.grant) and right.revoked is None:
                right.revoked = at

    def drop(self, at: int, grants: Collection[str]) -> None:
        """The host proved that nothing is left of these."""
        for right in self.all:
            if right.grant in grants and right.dropped is None:
                right.dropped = at

    def may_stand(self, right: Right, at: int, *, late: int = 0) -> bool:
        """Whether the right may still be in force then."""
        if at >= right.ends + late or (right.dropped is not None and at >= right.dropped + late):
            return False
        if right.revoked is None:
            return True
        return at < right.revoked + REVOKED or self.hosts[right.host].is_excused(at)

    def standing(self, at: int, *, person: str = "", host: str = "", late: int = 0) -> Iterator[Right]:
        for right in self.all:
            if person in ("", right.person) and host in ("", right.host) and self.may_stand(right, at, late=late):
                yield right

    def may_run(self, person: str, host: str, at: int, *, everything: bool) -> bool:
        """Whether `sudo` started then may run: a command of every role, or one of those that allow everything."""
        if self.hosts[host].enforcer_dead:
            return False
        return any(right.everything or not everything for right in self.standing(at, person=person, host=host))

    def started(self, mark: str, person: str, host: str, at: int) -> None:
        """A program runs under one of the rights that allow everything; the gate chose which."""
        self.programs[mark] = [right for right in self.standing(at, person=person, host=host) if right.everything]

    def may_live(self, mark: str, at: int) -> bool:
        """Whether the program may still run."""
        return any(self.may_stand(right, at, late=LATE) for right in self.programs[mark])
