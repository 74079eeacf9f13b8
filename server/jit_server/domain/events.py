"""Audit events (SPEC 6): what is written down, in one total order, with every change (S7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SERVER = "server"
"""The actor of what happens by itself, such as the end of a time limit."""

JsonValue = str | int | bool | None | list[str] | dict[str, str]


class EventKind(StrEnum):
    HOST_TOKEN_CREATED = "host.token_created"  # noqa: S105 (a name)
    HOST_ENROLLED = "host.enrolled"
    HOST_REMOVED = "host.removed"
    HOST_CERTIFICATE_RENEWED = "host.certificate_renewed"
    HOST_CONNECTED = "host.connected"
    HOST_DISCONNECTED = "host.disconnected"
    USER_CREATED = "user.created"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    MFA_TOKEN_CREATED = "mfa.token_created"  # noqa: S105 (a name)
    MFA_ENROLLED = "mfa.enrolled"
    MFA_FAILED = "mfa.failed"
    MFA_LOCKED = "mfa.locked"
    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_FAILED = "login.failed"
    POLICY_APPLIED = "policy.applied"
    POLICY_PROPOSED = "policy.proposed"
    POLICY_APPROVED = "policy.approved"
    POLICY_REJECTED = "policy.rejected"
    POLICY_OVERTAKEN = "policy.overtaken"
    ELIGIBILITY_RENEWAL_ASKED = "eligibility.renewal_asked"
    ELIGIBILITY_RENEWED = "eligibility.renewed"
    ELIGIBILITY_RENEWAL_DENIED = "eligibility.renewal_denied"
    ELIGIBILITY_RENEWAL_LAPSED = "eligibility.renewal_lapsed"
    ELIGIBILITY_ENDING = "eligibility.ending"
    ELIGIBILITY_ENDED = "eligibility.ended"
    REQUEST_CREATED = "request.created"
    REQUEST_REFUSED = "request.refused"
    REQUEST_APPROVED = "request.approved"
    REQUEST_DENIED = "request.denied"
    REQUEST_CANCELLED = "request.cancelled"
    REQUEST_LAPSED = "request.lapsed"
    GRANT_SCHEDULED = "grant.scheduled"
    GRANT_ISSUED = "grant.issued"
    GRANT_ACTIVE = "grant.active"
    GRANT_EXTENDED = "grant.extended"
    GRANT_REFUSED = "grant.refused"
    GRANT_REVOKED = "grant.revoked"
    GRANT_DROP_ASKED = "grant.drop_asked"
    GRANT_ENDED = "grant.ended"
    GRANT_UNCONFIRMED = "grant.unconfirmed"
    GRANT_FOOTPRINT = "grant.footprint"
    LOCK_CREATED = "lock.created"
    LOCK_LIFTED = "lock.lifted"
    SESSION_STARTED = "session.started"
    SESSION_REJECTED = "session.rejected"
    SESSION_ENDED = "session.ended"
    SESSION_WAITING = "session.waiting"
    SESSION_FROZEN = "session.frozen"
    SESSION_THAWED = "session.thawed"
    SESSION_KILLED = "session.killed"
    SESSION_WATCHED = "session.watched"
    SESSION_REPLAYED = "session.replayed"
    REPORT_REFUSED = "report.refused"
    RECORDING_STORED = "recording.stored"
    RECORDING_DELETED = "recording.deleted"
    RECORDING_DAMAGED = "recording.damaged"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `at` in µs UTC.

    `actor` and `user` are names as they were then, so that the log can be read without the rest of the database;
    empty texts mean that the event has no such thing.
    """

    at: int
    kind: EventKind
    actor: str
    user: str = ""
    host: str = ""
    role: str = ""
    request_id: str = ""
    grant_id: str = ""
    details: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event with its place in the order; sequences are 1, 2, 3 … without a gap."""

    sequence: int
    event: Event


@dataclass(frozen=True, slots=True)
class Query:
    """Which events; empty fields match everything.  `since` and `until` are µs UTC, both inclusive; zero is open."""

    after: int = 0
    limit: int = 1000
    user: str = ""
    host: str = ""
    role: str = ""
    request_id: str = ""
    grant_id: str = ""
    kind: str = ""
    since: int = 0
    until: int = 0
    newest: bool = False
