"""sudo's log protocol: bytes to events, and our few answers to bytes.

Hostile until proved otherwise: the length is checked before a byte is parsed, a message without its body is refused,
and so is a record that could not be stored whole.  Bytes that are not UTF-8 become `\\xNN`; nothing is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from jit_agent.errors import Malformed
from jit_agent.sudo_frames import MAX_SECONDS, Buffer, Kind
from jit_protos.sudo import log_server_pb2 as sudo_pb2

MAX_MESSAGE = 2 * 1024 * 1024
MAX_ARGV_BYTES = 64 * 1024
MAX_WORDS = 1_000
MAX_TEXT = 4_000
MAX_NAME = 256
MAX_NESTED_BYTES = 8 * 1024
MAX_SIDE = 10_000
MAX_VARIABLES = 50
"""Environment variables that are told; more than these are left out."""
MAX_ENVIRONMENT_BYTES = 32 * 1024
"""Of all of them together: with the longest command line a report has to stay far below what gRPC carries (SPEC 7)."""

_IO_KINDS = {
    "ttyin_buf": Kind.TTYIN, "ttyout_buf": Kind.TTYOUT, "stdin_buf": Kind.STDIN, "stdout_buf": Kind.STDOUT,
    "stderr_buf": Kind.STDERR, "winsize_event": Kind.WINDOW, "suspend_event": Kind.SUSPEND,
}  # fmt: skip
_ENVIRONMENT = re.compile(
    rb"(?:TERM|LANG|LC_[A-Z]{1,20}|SHELL|DISPLAY|SSH_CONNECTION|SSH_TTY|SUDO_COMMAND)=.*", re.DOTALL
)
"""What SPEC 8.2 lists; everything else in a command's environment stays on the host."""


@dataclass(frozen=True, slots=True)
class Hello:
    client: str


@dataclass(frozen=True, slots=True)
class Accept:
    """What sudo let run; of a session's first one `expects_commit`: sudo will send input or output, and wait for a
    commit point at the end.  `rows` and `columns` are 0 without a terminal.
    """

    command: str
    argv: tuple[str, ...]
    run_as_user: str
    cwd: str
    tty: str
    expects_commit: bool
    environment: tuple[str, ...]
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Reject:
    command: str
    argv: tuple[str, ...]
    run_as_user: str
    cwd: str
    reason: str


@dataclass(frozen=True, slots=True)
class Alert:
    argv: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Exit:
    exit_value: int
    signal: str
    run_time_us: int


@dataclass(frozen=True, slots=True)
class Restart:
    pass


Event = Hello | Accept | Reject | Alert | Exit | Buffer | Restart


def parse_length(header: bytes, limit: int = MAX_MESSAGE) -> int:
    """The length of the next message; raises `Malformed` before anything is read that would not be taken."""
    length = int.from_bytes(header, "big")
    if not 1 <= length <= limit:
        raise Malformed(f"sudo announces a message of {length} bytes, limit {limit}")
    return length


def parse(untrusted_message: bytes, *, nested: bool = False) -> Event:
    """One message as an event; raises `Malformed`.

    `nested`: what is accepted or rejected is a program that the session's command started.  What it is called is no
    reason to end the session: what is too long is cut, and says so.
    """
    try:
        message = sudo_pb2.ClientMessage.FromString(untrusted_message)
    except DecodeError as e:
        raise Malformed("sudo's message cannot be parsed") from e
    kind = message.WhichOneof("type")
    if kind in _IO_KINDS:
        body = getattr(message, kind)
        size = len(body.data) if _IO_KINDS[kind] <= Kind.STDERR else 0
        return Buffer(_IO_KINDS[kind], _nanoseconds(body.delay), size)
    match kind:
        case "hello_msg":
            return Hello(_text(message.hello_msg.client_id, "client id"))
        case "accept_msg":
            return _accept(message.accept_msg, nested=nested)
        case "reject_msg":
            return _reject(message.reject_msg, nested=nested)
        case "alert_msg":
            return Alert(_argv(_info(message.alert_msg.info_msgs)), _text(message.alert_msg.reason, "reason"))
        case "exit_msg":
            return Exit(
                exit_value=message.exit_msg.exit_value,
                signal=_text(message.exit_msg.signal, "signal"),
                run_time_us=_nanoseconds(message.exit_msg.run_time) // 1_000,
            )
        case "restart_msg":
            return Restart()
        case _:
            raise Malformed("sudo's message is of no kind we know")


def hello(server_id: str, *, subcommands: bool) -> bytes:
    return _frame(sudo_pb2.ServerMessage(hello=sudo_pb2.ServerHello(server_id=server_id, subcommands=subcommands)))


def error(text: str) -> bytes:
    return _frame(sudo_pb2.ServerMessage(error=text))


def abort(text: str) -> bytes:
    return _frame(sudo_pb2.ServerMessage(abort=text))


