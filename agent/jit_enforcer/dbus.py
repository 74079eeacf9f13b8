"""As much of D-Bus as it takes to call methods of systemd and hear yes or no (REVIEW 18).

A connection for what is asked in one go: authenticate, Hello, the calls.  Little-endian; every type but file
descriptors.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jit_enforcer.errors import Unsafe

_FIXED: Final = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_ALIGNMENT: Final = {"y": 1, "n": 2, "q": 2, "x": 8, "t": 8, "d": 8, "g": 1, "v": 1, "(": 8, "{": 8}
_PATIENCE_S: Final = 3
_LONGEST: Final = 1 << 20
_METHOD_CALL, _ERROR = 1, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8


class Refused(Unsafe):
    """The other end answered with an error; `name` is the error's."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def complete_types(signature: str) -> Iterator[str]:
    """Split "sa(sv)" into "s" and "a(sv)"."""
    start = depth = 0
    for end, code in enumerate(signature, 1):
        depth += (code in "({") - (code in ")}")
        if depth == 0 and code != "a":
            yield signature[start:end]
            start = end


def _pad(out: bytearray, to: int) -> None:
    out += bytes(-len(out) % to)


def write(out: bytearray, kind: str, value: Any) -> None:
    """Append one value of one complete type; a variant is given as (signature, value)."""
    _pad(out, _ALIGNMENT.get(kind[0], 4))
    if kind in _FIXED:
        out += struct.pack(f"<{_FIXED[kind]}", value)
    elif kind in ("s", "o"):
        text = value.encode()
        out += struct.pack("<I", len(text)) + text + b"\0"
    elif kind == "g":
        out += bytes([len(value)]) + value.encode() + b"\0"
    elif kind == "v":
        write(out, "g", value[0])
        write(out, *value)
    elif kind[0] == "a":
        length_at = len(out)
        out += bytes(4)
        _pad(out, _ALIGNMENT.get(kind[1], 4))
        start = len(out)
        for item in value:
            write(out, kind[1:], item)
        out[length_at : length_at + 4] = struct.pack("<I", len(out) - start)
    else:
        for part, item in zip(complete_types(kind[1:-1]), value, strict=True):
            write(out, part, item)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of an object on the bus, and the types it takes."""

    destination: str
    path: str
    interface: str
    member: str
    signature: str


Call = tuple[Method, tuple[object, ...]]
"""A method, and what it is called with."""

_HELLO: Final = Method("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", "")


def _message(serial: int, call: Call) -> bytes:
    method, args = call
    body = bytearray()
    for kind, value in zip(complete_types(method.signature), args, strict=True):
        write(body, kind, value)
    fields = [(_PATH, ("o", method.path)), (_INTERFACE, ("s", method.interface)), (_MEMBER, ("s", method.member))]
    fields += [(_DESTINATION, ("s", method.destination)), (_SIGNATURE, ("g", method.signature))]
    out = bytearray(struct.pack("<cBBBII", b"l", _METHOD_CALL, 0, 1, len(body), serial))
    write(out, "a(yv)", fields)
    _pad(out, 8)
    return bytes(out + body)


def _receive(bus: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        more = bus.recv(size - len(content))
        if not more:
            raise Unsafe("the system bus closed the connection")
        content += more
    return content


def _fields(header: bytes) -> dict[int, Any]:
    """The header fields of a message; their offsets count from the 16 bytes before them."""
    at, found = 0, {}
    while at < len(header):
        code, kind = header[at], chr(header[at + 2])
        if kind == "g":
            size = header[at + 4]
            found[code] = header[at + 5 : at + 5 + size].decode("ascii")
            at += 6 + size
        elif kind == "u":
            (found[code],) = struct.unpack_from("<I", header, at + 4)
            at += 8
        else:
            (size,) = struct.unpack_from("<I", header, at + 4)
            found[code] = header[at + 8 : at + 8 + size].decode("utf-8")
            at += 9 + size
        at += -at % 8
    return found


def _answer(bus: socket.socket) -> tuple[int | None, Refused | None]:
    """Which call the next message answers, None if none of ours, and what it was refused with."""
    order, kind, _, _, body_size, _, fields_size = struct.unpack("<cBBBIII", _receive(bus, 16))
    if order != b"l" or body_size + fields_size > _LONGEST:
        raise Unsafe("the system bus speaks a language we do not know")
    fields = _fields(_receive(bus, fields_size + -fields_size % 8)[:fields_size])
    body = _receive(bus, body_size)
    refused = None
    if kind == _ERROR:
        said = body[4:-1].decode("utf-8", "replace") if fields.get(_SIGNATURE, "").startswith("s") else ""
        name = fields.get(_ERROR_NAME)
        refused = Refused(str(name), f"systemd refused: {name!a} {ascii(said)[:200]}")
    return fields.get(_REPLY_SERIAL), refused


def ask(bus_socket: Path, *calls: Call) -> list[Refused | None]:
    """Make these calls in one go and wait for all answers, 3 s at most for each; in the order of the calls.

    Raises `Unsafe` if the bus does not answer.
    """
    greeting = b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nBEGIN\r\n"
    messages = [_message(serial, call) for serial, call in enumerate(((_HELLO, ()), *calls), 1)]
    answers: dict[int | None, Refused | None] = {}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bus:
            bus.settimeout(_PATIENCE_S)
            bus.connect(str(bus_socket))
            bus.sendall(greeting + b"".join(messages))
            if _receive(bus, 3) != b"OK ":
                raise Unsafe("the system bus does not accept us")
            while _receive(bus, 1) != b"\n":
                pass
            while any(serial not in answers for serial, _ in enumerate(messages, 1)):
                serial, refused = _answer(bus)
                answers[serial] = refused
    except (OSError, ValueError, IndexError, struct.error) as e:
        raise Unsafe(f"the system bus does not answer: {e}") from e
    return [answers[serial] for serial, _ in enumerate(calls, 2)]


def call(bus_socket: Path, method: Method, *args: object) -> None:
    """Call one method.  Raises `Refused`, or `Unsafe` if the bus does not answer."""
    (refused,) = ask(bus_socket, (method, args))
    if refused:
        raise refused
