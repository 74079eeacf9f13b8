"""Sudo sessions and what was recorded of them, as the server told us (SPEC 8).

As in `model`: field names are those of the protobuf messages, instants are
aware datetimes in UTC, enums are lower-case words.  `session_wire` is the only
module that makes these from messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SessionState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    FROZEN = "frozen"
    ENDED = "ended"
    LOST = "lost"
    REJECTED = "rejected"

    @property
    def over(self) -> bool:
        return self in {SessionState.ENDED, SessionState.LOST, SessionState.REJECTED}


class RecordingState(StrEnum):
    NONE = "none"
    ARRIVING = "arriving"
    WHOLE = "whole"
    INCOMPLETE = "incomplete"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Session:
    session_id: str
    grant_id: str
    role: str
    user: str
    host: str
    run_as_user: str
    command: str
    argv: tuple[str, ...]
    cwd: str
    tty: str
    state: SessionState
    started_at: datetime | None
    """By the host's clock; none while it waits."""
    ended_at: datetime | None
    exit_value: int
    signal: str
    run_time_us: int
    record: str
    """none, events, output or input"""
    recording: RecordingState
    incomplete: str
    """Why the recording ends before the session does."""
    chunks: int
    output_bytes: int
    input_bytes: int
    stored_bytes: int
    rows: int
    columns: int
    standing: bool
    """By a rule of the host's own sudoers, not by a grant."""
    watchers: tuple[str, ...]
    order: str
    """Who froze it or ordered its end, and why; empty: nobody."""
    reject_reason: str


@dataclass(frozen=True, slots=True)
class SessionCommand:
    """A program that the session's command started."""

    at: datetime
    command: str
    argv: tuple[str, ...]
    cwd: str
    run_as_user: str
    rejected: str
    """Not empty: sudo refused it, and why."""


@dataclass(frozen=True, slots=True)
class SessionDetails:
    session: Session
    environment: tuple[str, ...]
    commands: tuple[SessionCommand, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions; empty and None mean any."""

    host: str = ""
    user: str = ""
    role: str = ""
    grant_id: str = ""
    text: str = ""
    states: tuple[SessionState, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one chunk of a recording, unchecked; `recording.chunks` puts the parts together."""

    chunk: int
    end_ns: int
    encoding: str
    size: int
    decoded_size: int
    sha256: bytes
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    session_id: str
    verdict: str
    """whole, incomplete, arriving, deleted or damaged"""
    detail: str
    chunks: int
    stored_bytes: int
