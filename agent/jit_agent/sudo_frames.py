"""The frames sudo sends most, told apart by hand: terminal and pipe bytes, of which only time and size are looked at.

A frame in exactly the form sudo's own library writes is read here without copying what it carries; any other form,
legal or not, is left to the real parser (`sudo_wire`).  What is read here has the same meaning there.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

PREFIX = 4
"""Bytes of the length before each message."""
HEAD = 48
"""So many bytes of a frame, its length among them, are enough to tell."""
MAX_SECONDS = 100 * 365 * 86_400
_MAX_NANOSECONDS = 1_000_000_000


class Kind(IntEnum):
    """Field numbers of sudo's ClientMessage."""

    TTYIN = 6
    TTYOUT = 7
    STDIN = 8
    STDOUT = 9
    STDERR = 10
    WINDOW = 11
    SUSPEND = 12


INPUT = frozenset({Kind.TTYIN, Kind.STDIN})
OUTPUT = frozenset({Kind.TTYOUT, Kind.STDOUT, Kind.STDERR})


class Buffer(NamedTuple):
    """A piece of input or output: what kind, the nanoseconds since the last event, and its bytes' number."""

    kind: int
    delay_ns: int
    size: int


def parse_buffer(head: bytes, size: int) -> Buffer | None:
    """What the first bytes of a frame say, if it is an `IoBuffer` of `size` bytes in sudo's own form; else None."""
    try:
        return _parse(head, size + PREFIX)
    except IndexError:
        return None


def blank(kind: int, delay_ns: int) -> bytes:
    """A frame of the same kind and time, without what it carried."""
    delay = b"\x08" + _number(delay_ns // _MAX_NANOSECONDS) + b"\x10" + _number(delay_ns % _MAX_NANOSECONDS)
    body = b"\x0a" + _number(len(delay)) + delay
    message = bytes([kind << 3 | 2]) + _number(len(body)) + body
    return len(message).to_bytes(PREFIX, "big") + message


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _parse(head: bytes, end: int) -> Buffer | None:
    kind, odd = head[4] >> 3, head[4] & 7
    if odd != 2 or not 6 <= kind <= 10:
        return None
    length, at = _varint(head, 5)
    if at + length != end or head[at] != 0x0A:
        return None
    # The delay: one byte of length is enough for two numbers of ten bytes and their tags.
    delay_end = at + 2 + head[at + 1]
    if head[at + 1] > 22:
        return None
    at += 2
    seconds = nanoseconds = 0
    if at < delay_end and head[at] == 0x08:
        seconds, at = _varint(head, at + 1)
    if at < delay_end and head[at] == 0x10:
        nanoseconds, at = _varint(head, at + 1)
    if at != delay_end or seconds > MAX_SECONDS or nanoseconds >= _MAX_NANOSECONDS:
        return None
    delay_ns = seconds * 1_000_000_000 + nanoseconds
    if at == end:
        return Buffer(kind, delay_ns, 0)
    if head[at] != 0x12:
        return None
    size, at = _varint(head, at + 1)
    return Buffer(kind, delay_ns, size) if at + size == end else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of at most 35 bits, and where it ends; one that goes on longer is too large for any limit here."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while shift <= 28:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise IndexError
