"""One sudo invocation as the server knows it (SPEC 8); what may be ordered about it is in `session_order`.

Rule 1: every state and every move is in this file, in one table; the database's trigger is made from it.
Rule 2: hosts are not believed more than they must be (S11): their word describes a session and ends it, no more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from jit_server.domain.grant import DEFAULT_RETAIN_S, Grant, Record
from jit_server.domain.report import SessionEnded, SessionRejected, SessionStarted, SessionWaiting, Subcommand

MAX_COMMANDS = 10_000
"""Of a session's sub-commands so many are kept; no agent tells more than half of that."""


class SessionState(StrEnum):
    WAITING = "waiting"
    """Its role is watched, and nobody watches yet."""
    RUNNING = "running"
    FROZEN = "frozen"
    ENDED = "ended"
    LOST = "lost"
    """Its end was not told."""
    REJECTED = "rejected"


OVER = frozenset({SessionState.ENDED, SessionState.LOST, SessionState.REJECTED})
OPEN = frozenset(SessionState) - OVER

SESSION_MOVES = frozenset(
    {
        (SessionState.WAITING, SessionState.RUNNING),
        (SessionState.WAITING, SessionState.REJECTED),
        (SessionState.WAITING, SessionState.ENDED),
        (SessionState.WAITING, SessionState.LOST),
        (SessionState.RUNNING, SessionState.FROZEN),
        (SessionState.RUNNING, SessionState.ENDED),
        (SessionState.RUNNING, SessionState.LOST),
        (SessionState.FROZEN, SessionState.RUNNING),
        (SessionState.FROZEN, SessionState.ENDED),
        (SessionState.FROZEN, SessionState.LOST),
        # It was taken for lost, and its host has told the end after all.
        (SessionState.LOST, SessionState.ENDED),
    }
)


class RecordingState(StrEnum):
    """What there is of a session's recording; `services/recordings.py` moves it while chunks come and go."""

    NONE = "none"
    ARRIVING = "arriving"
    WHOLE = "whole"
    INCOMPLETE = "incomplete"
    DELETED = "deleted"


class Act(StrEnum):
    """What an approver or an administrator can do to an open session."""

    FREEZE = "freeze"
    THAW = "thaw"
    KILL = "kill"

    @property
    def done(self) -> str:
        return {Act.FREEZE: "frozen", Act.THAW: "thawed", Act.KILL: "killed"}[self]


@dataclass(frozen=True, slots=True)
class Session:
    """A session as stored; times in µs UTC, zero for not yet.

    `began_at` is the host's time of the first word about it, `started_at` of sudo's start.  A session nobody has
    described yet (its chunks came first, or the word of its start was lost) has no `started_at` and empty texts.
    """

    session_id: str
    host_id: str
    host: str
    began_at: int
    state: SessionState
    user_id: str = ""
    """Empty: an account of nobody the server knows."""
    user: str = ""
    """The person's name, or the account with its uid."""
    grant_id: str = ""
    request_id: str = ""
    role: str = ""
    watch_s: int = 0
    retain_s: int = DEFAULT_RETAIN_S
    standing: bool = False
    run_as_user: str = ""
    argv: tuple[str, ...] = ()
    command: str = ""
    cwd: str = ""
    tty: str = ""
    environment: tuple[str, ...] = ()
    rows: int = 0
    columns: int = 0
    record: Record = Record.NONE
    started_at: int = 0
    ended_at: int = 0
    """The host's time."""
    exit_value: int = 0
    signal: str = ""
    run_time_us: int = 0
    reject_reason: str = ""
    output_bytes: int = 0
    input_bytes: int = 0
    recording: RecordingState = RecordingState.NONE
    incomplete: str = ""
    """Why the recording ends before the session does: in the host's words, or why the session is lost."""
    end_told: bool = False
    """Its host has told its end, and of how many chunks its recording is."""
    chunks_told: int = 0
    """How many chunks there are, as the host said at the end."""
    digest: str = ""
    """Of the whole recording, hex, as the host said at the end (SPEC 8.2)."""
    chunks: int = 0
    """How many chunks are stored here, from the first without a gap."""
    stored_bytes: int = 0
    damage: str = ""
    """What is wrong with the recording, as first found; empty: nothing known."""
    damaged_at: int = 0
    retain_until: int = 0
    """The server's time; zero while the session is open."""
    act: Act | None = None
    """What was ordered last."""
    ordered_by: str = ""
    order_reason: str = ""
    ordered_at: int = 0

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def order(self) -> str:
        """Who froze it, or ordered its end, and why; empty if nobody did."""
        return "" if self.act in {None, Act.THAW} else self.last_order

    @property
    def last_order(self) -> str:
        if self.act is None:
            return ""
        return f"{self.act.done} by {self.ordered_by}{f': {self.order_reason}' if self.order_reason else ''}"


