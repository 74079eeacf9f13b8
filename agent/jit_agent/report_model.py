"""What the agent reports to the server (SPEC 5.3): what became of grants, and what sudo told of sessions.

Times are µs UTC, durations whole seconds, unless a name ends in `_us`.
"""

from __future__ import annotations

from dataclasses import dataclass

from jit_agent.model import Person, Proof


@dataclass(frozen=True, slots=True)
class Applied:
    revision: int
    scope: str


@dataclass(frozen=True, slots=True)
class Refused:
    revision: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionStarted:
    session_id: str
    person: Person
    run_as_user: str
    argv: tuple[str, ...]
    command: str
    cwd: str
    tty: str
    standing: bool
    record: str
    environment: tuple[str, ...]
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class SessionWaiting:
    """sudo waits at the gate for somebody to watch it."""

    session_id: str
    person: Person
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A program that a session's command started; `rejected` says why it was not let, empty if it was."""

    session_id: str
    argv: tuple[str, ...]
    command: str
    cwd: str
    run_as_user: str
    rejected: str


@dataclass(frozen=True, slots=True)
class SessionFrozen:
    """The session's processes were stopped, or go on; `why` is order or unwatched."""

    session_id: str
    frozen: bool
    why: str


@dataclass(frozen=True, slots=True)
class SessionRejected:
    session_id: str
    person: Person
    argv: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`lost`: sudo's connection broke before it told us the exit.

    `digest` is that of the recording (SPEC 8.2), empty without chunks; `incomplete` says why the recording ends before
    the session does, empty if it is whole.  The bytes are what the command wrote and read.
    """

    session_id: str
    exit_value: int = 0
    signal: str = ""
    run_time_us: int = 0
    lost: bool = False
    chunks: int = 0
    digest: bytes = b""
    output_bytes: int = 0
    input_bytes: int = 0
    incomplete: str = ""


@dataclass(frozen=True, slots=True)
class DropAsked:
    person: Person


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was before the grant."""

    path: str
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a grant left behind on the host, among what matters (SPEC 3.6); `truncated`: there was more."""

    grant_id: str
    before_at: int
    after_at: int
    changes: tuple[Change, ...]
    truncated: bool


SessionEvent = SessionStarted | SessionWaiting | SessionRejected | Subcommand | SessionFrozen
ReportBody = Applied | Refused | Proof | SessionEvent | SessionEnded | DropAsked | Footprint
