"""The messages of sudo's log protocol in a chunk, as what happened and when (SPEC 8.2).

Whatever the bytes are, parsing gives events or raises `CtlError`; a message
of another kind is passed over, a time that no session has is put right.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.message import DecodeError

from jit_protos.sudo import log_server_pb2 as sudo

from .errors import damaged

_LENGTH = struct.Struct(">I")
MAX_NS = 1 << 62
"""No session lasts longer."""
_MAX_SIZE = 9999
"""Rows or columns; more is no terminal."""


class Stream(StrEnum):
    TTY_IN = "ttyin"
    TTY_OUT = "ttyout"
    STDIN = "stdin"
    STDOUT = "stdout"
    STDERR = "stderr"

    @property
    def is_input(self) -> bool:
        return self in {Stream.TTY_IN, Stream.STDIN}


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes that the command read or wrote."""

    at_ns: int
    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    at_ns: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Suspend:
    """Stopped by `signal`, or going on when that is CONT."""

    at_ns: int
    signal: str


@dataclass(frozen=True, slots=True)
class Exit:
    """`signal` is the name, without SIG, of what killed the command; empty when it exited by itself."""

    at_ns: int
    status: int
    signal: str


Event = Data | Resize | Suspend | Exit

_BUFFERS = {f"{stream.value}_buf": stream for stream in Stream}


def events(session_id: str, number: int, decoded: bytes, at_ns: int) -> Iterator[Event]:
    """What one decoded chunk tells; `at_ns` is where the chunk before it ended, in ns since the session's start."""
    place = 0
    while place < len(decoded):
        if len(decoded) - place < _LENGTH.size:
            raise damaged(session_id, f"chunk {number} ends within a message")
        (length,) = _LENGTH.unpack_from(decoded, place)
        place += _LENGTH.size
        if length > len(decoded) - place:
            raise damaged(session_id, f"chunk {number} ends within a message")
        try:
            message = sudo.ClientMessage.FromString(decoded[place : place + length])
        except DecodeError:
            raise damaged(session_id, f"chunk {number} holds what is no message") from None
        place += length
        event = _event(message, at_ns)
        if event is not None:
            at_ns = event.at_ns
            yield event


def _event(message: sudo.ClientMessage, at_ns: int) -> Event | None:
    kind = message.WhichOneof("type")
    if kind in _BUFFERS:
        buffer = getattr(message, kind)
        return Data(_later(at_ns, buffer.delay), _BUFFERS[kind], buffer.data)
    match kind:
        case "winsize_event":
            size = message.winsize_event
            return Resize(
                _later(at_ns, size.delay), min(max(size.rows, 0), _MAX_SIZE), min(max(size.cols, 0), _MAX_SIZE)
            )
        case "suspend_event":
            return Suspend(_later(at_ns, message.suspend_event.delay), _word(message.suspend_event.signal))
        case "exit_msg":
            told = message.exit_msg
            # The only message with the time since the start in place of a delay.
            return Exit(max(at_ns, _later(0, told.run_time)), told.exit_value, _word(told.signal))
        case _:
            return None


def _later(at_ns: int, delay: sudo.TimeSpec) -> int:
    passed = max(0, delay.tv_sec) * 1_000_000_000 + max(0, delay.tv_nsec)
    return min(at_ns + passed, MAX_NS)


def _word(name: bytes) -> str:
    return name.decode("utf-8", "replace")
