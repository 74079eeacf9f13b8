"""What a host says (SPEC 5.1, 5.3).  It may be lying: a report can end rights or describe, never add one (S11)."""

from __future__ import annotations

from dataclasses import dataclass

from jit_server.domain.grant import Record
from jit_server.domain.identity import LocalUser


@dataclass(frozen=True, slots=True)
class Hello:
    """The first word of a stream; `now` is the host's clock in µs UTC."""

    boot_id: str
    now: int
    agent_version: str
    sudo_version: str
    spool_id: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    revision: int
    scope: str


@dataclass(frozen=True, slots=True)
class GrantRefused:
    """The enforcer would not take it; `code` is of SPEC 3.4."""

    revision: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process that had left every scope; `command` is its command line, shortened."""

    pid: int
    command: str
    killed: bool

    def __str__(self) -> str:
        return f"{self.pid} {self.command}{' (killed)' if self.killed else ''}"


@dataclass(frozen=True, slots=True)
class Ended:
    """The enforcer's proof; `reason` is expired, revoked, dropped, stopped, rebooted or used."""

    revision: int
    reason: str
    late_us: int
    killed: int
    scope_empty: bool
    rule_removed: bool
    leftovers: tuple[Leftover, ...] = ()


@dataclass(frozen=True, slots=True)
class FootprintChange:
    """`kind` is sudoers, account, keys, cron, unit, setuid or at; `what` is added, removed or changed."""

    path: str
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.path} {self.what} ({self.kind})"


@dataclass(frozen=True, slots=True)
class Footprint:
    """What is otherwise on the host than before the grant; times in µs UTC of the host's clock."""

    before_at: int
    after_at: int
    changes: tuple[FootprintChange, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class DropAsked:
    user: LocalUser


@dataclass(frozen=True, slots=True)
class SessionWaiting:
    """Its role is watched: sudo starts once somebody watches (SPEC 8.5)."""

    session_id: str
    user: LocalUser
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """sudo accepted a command; `record` is what is kept of it, `environment` what of it may be (SPEC 8.2)."""

    session_id: str
    user: LocalUser
    run_as_user: str
    argv: tuple[str, ...]
    command: str
    cwd: str
    tty: str
    standing: bool
    record: Record = Record.EVENTS
    environment: tuple[str, ...] = ()
    rows: int = 0
    columns: int = 0


@dataclass(frozen=True, slots=True)
class SessionRejected:
    session_id: str
    user: LocalUser
    argv: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`digest` (hex) is that of its recording, empty without chunks; `incomplete` says why it stops short."""

    session_id: str
    exit_value: int
    signal: str
    run_time_us: int
    lost: bool
    chunks: int = 0
    digest: str = ""
    output_bytes: int = 0
    input_bytes: int = 0
    incomplete: str = ""


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A program that the session's command started; `rejected` says why it was not let in, empty if it was."""

    session_id: str
    argv: tuple[str, ...]
    command: str
    cwd: str
    run_as_user: str
    rejected: str


@dataclass(frozen=True, slots=True)
class SessionFrozen:
    """What the host did with the session's processes; `why` is order or unwatched."""

    session_id: str
    frozen: bool
    why: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """A report that makes no sense to this server, and why; `kind` is what its host calls it, empty for a kind that is
    not known here.

    Its words are not kept, for nothing says which of them anybody may know; `sha256` (hex) tells it from others.
    """

    kind: str
    why: str
    size: int
    sha256: str


SessionReport = SessionWaiting | SessionStarted | SessionRejected | SessionEnded | Subcommand | SessionFrozen

ReportBody = Applied | GrantRefused | Ended | DropAsked | Footprint | SessionReport | Unfit

END_REASONS = frozenset({"expired", "revoked", "dropped", "stopped", "rebooted", "used"})
REPLAYED, EXPIRED = "replayed", "expired"
"""Codes of SPEC 3.4: the host knows a higher revision, or the grant's end; it is just ending, and its proof follows."""


@dataclass(frozen=True, slots=True)
class Report:
    """Number `sequence` of a host's spool; `at` is the host's clock in µs UTC, `grant_id` may be empty."""

    sequence: int
    at: int
    grant_id: str
    body: ReportBody
