"""How sessions look to a person: one line each, or one in full with the programs it started."""

from __future__ import annotations

import shlex
import time

from jit_cli import duration
from jit_cli.sessions import Command, Details, Session
from jit_cli.terminal import Painted, out
from jit_cli.view import row, table
from jit_cli.words import all_of

_DOTS = {"running": ("●", "green"), "waiting": ("○", "yellow"), "frozen": ("○", "yellow")}
_UNDER_WAY = frozenset(_DOTS)
# Nothing ran (yet), so nothing is known of what is kept of it.
_NOT_STARTED = frozenset({"waiting", "rejected"})
_LONGEST = 60
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def session_table(sessions: tuple[Session, ...]) -> None:
    """One line each, newest first."""
    headings = ["SESSION", "STARTED", "LASTED", "HOST", "ROLE", "EXIT", "RECORDED", "COMMAND"]
    table(headings, [_cells(session) for session in sessions])


def _cells(session: Session) -> list[str]:
    line = _line(session)
    return [
        session.session_id,
        duration.brief(session.started_at) if session.started_at else "–",
        _lasted(session) or "–",
        session.host,
        session.role or ("standing" if session.standing else "–"),
        _exit(session),
        _recorded(session),
        line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…",
    ]


def session_block(details: Details) -> None:
    """One session: what ran and how it ended, what was kept of it, and the programs it started."""
    session = details.session
    dot, colour = _DOTS.get(session.state, ("○", "dim"))
    by = session.role or ("a rule of the host's own" if session.standing else "sudo")
    out(
        Painted(dot, colour), " ", Painted(by, "bold"),
        f" on {session.host} as {session.run_as_user or 'an account that is not known'}: {session.state}",
    )  # fmt: skip
    row("Session", session.session_id)
    for name, text in (
        ("Grant", session.grant_id),
        ("Command", _line(session)),
        ("Program", session.command if session.argv and session.command != session.argv[0] else ""),
        ("Directory", session.cwd),
        ("Terminal", _terminal(session)),
        ("Started", duration.since(session.started_at) if session.started_at else ""),
        ("Ended", duration.since(session.ended_at) if session.ended_at else ""),
        ("Lasted", _lasted(session)),
        ("Exit", _exit(session) if session.state == "ended" else ""),
        ("Refused", session.reject_reason),
        ("Ordered", session.order),
        ("Watched", f"by {all_of(session.watchers)}" if session.watchers else ""),
        ("Recording", "" if session.state in _NOT_STARTED else _recording(session)),
    ):
        if text:
            row(name, text)
    for variable in details.environment:
        row("Environment", variable)
    _tree(details)


def _tree(details: Details) -> None:
    """The session's command, and under it the programs it started, in the order sudo saw them."""
    if not details.commands:
        return
    out(f"{'Ran':>11}: ", Painted(_line(details.session), "bold"))
    last = len(details.commands) - 1
    for number, command in enumerate(details.commands):
        branch = "├─" if number < last or details.truncated else "└─"
        out(" " * 13, f"{branch} {_at(command, details.session)} {_started(command, details.session)}")
    if details.truncated:
        out(" " * 13, "└─ … and more, which are not listed")


def _at(command: Command, session: Session) -> str:
    """When it was, after the session's start."""
    if not session.started_at:
        return time.strftime("%H:%M:%S", time.localtime(command.at // 1_000_000))
    return f"+{duration.clock((command.at - session.started_at) // 1_000_000)}"


def _started(command: Command, session: Session) -> str:
    as_whom = command.run_as_user
    notes = [
        f"as {as_whom}" if as_whom and as_whom != session.run_as_user else "",
        f"in {command.cwd}" if command.cwd and command.cwd != session.cwd else "",
        f"refused: {command.rejected}" if command.rejected else "",
    ]
    said = ", ".join(note for note in notes if note)
    return (shlex.join(command.argv) or command.command) + (f" ({said})" if said else "")


def _line(session: Session) -> str:
    return shlex.join(session.argv) or session.command or "not kept"


def _terminal(session: Session) -> str:
    size = f"{session.columns}×{session.rows}" if session.rows and session.columns else ""
    return ", ".join(text for text in (session.tty, size) if text)


def _lasted(session: Session) -> str:
    if session.state in _UNDER_WAY and session.started_at:
        return duration.words((time.time_ns() // 1000 - session.started_at) // 1_000_000)
    if not session.ended_at or not session.started_at:
        return ""
    seconds = (session.run_time_us or session.ended_at - session.started_at) / 1_000_000
    return f"{seconds:.1f} s" if seconds < 10 else duration.words(round(seconds))


def _exit(session: Session) -> str:
    """The command's own end; where it has none, what became of the session."""
    if session.state != "ended":
        return session.state
    return session.signal or str(session.exit_value)


def _recorded(session: Session) -> str:
    """What there is of it, in a word: a size, or why there is none."""
    if session.state in _NOT_STARTED:
        return "–"
    if session.recording == "whole":
        return size(session.output_bytes + session.input_bytes)
    return "no" if session.recording == "none" else session.recording


def _recording(session: Session) -> str:
    kept = {
        "none": "that it began and ended",
        "events": "command line, directory, terminal and exit",
        "output": "also what was written",
        "input": "also what was written and typed",
    }.get(session.record, session.record or "nothing")
    if session.recording == "none":
        return f"{kept}; nothing else was recorded"
    sizes = [
        f"{size(count)} {what}"
        for count, what in ((session.output_bytes, "written"), (session.input_bytes, "read")) if count
    ]  # fmt: skip
    sizes += [f"{size(session.stored_bytes)} stored"] if session.stored_bytes else []
    why = f": {session.incomplete}" if session.incomplete else ""
    return f"{kept}; {session.recording}{why}" + (f" ({', '.join(sizes)})" if sizes else "")


def size(count: int) -> str:
    """Bytes as people read them: `812 B`, `4.1 KiB`, `3.0 GiB`."""
    if count < 1024:
        return f"{count} B"
    amount, unit = float(count), 0
    while amount >= 1023.95 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}"
