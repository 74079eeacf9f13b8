"""The client's side of the agent socket (SPEC 4.1).

One request a connection, one JSON object a line.  `jit sudo` with a live grant
passes through here on every command, so nothing heavier than the C modules
`_socket` and `_json` is imported (the packages around them cost 10 ms).
"""

from __future__ import annotations

import _socket
import os
from _json import encode_basestring_ascii, make_scanner

from jit_cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Json = Any

AGENT_SOCKET = "/run/jit/agent.sock"
MAX_REQUEST = 65_536
MAX_ANSWER = 1_048_576
# The agent may have to ask the server; it gives up well before this.
ANSWER_WITHIN_S = 30.0
# `wait` sends an idle line at least every 15 s (SPEC 4.2).
SILENCE_S = 45.0

_LOOK = "look with `systemctl status jit-agent.socket jit-agent.service`, or run `jit doctor`"


class _StrictJson:
    """What `json.JSONDecoder` hands to the scanner, without importing `json`."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str]

    def __init__(self) -> None:
        self.memo = {}

    @staticmethod
    def parse_constant(_: str) -> None:
        raise ValueError("NaN and Infinity are not JSON")


class AgentGone(Failure):
    """The connection to the agent broke, or could not be made."""

    def __init__(self, message: str) -> None:
        super().__init__("unavailable", message, _LOOK)


class Refused(Failure):
    """The agent understood, and says no in its own words."""


def encode(value: Json) -> str:
    """Return ASCII JSON on one line; raise `Failure` for text that is not Unicode."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # Bytes of the command line that are not UTF-8 arrive as lone surrogates.
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise Failure("invalid", f"{value!r} is not valid UTF-8", "jit asks only for text that approvers can read")
        return encode_basestring_ascii(value)
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    return "{" + ",".join(f"{encode(key)}:{encode(item)}" for key, item in value.items()) + "}"


def decode(untrusted_line: bytes) -> dict[str, Json]:
    """Return the object of one line; raise `AgentGone` for anything else."""
    try:
        text = untrusted_line.decode().strip()
        value, end = make_scanner(_StrictJson())(text, 0)  # type: ignore[arg-type]  # typeshed asks for itself
    except (ValueError, StopIteration, RecursionError):
        value, end = None, -1
        text = ""
    if end != len(text) or not isinstance(value, dict):
        raise AgentGone("the jit agent's answer is not understood")
    return value


def socket_path() -> str:
    """The agent's socket; another one may be named, for this runs with no more rights than its caller."""
    return os.environ.get("JIT_AGENT_SOCKET") or AGENT_SOCKET


def _connect() -> _socket.socket:
    path = socket_path()
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(ANSWER_WITHIN_S)
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise AgentGone(f"the jit agent does not answer on {path}: {(error.strerror or str(error)).lower()}") from None
    return connection


def _send(connection: _socket.socket, operation: str, fields: Mapping[str, Json]) -> None:
    line = encode({"op": operation, **fields}).encode("ascii") + b"\n"
    if len(line) > MAX_REQUEST:
        raise Failure("invalid", f"the request is {len(line)} bytes long, the limit is {MAX_REQUEST}")
    try:
        connection.sendall(line)
    except OSError as error:
        raise AgentGone(f"the jit agent went away: {(error.strerror or str(error)).lower()}") from None


def _checked(answer: dict[str, Json]) -> dict[str, Json]:
    if answer.get("ok") is True:
        return answer
    match answer.get("error"):
        case {"code": str(code), "message": str(message), "hint": str(hint)}:
            raise Refused(code, message, hint)
        case _:
            raise AgentGone("the jit agent's answer is not understood")


def ask(operation: str, **fields: Json) -> dict[str, Json]:
    """Send one request and return its answer; raise `Failure` for a refusal, `AgentGone` without an answer."""
    connection = _connect()
    try:
        _send(connection, operation, fields)
        untrusted = b""
        while not untrusted.endswith(b"\n"):
            untrusted += _receive(connection)
            if len(untrusted) > MAX_ANSWER:
                raise AgentGone(f"the jit agent's answer is longer than {MAX_ANSWER} bytes")
    finally:
        connection.close()
    return _checked(decode(untrusted))


def _receive(connection: _socket.socket) -> bytes:
    try:
        chunk = connection.recv(65_536)
    except TimeoutError:
        raise AgentGone(f"the jit agent did not answer within {ANSWER_WITHIN_S:.0f} s") from None
    except OSError as error:
        raise AgentGone(f"the jit agent went away: {(error.strerror or str(error)).lower()}") from None
    if not chunk:
        raise AgentGone("the jit agent closed the connection without an answer")
    return chunk


def listen(operation: str, *, tick_s: float, **fields: Json) -> Iterator[dict[str, Json] | None]:
    """Yield each answer line of a request that has many, and None whenever `tick_s` passed without one.

    Idle lines are swallowed.  Raises `AgentGone` when the connection ends or is
    silent for `SILENCE_S`, `Failure` for a refusal.
    """
    connection = _connect()
    try:
        _send(connection, operation, fields)
        connection.settimeout(tick_s)
        pending = b""
        silent = 0.0
        while True:
            try:
                chunk = connection.recv(65_536)
            except TimeoutError:
                silent += tick_s
                if silent > SILENCE_S:
                    raise AgentGone(f"the jit agent was silent for {SILENCE_S:.0f} s") from None
                yield None
                continue
            except OSError as error:
                raise AgentGone(f"the jit agent went away: {(error.strerror or str(error)).lower()}") from None
            if not chunk:
                raise AgentGone("the jit agent closed the connection")
            silent = 0.0
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > MAX_ANSWER:
                raise AgentGone(f"the jit agent's answer is longer than {MAX_ANSWER} bytes")
            for line in lines:
                answer = decode(line)
                if answer:
                    yield _checked(answer)
    finally:
        connection.close()
