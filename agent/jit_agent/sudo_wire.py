"""sudo's log protocol: bytes to events, and our few answers to bytes.

Hostile until proved otherwise: the length is checked before a byte is parsed, a message without its body is refused,
and so is a record that could not be stored whole.  Bytes that are not UTF-8 become `\\xNN`; nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from jit_agent.errors import Malformed
from jit_protos.sudo import log_server_pb2 as sudo_pb2

MAX_MESSAGE = 2 * 1024 * 1024
MAX_ARGV_BYTES = 64 * 1024
MAX_WORDS = 1_000
MAX_TEXT = 4_000
MAX_NAME = 256
MAX_SECONDS = 100 * 365 * 86_400

_BUFFERS = frozenset(
    {"ttyin_buf", "ttyout_buf", "stdin_buf", "stdout_buf", "stderr_buf", "winsize_event", "suspend_event"}
)


@dataclass(frozen=True, slots=True)
class Hello:
    client: str


@dataclass(frozen=True, slots=True)
class Accept:
    """`expects_commit`: sudo will send its terminal's bytes and wait for a commit point at the end."""

    command: str
    argv: tuple[str, ...]
    run_as_user: str
    cwd: str
    tty: str
    expects_commit: bool


@dataclass(frozen=True, slots=True)
class Reject:
    argv: tuple[str, ...]
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
class Elapsed:
    """A piece of terminal input or output, or a window change: only its time, in nanoseconds since the last."""

    delay_ns: int


@dataclass(frozen=True, slots=True)
class Restart:
    pass


Event = Hello | Accept | Reject | Alert | Exit | Elapsed | Restart


def parse_length(header: bytes) -> int:
    """The length of the next message; raises `Malformed` before anything is read that would not be taken."""
    length = int.from_bytes(header, "big")
    if not 1 <= length <= MAX_MESSAGE:
        raise Malformed(f"sudo announces a message of {length} bytes, limit {MAX_MESSAGE}")
    return length


def parse(untrusted_message: bytes) -> Event:
    """One message as an event; raises `Malformed`."""
    try:
        message = sudo_pb2.ClientMessage.FromString(untrusted_message)
    except DecodeError as e:
        raise Malformed("sudo's message cannot be parsed") from e
    kind = message.WhichOneof("type")
    if kind in _BUFFERS:
        return Elapsed(_nanoseconds(getattr(message, kind).delay))
    match kind:
        case "hello_msg":
            return Hello(_text(message.hello_msg.client_id, "client id"))
        case "accept_msg":
            return _accept(message.accept_msg)
        case "reject_msg":
            return Reject(_argv(message.reject_msg.info_msgs), _text(message.reject_msg.reason, "reason"))
        case "alert_msg":
            return Alert(_argv(message.alert_msg.info_msgs), _text(message.alert_msg.reason, "reason"))
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


def hello(server_id: str) -> bytes:
    return _frame(sudo_pb2.ServerMessage(hello=sudo_pb2.ServerHello(server_id=server_id)))


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


def _accept(message: sudo_pb2.AcceptMessage) -> Accept:
    info = _info(message.info_msgs)
    argv = _argv(message.info_msgs)
    command = _one(info, "command")
    if not argv or not command:
        raise Malformed("sudo's accept message names no command")
    return Accept(
        command=command,
        argv=argv,
        run_as_user=_one(info, "runuser"),
        cwd=_one(info, "runcwd") or _one(info, "submitcwd"),
        tty=_one(info, "ttyname"),
        expects_commit=message.expect_iobufs,
    )


def _info(messages: Iterable[sudo_pb2.InfoMessage]) -> dict[bytes, Any]:
    """Key to the message; a value may be unset (protobuf-c leaves out zero), a key twice is refused."""
    info: dict[bytes, Any] = {}
    for message in messages:
        if message.key in info:
            raise Malformed("sudo's message says the same thing twice")
        info[message.key] = message
    return info


def _one(info: dict[bytes, Any], key: str) -> str:
    message = info.get(key.encode())
    return "" if message is None else _text(message.strval, key)


def _argv(messages: Iterable[sudo_pb2.InfoMessage]) -> tuple[str, ...]:
    message = _info(messages).get(b"runargv")
    words = [] if message is None else list(message.strlistval.strings)
    if len(words) > MAX_WORDS:
        raise Malformed(f"the command line has {len(words)} words and cannot be recorded, limit {MAX_WORDS}")
    argv = tuple(_decode(word) for word in words)
    size = sum(len(word.encode()) + 1 for word in argv)
    if size > MAX_ARGV_BYTES:
        raise Malformed(f"the command line has {size} bytes and cannot be recorded, limit {MAX_ARGV_BYTES}")
    return argv


def _text(untrusted: bytes, what: str) -> str:
    text = _decode(untrusted)
    limit = MAX_NAME if what in {"runuser", "signal", "client id"} else MAX_TEXT
    if len(text) > limit:
        raise Malformed(f"sudo's {what} has {len(text)} characters and cannot be recorded, limit {limit}")
    return text


def _decode(untrusted: bytes) -> str:
    return untrusted.decode("utf-8", "backslashreplace")


def _nanoseconds(time: sudo_pb2.TimeSpec) -> int:
    if not (0 <= time.tv_sec <= MAX_SECONDS and 0 <= time.tv_nsec < 1_000_000_000):
        raise Malformed("sudo's message has an impossible time")
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
