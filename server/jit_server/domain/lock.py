"""A lock: while it stands, nothing it hits is asked for, decided on, started or extended (S10).

Rule 1: what a lock hits is decided here and nowhere else; `domain/policy/decision.py` asks it in every decision.
Rule 2: a lock hits by name.  A person's name is theirs for ever, whatever the case of its letters, and a host that
enrols again under its old name is the host that somebody wanted to be locked.
Rule 3: locks add up: of two that hit the same thing both have to go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from jit_server.domain.identity import Host, User
from jit_server.domain.span import instant, typed
from jit_server.errors import Invalid

MAX_LOCK_S = 366 * 24 * 3600
"""A lock with a time limit has at most this; without one it stands until it is lifted."""


class LockKind(StrEnum):
    USER = "user"
    HOST = "host"
    ROLE = "role"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock as stored; times in µs UTC.

    `expires_at` is zero for a lock without a time limit; `lifted_at` is zero until somebody, or the server at the end
    of its time, has lifted it, and then `lifted_by` is a name or, for the server, empty.
    """

    lock_id: str
    kind: LockKind
    target: str
    """The name of the user, host or role."""
    reason: str
    created_by: str
    created_by_id: str
    created_at: int
    expires_at: int = 0
    lifted_at: int = 0
    lifted_by: str = ""
    grants_ended: int = 0
    requests_cancelled: int = 0

    def stands_at(self, now: int) -> bool:
        return not self.lifted_at and not self.is_past(now)

    def is_past(self, now: int) -> bool:
        """Whether its time is up; it then counts no more, whether or not the server has written so already."""
        return 0 < self.expires_at <= now

    def __str__(self) -> str:
        """Why not, for the person who is refused: "alice is locked until 2026-11-23 14:00 UTC: … (by carol)"."""
        what = self.target if self.kind is LockKind.USER else f"{self.kind} {self.target}"
        until = f" until {instant(self.expires_at)}" if self.expires_at else ""
        return f"{what} is locked{until}: {self.reason} (by {self.created_by})"


def on_person(locks: Iterable[Lock], user: User) -> Lock | None:
    """The lock that keeps this person from asking, deciding and lifting locks; of several the longest."""
    return _longest(lock for lock in locks if lock.kind is LockKind.USER and lock.target == user.name)


def on_host(locks: Iterable[Lock], host: Host) -> Lock | None:
    return _longest(lock for lock in locks if lock.kind is LockKind.HOST and lock.target == host.name)


def on_role(locks: Iterable[Lock], role: str) -> Lock | None:
    return _longest(lock for lock in locks if lock.kind is LockKind.ROLE and lock.target == role)


def check_duration(untrusted_s: int) -> int:
    """Return the seconds, zero for no limit; raise `Invalid` for what is no time for a lock."""
    if not 0 <= untrusted_s <= MAX_LOCK_S:
        raise Invalid(
            f"a lock cannot last {typed(untrusted_s)}",
            hint=f"give {typed(MAX_LOCK_S)} at most, or no time for a lock that stands until it is lifted",
        )
    return untrusted_s


def check_kind(untrusted_word: str) -> LockKind:
    """Return the kind; raise `Invalid` for another word."""
    try:
        return LockKind(untrusted_word)
    except ValueError:
        kinds = ", ".join(LockKind)
        raise Invalid(f"{untrusted_word[:64]!a} cannot be locked", hint=f"what can be locked: {kinds}") from None


def _longest(locks: Iterable[Lock]) -> Lock | None:
    """So that "until" is true: the one without an end, or else the one with the latest."""
    return max(locks, key=lambda lock: (not lock.expires_at, lock.expires_at), default=None)
