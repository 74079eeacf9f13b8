"""Sessions in words: what ran, how it ended, what was recorded of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime

from .output import facts
from .safe import shell_line
from .session_model import RecordingState, Session, SessionCommand, SessionDetails, SessionState

When = Callable[[datetime | None], str]

_STYLES = {
    SessionState.WAITING: "yellow",
    SessionState.RUNNING: "green",
    SessionState.FROZEN: "bold cyan",
    SessionState.LOST: "bold red",
    SessionState.REJECTED: "red",
}
_UNITS = ("B", "KiB", "MiB", "GiB")


def style(session: Session) -> str:
    return _STYLES.get(session.state, "")


def command(session: Session) -> str:
    """The command line; what a role lets nobody record is said to be so."""
    if session.argv:
        return shell_line(session.argv)
    return session.command or "(not recorded)"


def outcome(session: Session) -> str:
    """How it ended; its state while it has not."""
    match session.state:
        case SessionState.ENDED if session.signal:
            return f"killed by {session.signal}"
        case SessionState.ENDED:
            return f"exit {session.exit_value}"
        case SessionState.LOST:
            return "lost: its end was not told"
        case SessionState.REJECTED:
            return f"rejected: {session.reject_reason}" if session.reject_reason else "rejected"
        case SessionState.WAITING:
            return "waiting for a watcher"
        case _:
            return session.state.value


def took(session: Session) -> str:
    """The time it ran; empty while it is not known."""
    if not session.state.over or not session.run_time_us:
        return ""
    return _seconds(session.run_time_us)


def _seconds(us: int) -> str:
    minutes, rest_us = divmod(max(us, 0), 60_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest_us / 1_000_000:.1f}s" if not hours else f"{rest_us // 1_000_000}s"
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds


def size(count: int) -> str:
    """Bytes in a unit that leaves three digits or so."""
    power = min(int(math.log(count, 1024)), len(_UNITS) - 1) if count else 0
    number = count / 1024**power
    return f"{number:.0f} {_UNITS[power]}" if power == 0 or number >= 100 else f"{number:.1f} {_UNITS[power]}"


def recording(session: Session) -> str:
    """In a word what there is to replay."""
    match session.recording:
        case RecordingState.NONE:
            return "events" if session.record == "events" else "none"
        case RecordingState.INCOMPLETE:
            return f"incomplete: {session.incomplete}" if session.incomplete else "incomplete"
        case state:
            return state.value


def session_facts(details: SessionDetails, when: When) -> list[str]:
    session = details.session
    return list(
        facts(
            ("Session", session.session_id),
            ("State", outcome(session)),
            ("Order", session.order),
            ("Who", session.user),
            ("Host", session.host),
            ("Run as", session.run_as_user),
            ("Role", f"{session.role or '-'} (a rule of the host's own)" if session.standing else session.role),
            ("Grant", session.grant_id),
            ("Command", command(session)),
            ("Program", session.command),
            ("Directory", session.cwd),
            ("Terminal", _terminal(session)),
            ("Started", when(session.started_at) if session.started_at else "not yet"),
            ("Ended", when(session.ended_at) if session.ended_at else ""),
            ("Took", took(session)),
            ("Kept of it", session.record if session.started_at else ""),
            ("Recording", _recording_in_full(session)),
            ("Output", size(session.output_bytes) if session.output_bytes else ""),
            ("Input", size(session.input_bytes) if session.input_bytes else ""),
            ("Watched by", ", ".join(session.watchers)),
            ("Environment", list(details.environment)),
            ("Commands", list(_commands(details))),
        )
    )


def _terminal(session: Session) -> str:
    if not session.rows or not session.columns:
        return session.tty
    return f"{session.tty or 'a terminal'}, {session.columns} columns, {session.rows} rows"


def _recording_in_full(session: Session) -> str:
    if not session.chunks:
        return recording(session)
    chunks = "1 chunk" if session.chunks == 1 else f"{session.chunks} chunks"
    return f"{recording(session)}, {chunks}, {size(session.stored_bytes)} stored"


def _commands(details: SessionDetails) -> Iterator[str]:
    for one in details.commands:
        yield _command(one, details.session)
    if details.truncated:
        yield "… and more that are not listed"


def _command(one: SessionCommand, session: Session) -> str:
    after = ""
    if session.started_at is not None:
        after = f"+{max(0.0, (one.at - session.started_at).total_seconds()):.3f}s  "
    line = shell_line(one.argv) if one.argv else one.command
    marks = [
        f"as {one.run_as_user}" if one.run_as_user not in {"", session.run_as_user} else "",
        f"in {one.cwd}" if one.cwd not in {"", session.cwd} else "",
        f"REJECTED: {one.rejected}" if one.rejected else "",
    ]
    marked = ", ".join(mark for mark in marks if mark)
    return f"{after}{line}  ({marked})" if marked else f"{after}{line}"