def commit_point(elapsed_ns: int) -> bytes:
    point = sudo_pb2.TimeSpec(tv_sec=elapsed_ns // 1_000_000_000, tv_nsec=elapsed_ns % 1_000_000_000)
    return _frame(sudo_pb2.ServerMessage(commit_point=point))


def _frame(message: sudo_pb2.ServerMessage) -> bytes:
    body = message.SerializeToString()
    return len(body).to_bytes(4, "big") + body


def _accept(message: sudo_pb2.AcceptMessage, *, nested: bool) -> Accept:
    info = _info(message.info_msgs)
    argv = _argv(info, nested=nested)
    command = _one(info, "command", nested=nested)
    if not argv or not command:
        raise Malformed("sudo's accept message names no command")
    return Accept(
        command=command,
        argv=argv,
        run_as_user=_one(info, "runuser", nested=nested),
        cwd=_one(info, "runcwd", nested=nested) or _one(info, "submitcwd", nested=nested),
        tty=_one(info, "ttyname", nested=nested),
        expects_commit=message.expect_iobufs,
        environment=_environment(info),
        rows=_size(info, "lines"),
        columns=_size(info, "columns"),
    )


def _reject(message: sudo_pb2.RejectMessage, *, nested: bool) -> Reject:
    info = _info(message.info_msgs)
    return Reject(
        command=_one(info, "command", nested=nested),
        argv=_argv(info, nested=nested),
        run_as_user=_one(info, "runuser", nested=nested),
        cwd=_one(info, "runcwd", nested=nested) or _one(info, "submitcwd", nested=nested),
        reason=_text(message.reason, "reason", nested=nested),
    )


def _environment(info: dict[bytes, Any]) -> tuple[str, ...]:
    """What may be told of the command's environment; its person chose it, so what does not fit is cut, not refused."""
    message = info.get(b"runenv")
    told = [] if message is None else [v for v in message.strlistval.strings if _ENVIRONMENT.fullmatch(v)]
    kept: list[str] = []
    room = MAX_ENVIRONMENT_BYTES
    for variable in told[:MAX_VARIABLES]:
        kept.append(_short(_decode(variable), MAX_TEXT))
        room -= len(kept[-1].encode()) + 1
        if room < 0:
            return tuple(kept[:-1])
    return tuple(kept)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _size(info: dict[bytes, Any], key: str) -> int:
    message = info.get(key.encode())
    return message.numval if message is not None and 0 < message.numval <= MAX_SIDE else 0


def _info(messages: Iterable[sudo_pb2.InfoMessage]) -> dict[bytes, Any]:
    """Key to the message; a value may be unset (protobuf-c leaves out zero), a key twice is refused."""
    info: dict[bytes, Any] = {}
    for message in messages:
        if message.key in info:
            raise Malformed("sudo's message says the same thing twice")
        info[message.key] = message
    return info


def _one(info: dict[bytes, Any], key: str, *, nested: bool) -> str:
    message = info.get(key.encode())
    return "" if message is None else _text(message.strval, key, nested=nested)


def _argv(info: dict[bytes, Any], *, nested: bool = False) -> tuple[str, ...]:
    message = info.get(b"runargv")
    words = [] if message is None else list(message.strlistval.strings)
    if nested:
        return _cut(words)
    if len(words) > MAX_WORDS:
        raise Malformed(f"the command line has {len(words)} words and cannot be recorded, limit {MAX_WORDS}")
    argv = tuple(_decode(word) for word in words)
    size = sum(len(word.encode()) + 1 for word in argv)
    if size > MAX_ARGV_BYTES:
        raise Malformed(f"the command line has {size} bytes and cannot be recorded, limit {MAX_ARGV_BYTES}")
    return argv


def _cut(words: list[bytes]) -> tuple[str, ...]:
    """As many of them as are told of a program within a session, and how many more there were."""
    argv: list[str] = []
    room = MAX_NESTED_BYTES
    for word in words[:MAX_WORDS]:
        decoded = _decode(word)
        room -= len(decoded.encode()) + 1
        if room < 0:
            break
        argv.append(decoded)
    left = len(words) - len(argv)
    return (*argv, f"… ({left} more words)") if left else tuple(argv)


def _text(untrusted: bytes, what: str, *, nested: bool = False) -> str:
    text = _decode(untrusted)
    limit = MAX_NAME if what in {"runuser", "signal", "client id"} else MAX_TEXT
    if nested:
        return _short(text, limit)
    if len(text) > limit:
        raise Malformed(f"sudo's {what} has {len(text)} characters and cannot be recorded, limit {limit}")
    return text


def _decode(untrusted: bytes) -> str:
    return untrusted.decode("utf-8", "backslashreplace")


def _nanoseconds(time: sudo_pb2.TimeSpec) -> int:
    if not (0 <= time.tv_sec <= MAX_SECONDS and 0 <= time.tv_nsec < 1_000_000_000):
        raise Malformed("sudo's message has an impossible time")
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