@dataclass(frozen=True, slots=True)
class Command:
    """A program that the session's command started; `rejected` is empty if it was let in.  `at` is the host's time."""

    at: int
    argv: tuple[str, ...]
    command: str
    cwd: str
    run_as_user: str
    rejected: str


def unknown(session_id: str, host_id: str, host: str, at: int) -> Session:
    """A session that is there, and of which nothing else is known."""
    return Session(session_id, host_id, host, at, SessionState.RUNNING)


def under(session: Session, grant: Grant | None) -> Session:
    """The session with what its grant says of it."""
    if grant is None or session.grant_id:
        return session
    return replace(
        session,
        grant_id=grant.grant_id,
        request_id=grant.request_id,
        role=grant.role,
        watch_s=grant.watch_s,
        retain_s=grant.retain_s,
    )


def waiting(session: Session, told: SessionWaiting) -> Session:
    return replace(session, state=SessionState.WAITING, argv=told.argv)


def started(session: Session, told: SessionStarted, at: int) -> Session:
    """What the word of its start adds; also to one whose end is known already."""
    recorded = told.record in {Record.OUTPUT, Record.INPUT}
    arriving = recorded and not session.is_over and session.recording is RecordingState.NONE
    return replace(
        session,
        state=SessionState.RUNNING if session.state is SessionState.WAITING else session.state,
        standing=told.standing,
        run_as_user=told.run_as_user,
        argv=told.argv,
        command=told.command,
        cwd=told.cwd,
        tty=told.tty,
        environment=told.environment,
        rows=told.rows,
        columns=told.columns,
        record=told.record,
        began_at=min(session.began_at, at),
        started_at=at,
        recording=RecordingState.ARRIVING if arriving else session.recording,
    )


def rejected(session: Session, told: SessionRejected, at: int) -> Session:
    return replace(
        session,
        state=SessionState.REJECTED,
        argv=told.argv,
        reject_reason=told.reason,
        began_at=min(session.began_at, at),
    )


def ended(session: Session, told: SessionEnded, at: int, now: int) -> Session:
    """What the word of its end adds; a recording of which there are chunks is whole once all have come."""
    if session.recording is RecordingState.DELETED:
        recording = RecordingState.DELETED
    elif told.chunks or session.chunks:
        recording = RecordingState.ARRIVING
    else:
        recording = RecordingState.INCOMPLETE if told.incomplete else RecordingState.NONE
    return replace(
        session,
        state=SessionState.LOST if told.lost else SessionState.ENDED,
        began_at=session.began_at if session.started_at else min(session.began_at, at - told.run_time_us),
        ended_at=at,
        exit_value=told.exit_value,
        signal=told.signal,
        run_time_us=told.run_time_us,
        output_bytes=told.output_bytes,
        input_bytes=told.input_bytes,
        recording=recording,
        incomplete=told.incomplete,
        end_told=True,
        chunks_told=told.chunks,
        digest=told.digest,
        retain_until=now + session.retain_s * 1_000_000,
    )


def lost(session: Session, why: str, now: int) -> Session:
    """Nobody is expected to tell its end any more, nor to send what is lacking of its recording."""
    arriving = session.recording is RecordingState.ARRIVING
    return replace(
        session,
        state=SessionState.LOST,
        ended_at=now,
        recording=RecordingState.INCOMPLETE if arriving else session.recording,
        incomplete=why if arriving else session.incomplete,
        retain_until=now + session.retain_s * 1_000_000,
    )


def subcommand(told: Subcommand, at: int) -> Command:
    return Command(at, told.argv, told.command, told.cwd, told.run_as_user, told.rejected)
