"""Chunks of a recording, put together from the pieces they come in, checked, and decoded (SPEC 8.2).

Everything is bounded before it is done: a chunk is at most 2 MiB decoded,
whatever its compressed form would grow to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import zstandard

from jit_ctl.session_model import Piece, Session

from .errors import damaged
from .frames import MAX_NS

MAX_DECODED = 2 * 1024 * 1024
"""Bytes; one message of the largest size stands alone in its chunk."""
# What cannot be compressed grows by less than this.
_MAX_STORED = MAX_DECODED + 64 * 1024
_MAX_WINDOW = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk as it is stored; its bytes are those that were hashed on the host."""

    number: int
    end_ns: int
    """In ns since the session's start; what tells the time where the host has lost what was in it."""
    encoding: str
    decoded_size: int
    data: bytes


class Assembly:
    """The pieces of one recording, in their order, to whole chunks."""

    def __init__(self, session_id: str, first: int = 0) -> None:
        self._session_id = session_id
        self._next = first
        self._data = bytearray()

    def take(self, piece: Piece) -> Chunk | None:
        """Return the chunk that this piece completes; raise `CtlError` when pieces do not fit together."""
        if piece.chunk != self._next:
            raise self._damaged(f"chunk {piece.chunk} came where chunk {self._next} should be")
        if piece.size > _MAX_STORED or piece.decoded_size > MAX_DECODED:
            raise self._damaged(f"chunk {piece.chunk} is larger than any may be")
        if piece.offset != len(self._data) or piece.offset + len(piece.data) > piece.size or not piece.data:
            raise self._damaged(f"the pieces of chunk {piece.chunk} do not fit together")
        self._data += piece.data
        if len(self._data) < piece.size:
            return None
        data = bytes(self._data)
        if hashlib.sha256(data).digest() != piece.sha256:
            raise self._damaged(f"chunk {piece.chunk} has another SHA-256 than it should")
        self._data.clear()
        self._next += 1
        return Chunk(piece.chunk, min(piece.end_ns, MAX_NS), piece.encoding, piece.decoded_size, data)

    def restart(self) -> int:
        """Forget half a chunk, because the connection broke; return the number of the chunk to go on with."""
        self._data.clear()
        return self._next

    def finish(self) -> None:
        """Raise `CtlError` when the stream ended within a chunk."""
        if self._data:
            raise self._damaged(f"chunk {self._next} ends too soon")

    def _damaged(self, what: str) -> Exception:
        return damaged(self._session_id, what)


def whole(session_id: str, news: Iterable[Session | Piece]) -> Iterator[Chunk]:
    """The chunks of a stream that is read to its end."""
    assembly = Assembly(session_id)
    for one in news:
        if isinstance(one, Piece) and (chunk := assembly.take(one)):
            yield chunk
    assembly.finish()


def decode(session_id: str, chunk: Chunk) -> bytes:
    """The messages of a chunk; raise `CtlError` when they are not what the chunk says of itself."""
    match chunk.encoding:
        case "none":
            data = chunk.data
        case "zstd":
            data = _decompress(session_id, chunk)
        case _:
            raise damaged(session_id, f"chunk {chunk.number} has the unknown encoding {chunk.encoding}")
    if len(data) != chunk.decoded_size:
        raise damaged(session_id, f"chunk {chunk.number} is not as long as it says")
    return data


def _decompress(session_id: str, chunk: Chunk) -> bytes:
    try:
        # Read as a stream: what the frame says of its own size is not believed.
        with zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(chunk.data) as reader:
            return reader.read(min(chunk.decoded_size, MAX_DECODED) + 1)
    except zstandard.ZstdError:
        raise damaged(session_id, f"chunk {chunk.number} cannot be decompressed") from None
