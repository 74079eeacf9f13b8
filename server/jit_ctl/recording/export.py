"""A recording as a file of some form."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum

from jit_ctl.errors import CtlError
from jit_ctl.session_model import Piece, Session, SessionDetails

from . import asciicast
from .chunks import decode, whole
from .frames import Data, Event, events
from .rendering import Rendering, plain


class Form(StrEnum):
    ASCIICAST_V2 = "asciicast-v2"
    ASCIICAST_V3 = "asciicast-v3"
    TEXT = "text"
    RAW = "raw"


def all_events(session_id: str, news: Iterable[Session | Piece]) -> Iterator[Event]:
    """Everything a stream of pieces tells; raise `CtlError` where it is damaged."""
    at_ns = 0
    for chunk in whole(session_id, news):
        for event in events(session_id, chunk.number, decode(session_id, chunk), at_ns):
            at_ns = event.at_ns
            yield event
        at_ns = max(at_ns, chunk.end_ns)


def exported(form: Form, details: SessionDetails, happened: Iterable[Event]) -> Iterator[bytes]:
    """The file's content, part by part."""
    match form:
        case Form.ASCIICAST_V2:
            return (line.encode("ascii") for line in asciicast.version_2(details, happened))
        case Form.ASCIICAST_V3:
            return (line.encode("ascii") for line in asciicast.version_3(details, happened))
        case Form.TEXT:
            return (text.encode("utf-8") for text in _text(happened))
        case Form.RAW:
            return (event.data for event in _output(happened))


def _output(happened: Iterable[Event]) -> Iterator[Data]:
    return (event for event in happened if isinstance(event, Data) and not event.stream.is_input)


def _text(happened: Iterable[Event]) -> Iterator[str]:
    rendering = Rendering()
    held = ""
    for event in _output(happened):
        text = held + rendering.text(event)
        # A CR may be the first half of a line's end.
        held = "\r" if text.endswith("\r") else ""
        yield plain(text.removesuffix("\r"))
    yield plain(held + rendering.finish())


def write_file(name: str, parts: Iterable[bytes]) -> None:
    """Make a file that only its owner may read; raise `CtlError` when there is one, and leave no half of one."""
    try:
        number = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise CtlError("conflict", f"{name} exists", "give another name, or remove it first") from None
    except (OSError, ValueError) as error:
        raise CtlError("failed", f"cannot write {name}: {_why(error)}") from None
    try:
        with os.fdopen(number, "wb") as file:
            for part in parts:
                file.write(part)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise CtlError("failed", f"cannot write {name}: {_why(error)}") from None
        raise


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def lines(parts: Iterable[bytes]) -> Iterator[str]:
    """The content of a file that is text, line by line and without their ends."""
    held = b""
    for part in parts:
        *whole_lines, held = (held + part).split(b"\n")
        for line in whole_lines:
            yield line.decode("utf-8")
    if held:
        yield held.decode("utf-8")


def write_out(parts: Iterable[bytes]) -> None:
    """To standard output, which is no terminal."""
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.flush()
