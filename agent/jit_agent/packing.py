"""What is recorded, packed into chunks one after the other (SPEC 8.2): compressed where that makes it smaller."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import zstandard

from jit_agent.chunk_format import MAX_SIZE, Encoding, Header

LEVEL = 1


@dataclass(frozen=True, slots=True)
class Frames:
    """What a chunk is to hold: whole messages, at most `chunk_format.MAX_SIZE` bytes of them; times as in `Header`."""

    start_ns: int
    end_ns: int
    data: bytes


def packed(session_id: str, number: int, frames: Iterable[Frames], *, compress: bool) -> Iterator[tuple[Header, bytes]]:
    """Each with its header, the first being chunk `number`; raises `ValueError` for one that is empty or too large."""
    for chunk, one in enumerate(frames, number):
        if not 0 < len(one.data) <= MAX_SIZE:
            raise ValueError(f"chunk {chunk} of {session_id} has {len(one.data)} bytes, limit {MAX_SIZE}")
        data, encoding = one.data, Encoding.NONE
        if compress:
            smaller = zstandard.ZstdCompressor(level=LEVEL).compress(data)
            if len(smaller) < len(data):
                data, encoding = smaller, Encoding.ZSTD
        digest = hashlib.sha256(data).digest()
        yield Header(chunk, one.start_ns, one.end_ns, encoding, len(data), len(one.data), digest), data
