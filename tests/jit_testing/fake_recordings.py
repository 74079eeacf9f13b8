"""The server's end of `Record` (SPEC 8.4), in memory, strict about what it is sent, and with faults on demand."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import zstandard

from jit_protos.v1 import host_pb2, sessions_pb2

MAX_PIECE = 131_072


@dataclass(frozen=True)
class KeptChunk:
    """A chunk as it is kept."""

    number: int
    start_ns: int
    end_ns: int
    encoding: str
    sha256: bytes
    data: bytes

    @property
    def frames(self) -> bytes:
        return zstandard.ZstdDecompressor().decompress(self.data) if self.encoding == "zstd" else self.data


@dataclass
class FakeRecordings:
    """What all streams brought.  Faults: set them before or while the host uploads."""

    chunks: dict[str, list[KeptChunk]] = field(default_factory=dict)
    order: list[tuple[str, int]] = field(default_factory=list)
    """Chunks in the order they came whole, also those that were known."""
    streams: int = 0
    open: int = 0
    answers: bool = True
    """Say what is kept."""
    keeps: bool = True
    """Take chunks in; otherwise they are read and forgotten."""
    unkept: int = 0
    """Bytes read and not acknowledged."""
    break_after: int | None = None
    """End the stream with UNAVAILABLE after so many more pieces."""
    refuse: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """What a host must not do."""
    largest_piece: int = 0

    def digest(self, session_id: str) -> bytes:
        """As SessionEnded names it (SPEC 8.2)."""
        return hashlib.sha256(b"".join(chunk.sha256 for chunk in self.chunks[session_id])).digest()

    def frames(self, session_id: str) -> bytes:
        return b"".join(chunk.frames for chunk in self.chunks.get(session_id, []))

    async def take(
        self, pieces: AsyncIterator[sessions_pb2.RecordingPiece], context: Any
    ) -> AsyncGenerator[host_pb2.RecordingKept, None]:
        """One stream."""
        self.streams += 1
        self.open += 1
        data, refused = b"", set[str]()
        try:
            async for piece in pieces:
                if self.break_after == 0:
                    self.break_after = None
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
                if self.break_after is not None:
                    self.break_after -= 1
                self.largest_piece = max(self.largest_piece, len(piece.data))
                self._expect(piece.offset == len(data), f"{piece.session_id} {piece.chunk} at {piece.offset}")
                self._expect(0 < len(piece.data) <= MAX_PIECE, f"a piece of {len(piece.data)} bytes")
                data += piece.data
                if len(data) < piece.size:
                    continue
                word = self._whole(piece, data)
                self.unkept += len(data)
                data = b""
                if piece.session_id in refused:
                    continue
                if word is not None and word.refused:
                    refused.add(piece.session_id)
                if word is not None and self.answers:
                    self.unkept = 0
                    yield word
        finally:
            self.open -= 1

    def _whole(self, piece: sessions_pb2.RecordingPiece, data: bytes) -> host_pb2.RecordingKept | None:
        session_id, number = piece.session_id, piece.chunk
        self._expect(len(data) == piece.size, f"{session_id} {number} has {len(data)} bytes of {piece.size}")
        self._expect(hashlib.sha256(data).digest() == piece.sha256, f"{session_id} {number} has another SHA-256")
        self.order.append((session_id, number))
        if session_id in self.refuse:
            return host_pb2.RecordingKept(session_id=session_id, refused=self.refuse[session_id])
        if not self.keeps:
            return None
        kept = self.chunks.setdefault(session_id, [])
        chunk = KeptChunk(number, piece.start_ns, piece.end_ns, piece.encoding, piece.sha256, data)
        self._expect(len(chunk.frames) == piece.decoded_size, f"{session_id} {number} decodes to another size")
        if number > len(kept):
            return host_pb2.RecordingKept(session_id=session_id, chunks=len(kept), refused="some are missing")
        if number < len(kept) and kept[number].sha256 != piece.sha256:
            return host_pb2.RecordingKept(session_id=session_id, chunks=len(kept), refused="another than is kept")
        if number == len(kept):
            kept.append(chunk)
        return host_pb2.RecordingKept(session_id=session_id, chunks=len(kept))

    def _expect(self, so: bool, what: str) -> None:
        if not so:
            self.wrong.append(what)
