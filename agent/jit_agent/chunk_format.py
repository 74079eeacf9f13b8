"""A chunk file: a fixed header, then the bytes that are stored and uploaded (SPEC 8.2, 8.3).

Pure bytes, no disk.  A header is bound to its session, so that a file from another folder is as damaged as a torn one.
Where a chunk was lost a hole stands in: a chunk that decodes to nothing, so that what follows it can still be kept.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from jit_agent.errors import Malformed

MAGIC = b"JITCHUNK"
VERSION = 1
MAX_SIZE = 2_162_688
"""Bytes of a chunk, stored or decoded: the 2 MiB of the largest message, and room for what frames and packs it."""
MAX_NUMBER = 2**32 - 2
_LAYOUT = struct.Struct(">8sBBxxIqqII32s")
_CHECK = struct.Struct(">I")
HEADER_SIZE = _LAYOUT.size + _CHECK.size
NOTHING = bytes.fromhex("28b52ffd2000010000")
"""A zstd frame of no bytes: what a hole is stored as."""


class Encoding(IntEnum):
    NONE = 0
    ZSTD = 1
    HOLE = 2


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a chunk: its number from 0, its first and last instant (ns since the session's start), sizes."""

    number: int
    start_ns: int
    end_ns: int
    encoding: Encoding
    size: int
    decoded_size: int
    sha256: bytes
    """Of the bytes as they are stored."""

    @property
    def is_hole(self) -> bool:
        """The chunk was damaged on this host, and nothing of it is left."""
        return self.encoding is Encoding.HOLE

    def pack(self, session_id: str) -> bytes:
        packed = _LAYOUT.pack(
            MAGIC, VERSION, self.encoding, self.number, self.start_ns, self.end_ns,
            self.size, self.decoded_size, self.sha256,
        )  # fmt: skip
        return packed + _CHECK.pack(_check(session_id, packed))


def hole(number: int, *, start_ns: int, end_ns: int) -> Header:
    """What stands in for a chunk that was lost."""
    digest = hashlib.sha256(NOTHING).digest()
    return Header(number, start_ns, end_ns, Encoding.HOLE, len(NOTHING), 0, digest)


def parse_header(untrusted: bytes, session_id: str) -> Header:
    """The header of these `HEADER_SIZE` bytes; raises `Malformed` unless it was packed for this session."""
    if len(untrusted) != HEADER_SIZE:
        raise Malformed(f"it has {len(untrusted)} bytes where its header has {HEADER_SIZE}")
    packed = untrusted[: _LAYOUT.size]
    magic, version, encoding, number, start_ns, end_ns, size, decoded_size, digest = _LAYOUT.unpack(packed)
    if magic != MAGIC or version != VERSION:
        raise Malformed("it does not begin as a chunk does")
    if _CHECK.unpack(untrusted[_LAYOUT.size :])[0] != _check(session_id, packed):
        raise Malformed("its header is damaged, or another session's")
    try:
        header = Header(number, start_ns, end_ns, Encoding(encoding), size, decoded_size, digest)
    except ValueError as e:
        raise Malformed("its encoding is unknown") from e
    if not 0 < size <= MAX_SIZE or decoded_size > MAX_SIZE or not 0 <= start_ns <= end_ns or number > MAX_NUMBER:
        raise Malformed("its header says what cannot be")
    return header


def require_whole(header: Header, untrusted_data: bytes) -> None:
    """Raise `Malformed` unless these are the bytes that the header was made for."""
    if len(untrusted_data) != header.size:
        raise Malformed(f"it holds {len(untrusted_data)} bytes of {header.size}")
    if hashlib.sha256(untrusted_data).digest() != header.sha256:
        raise Malformed("its bytes were changed")


def _check(session_id: str, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(session_id.encode()))
