"""Sessions as the agent tells of them (SPEC 4.2, 8), from untrusted JSON to frozen values.

Text in these values is still the text of other people: `terminal` makes it safe
when it is shown (S12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jit_cli.fields import Fields


@dataclass(frozen=True, slots=True)
class Session:
    """One sudo of mine; instants in µs UTC, 0 for not (yet)."""

    session_id: str
    grant_id: str
    role: str
    host: str
    run_as_user: str
    command: str
    argv: tuple[str, ...]
    cwd: str
    tty: str
    state: str
    started_at: int
    ended_at: int
    exit_value: int
    signal: str
    run_time_us: int
    record: str
    recording: str
    # Why the recording ends before the session does; empty: it does not.
    incomplete: str
    output_bytes: int
    input_bytes: int
    stored_bytes: int
    rows: int
    columns: int
    # By a rule of the host's own sudoers, not by a grant.
    standing: bool
    watchers: tuple[str, ...]
    # Who froze it or ordered its end, and why; empty: nobody.
    order: str
    reject_reason: str

    @classmethod
    def read(cls, fields: Fields) -> Session:
        return cls(
            session_id=fields.text("session_id"),
            grant_id=fields.text("grant_id"),
            role=fields.text("role"),
            host=fields.text("host"),
            run_as_user=fields.text("run_as_user"),
            command=fields.text("command"),
            argv=fields.texts("argv"),
            cwd=fields.text("cwd"),
            tty=fields.text("tty"),
            state=fields.text("state"),
            started_at=fields.number("started_at"),
            ended_at=fields.number("ended_at"),
            exit_value=fields.number("exit_value"),
            signal=fields.text("signal"),
            run_time_us=fields.number("run_time_us"),
            record=fields.text("record"),
            recording=fields.text("recording"),
            incomplete=fields.text("incomplete"),
            output_bytes=fields.number("output_bytes"),
            input_bytes=fields.number("input_bytes"),
            stored_bytes=fields.number("stored_bytes"),
            rows=fields.number("rows"),
            columns=fields.number("columns"),
            standing=fields.flag("standing"),
            watchers=fields.texts("watchers"),
            order=fields.text("order"),
            reject_reason=fields.text("reject_reason"),
        )


@dataclass(frozen=True, slots=True)
class Command:
    """A program that a session's command started; `rejected`: why it did not, empty if it did."""

    at: int
    command: str
    argv: tuple[str, ...]
    cwd: str
    run_as_user: str
    rejected: str

    @classmethod
    def read(cls, fields: Fields) -> Command:
        return cls(
            at=fields.number("at"),
            command=fields.text("command"),
            argv=fields.texts("argv"),
            cwd=fields.text("cwd"),
            run_as_user=fields.text("run_as_user"),
            rejected=fields.text("rejected"),
        )


@dataclass(frozen=True, slots=True)
class Details:
    """All that is known of one session; `truncated`: it started more programs than are listed."""

    session: Session
    environment: tuple[str, ...]
    commands: tuple[Command, ...]
    truncated: bool

    @classmethod
    def read(cls, untrusted_answer: dict[str, Any]) -> Details:
        fields = Fields(untrusted_answer)
        return cls(
            session=Session.read(fields.object("session")),
            environment=fields.texts("environment"),
            commands=tuple(map(Command.read, fields.objects("commands"))),
            truncated=fields.flag("truncated"),
        )
