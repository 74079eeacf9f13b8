"""What the server told us, as values.

Field names are those of the protobuf messages; instants are aware datetimes
in UTC, absent ones None; enums are lower-case words (SPEC 4.2).  `wire` is the
only module that makes these from messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class RequestState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


class GrantState(StrEnum):
    SCHEDULED = "scheduled"
    ISSUED = "issued"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Ask:
    argv: tuple[str, ...]
    run_as_user: str
    run_as_group: str
    shell: bool
    login: bool
    exact: bool


@dataclass(frozen=True, slots=True)
class Decision:
    by: str
    approved: bool
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    grant_id: str
    request_id: str
    user: str
    host: str
    role: str
    run_as_user: str
    run_as_group: str
    commands: tuple[str, ...]
    state: GrantState
    not_before: datetime
    not_after: datetime
    ended_at: datetime | None
    end_reason: str
    end_confirmed: bool
    reason: str
    approved_by: tuple[str, ...]
    once: bool
    this_session: bool
    lease_s: int
    extensions: int
    unconfirmed_at: datetime | None
    leftovers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BatchHost:
    """One host of a request for several; without a request it was left out, and `why` says why."""

    host: str
    request_id: str
    state: RequestState | None
    grant_state: GrantState | None
    why: str


@dataclass(frozen=True, slots=True)
class Request:
    request_id: str
    user: str
    host: str
    role: str
    ask: Ask
    reason: str
    ticket: str
    duration_s: int
    state: RequestState
    created_at: datetime
    lapses_at: datetime | None
    approvals_needed: int
    approvers: tuple[str, ...]
    decisions: tuple[Decision, ...]
    grant: Grant | None
    role_commands: tuple[str, ...]
    mfa_passed: bool
    once: bool
    this_session: bool
    starts_at: datetime | None
    extends: str
    """The grant that is to last longer; empty for a new one."""
    extends_to: datetime | None
    past_max_s: int
    batch_id: str
    batch: tuple[BatchHost, ...]
    """All hosts it was asked for at once, its own too; empty when it stands alone."""


@dataclass(frozen=True, slots=True)
class Lock:
    lock_id: str
    kind: str
    """user, host or role"""
    target: str
    reason: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    lifted_at: datetime | None
    lifted_by: str
    """Empty: its time was up."""
    grants_ended: int
    requests_cancelled: int


@dataclass(frozen=True, slots=True)
class Alert:
    kind: str
    since: datetime
    host: str
    user: str
    role: str
    grant_id: str
    message: str


@dataclass(frozen=True, slots=True)
class WhoAmI:
    user_id: str
    name: str
    duties: tuple[str, ...]
    groups: tuple[str, ...]
    approver_of: tuple[str, ...]
    expires_at: datetime
    mfa_enrolled: bool


@dataclass(frozen=True, slots=True)
class Host:
    host_id: str
    name: str
    labels: dict[str, str]
    enrolled_at: datetime | None
    last_seen: datetime | None
    connected: bool
    agent_version: str
    sudo_version: str
    problems: tuple[str, ...]
    live_grants: int
    removed: bool


@dataclass(frozen=True, slots=True)
class EnrollToken:
    token: str
    expires_at: datetime
    bootstrap: str
    ca_fingerprint: str


@dataclass(frozen=True, slots=True)
class User:
    user_id: str
    name: str
    account: str
    duties: tuple[str, ...]
    groups: tuple[str, ...]
    mfa_enrolled: bool
    disabled: bool
    created_at: datetime
    service: bool
    """An account of a program: it never logs in or approves, and has only what is active for it."""


@dataclass(frozen=True, slots=True)
class UserWithToken:
    """A service has no second factor, and so no token."""

    user: User
    mfa_token: str
    mfa_token_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    sequence: int
    at: datetime
    kind: str
    actor: str
    user: str
    host: str
    role: str
    request_id: str
    grant_id: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to ask for; empty and None match everything."""

    user: str = ""
    host: str = ""
    role: str = ""
    request_id: str = ""
    grant_id: str = ""
    kind: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TotpOffer:
    uri: str
    qr: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Login:
    """A fresh certificate and where it may be used."""

    certificate: str
    ca: str
    expires_at: datetime
    server: str
