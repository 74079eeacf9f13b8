"""sudo's own I/O logs (sudoers(5), "I/O LOG FILES"): written for `sudo_sendlog`, read as `sudo_logsrvd` stored them.

The format is the common ground on which what we recorded can be compared with what sudo recorded, byte for byte: the
streams as they are, and `timing`, which says of each event when it was, which stream it is of and how long.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jit_protos.sudo import log_server_pb2 as pb

STREAMS = ("stdin", "stdout", "stderr", "ttyin", "ttyout")
"""The number of a stream in `timing` is its place here."""
RESIZED, SUSPENDED = 5, 7
_SECOND = 1_000_000_000
_BUFFERS = {f"{stream}_buf": stream for stream in STREAMS}

ACCEPTED: dict[str, Any] = {
    "timestamp": {"seconds": 1_700_000_000, "nanoseconds": 5},
    "columns": 80, "command": "/usr/bin/vim", "lines": 24, "runargv": ["vim", "notes"], "runenv": ["TERM=xterm"],
    "runuid": 0, "runuser": "root", "submitcwd": "/home/alice", "submithost": "web1", "submituser": "alice",
    "ttyname": "/dev/pts/1", "runcwd": "/home/alice", "exit_value": 3, "run_time": {"seconds": 2, "nanoseconds": 5_000},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Passed:
    """These bytes went through one of `STREAMS`."""

    stream: str
    data: bytes
    delay_ns: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Resized:
    rows: int
    columns: int
    delay_ns: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Suspended:
    """`signal` without SIG: TSTP, or CONT when it went on."""

    signal: str
    delay_ns: int = 1_000_000


Event = Passed | Resized | Suspended
Log = dict[str, bytes]
"""`timing` and each of `STREAMS`; a stream nothing went through is empty."""


def log_of(events: Iterable[Event]) -> Log:
    """What these events are in sudo's format."""
    parts: dict[str, list[bytes]] = {name: [] for name in ("timing", *STREAMS)}
    for event in events:
        delay = f"{event.delay_ns // _SECOND}.{event.delay_ns % _SECOND:09}"
        match event:
            case Passed():
                line = f"{STREAMS.index(event.stream)} {delay} {len(event.data)}"
                parts[event.stream].append(event.data)
            case Resized():
                line = f"{RESIZED} {delay} {event.rows} {event.columns}"
            case Suspended():
                line = f"{SUSPENDED} {delay} {event.signal}"
        parts["timing"].append(f"{line}\n".encode())
    return {name: b"".join(pieces) for name, pieces in parts.items()}


def write(folder: Path, events: Sequence[Event], **changes: Any) -> Path:
    """An I/O log for `sudo_sendlog`; `changes` to what is said of the command (`ACCEPTED`)."""
    folder.mkdir(parents=True)
    said = ACCEPTED | changes
    (folder / "log.json").write_text(json.dumps(said, indent=4))
    legacy = f"{said['timestamp']['seconds']}:{said['submituser']}:{said['runuser']}::{said['ttyname']}"
    command = " ".join([said["command"], *said["runargv"][1:]])
    (folder / "log").write_text(f"{legacy}:{said['lines']}:{said['columns']}\n{said['submitcwd']}\n{command}\n")
    for name, content in log_of(events).items():
        (folder / name).write_bytes(content)
    return folder


def read(folder: Path) -> Log:
    """What `sudo_logsrvd` stored; it makes no file for a stream nothing went through."""
    return {name: _content(folder / name) for name in ("timing", *STREAMS)}


def events_of(frames: bytes) -> list[Event]:
    """What is in our chunks, decoded (SPEC 8.2): messages of sudo's protocol, each with its length before it."""
    return [event for message in messages(frames) if (event := _event(message)) is not None]


def messages(frames: bytes) -> list[pb.ClientMessage]:
    """Raises if a message is cut, or is none."""
    found, at = [], 0
    while at < len(frames):
        end = at + 4 + int.from_bytes(frames[at : at + 4], "big")
        if end > len(frames):
            raise ValueError(f"the message at {at} is cut")
        found.append(pb.ClientMessage.FromString(frames[at + 4 : end]))
        at = end
    return found


def _event(message: pb.ClientMessage) -> Event | None:
    match message.WhichOneof("type"):
        case str(kind) if kind in _BUFFERS:
            buffer: pb.IoBuffer = getattr(message, kind)
            return Passed(_BUFFERS[kind], buffer.data, _nanoseconds(buffer.delay))
        case "winsize_event":
            size = message.winsize_event
            return Resized(size.rows, size.cols, _nanoseconds(size.delay))
        case "suspend_event":
            return Suspended(message.suspend_event.signal.decode(), _nanoseconds(message.suspend_event.delay))
        case "exit_msg":
            return None
        case other:
            raise ValueError(f"a recording does not hold {other}")


def _nanoseconds(time: pb.TimeSpec) -> int:
    return time.tv_sec * _SECOND + time.tv_nsec


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""
