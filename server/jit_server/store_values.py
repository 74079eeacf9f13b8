"""What the store is asked with, and what it holds that no module of the domain describes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.session import SessionState


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose requests, grants and sessions a caller may see: their own, those of `roles`, those of one host, or all."""

    user_id: str = ""
    roles: frozenset[str] = frozenset()
    host_id: str = ""
    """When set, nothing of another host is in the scope, whatever else it allows."""
    everything: bool = False


@dataclass(frozen=True, slots=True)
class EnrollToken:
    """What a host will be called that shows the token; only the token's SHA-256 is stored."""

    token_hash: bytes
    host_name: str
    labels: Mapping[str, str]
    expires_at: int
    used: bool = False


@dataclass(frozen=True, slots=True)
class MfaToken:
    """A person's right to enrol one second factor; `sealed_secret` is the factor offered but not yet proved."""

    user_id: str
    token_hash: bytes
    expires_at: int
    sealed_secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class CodeFactor:
    """A person's second factor; `last_step` is the time step of the last code that was used."""

    sealed_secret: bytes
    last_step: int


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A version of the policy; people are named as they were called then.

    `digest` is that of the files (`domain.policy_change.digest`), `rolled_back_to` the version this is again, zero for
    none.
    """

    version: int
    files: tuple[PolicyFile, ...]
    applied_by: str
    applied_at: int
    digest: str
    approved_by: tuple[str, ...] = ()
    reason: str = ""
    rolled_back_to: int = 0


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which sessions; empty fields match everything.

    `grant_id` is the beginning of an id, `text` a part of the command line whatever the case of its letters, `since`
    (inclusive) and `until` (exclusive) are µs UTC of the hosts' clocks.
    """

    host: str = ""
    user: str = ""
    role: str = ""
    grant_id: str = ""
    text: str = ""
    states: Collection[SessionState] = ()
    since: int = 0
    until: int = 0
    marred: bool = False
    """Only those whose recording is damaged, or ends before they did."""


@dataclass(frozen=True, slots=True)
class LiveCount:
    """How many grants are live or scheduled: of one person, and of everybody."""

    own: int = 0
    everybody: int = 0


@dataclass(frozen=True, slots=True)
class EndNotice:
    """That somebody's right to a role ends: at `until` (µs UTC), in so many days; zero days left: it has ended."""

    role: str
    user_id: str
    active: bool
    until: int
    days_left: int


@dataclass(frozen=True, slots=True)
class Usage:
    """One command line that was run under a role: how often, by how many people, and when last (µs UTC)."""

    command: str
    """The program's full path."""
    argv: tuple[str, ...]
    run_as_user: str
    count: int
    people: int
    last_at: int
