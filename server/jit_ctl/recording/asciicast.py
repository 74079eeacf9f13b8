"""Recordings as asciicast files, version 2 and 3 (docs.asciinema.org), line by line.

What others will play is what our own player would show: output has gone
through the escape filter.  Input is written when it was recorded.  A line is
printable ASCII, whatever the recording holds.
"""

from __future__ import annotations

import codecs
import json
import signal
from collections.abc import Iterable, Iterator
from typing import Any

from jit_ctl.safe import shell_line
from jit_ctl.session_model import SessionDetails

from .frames import Data, Event, Exit, Resize, Stream, Suspend
from .rendering import Rendering

_DEFAULT_ROWS, _DEFAULT_COLUMNS = 24, 80
_KEPT_ENVIRONMENT = ("TERM", "SHELL", "LANG")

_Entry = tuple[int, str, str]
"""Microseconds since the start, code, data."""


def version_2(details: SessionDetails, events: Iterable[Event]) -> Iterator[str]:
    """Lines with their line feeds; times count from the start."""
    session = details.session
    yield _line(
        {
            "version": 2,
            "width": session.columns or _DEFAULT_COLUMNS,
            "height": session.rows or _DEFAULT_ROWS,
            **_about(details),
        }
    )
    for at_us, code, data in _entries(events):
        if code != "x":  # version 2 has no word for the exit
            yield _line([at_us / 1_000_000, code, data])


def version_3(details: SessionDetails, events: Iterable[Event]) -> Iterator[str]:
    """Lines with their line feeds; times count from the line before."""
    session = details.session
    term: dict[str, Any] = {"cols": session.columns or _DEFAULT_COLUMNS, "rows": session.rows or _DEFAULT_ROWS}
    environment = _environment(details)
    if "TERM" in environment:
        term["type"] = environment["TERM"]
    yield _line({"version": 3, "term": term, **_about(details)})
    before_us = 0
    for at_us, code, data in _entries(events):
        yield _line([(at_us - before_us) / 1_000_000, code, data])
        before_us = at_us


def _line(value: object) -> str:
    return json.dumps(value, separators=(", ", ": ")).replace("\x7f", "\\u007f") + "\n"


def _about(details: SessionDetails) -> dict[str, Any]:
    session = details.session
    said: dict[str, Any] = {}
    if session.started_at is not None:
        said["timestamp"] = int(session.started_at.timestamp())
    if session.argv:
        said["command"] = shell_line(session.argv)
    said["title"] = f"{session.session_id}: {session.user} on {session.host}"
    if environment := _environment(details):
        said["env"] = environment
    return said


def _environment(details: SessionDetails) -> dict[str, str]:
    pairs = (variable.partition("=") for variable in details.environment)
    return {name: value for name, _, value in pairs if name in _KEPT_ENVIRONMENT}


def _entries(events: Iterable[Event]) -> Iterator[_Entry]:
    rendering = Rendering()
    typed = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in Stream if stream.is_input}
    at_us = 0
    for event in events:
        at_us = event.at_ns // 1000
        code, data = "o", ""
        match event:
            case Data(stream=stream) if stream in typed:
                code, data = "i", typed[stream].decode(event.data)
            case Data():
                data = rendering.text(event)
            case Resize(rows=rows, columns=columns) if rows and columns:
                code, data = "r", f"{columns}x{rows}"
            case Suspend(signal=name):
                code, data = "m", "resumed" if name == "CONT" else f"suspended ({name})"
            case Exit():
                code, data = "x", str(_status(event))
        if code == "x" and (rest := rendering.finish()):
            yield at_us, "o", rest
        if data:
            yield at_us, code, data
    for decoder in typed.values():
        if rest := decoder.decode(b"", final=True):
            yield at_us, "i", rest
    if rest := rendering.finish():
        yield at_us, "o", rest


def _status(told: Exit) -> int:
    """As a shell would say it: 128 and the signal's number for a command that was killed."""
    number = signal.Signals.__members__.get(f"SIG{told.signal}") if told.signal else None
    return 128 + number if number is not None else told.status
