"""Pieces of recordings and verdicts on them, as domain values and as messages (SPEC 8.2)."""

from __future__ import annotations

from collections.abc import Iterator

from jit_protos.v1 import host_pb2, sessions_pb2
from jit_server.domain.ids import Kind, is_id
from jit_server.domain.recording import DIGEST_BYTES, Chunk
from jit_server.errors import Invalid, LimitExceeded
from jit_server.rpc import session_wire
from jit_server.rpc.wire import bounded
from jit_server.services.recordings import Kept, Refused
from jit_server.services.sessions import SessionView
from jit_server.services.verification import Verdict

PIECE = 128 * 1024
"""Bytes of a chunk that one message holds at most."""


def chunk(untrusted: sessions_pb2.RecordingPiece) -> Chunk:
    """The chunk that a first piece begins; raises `Invalid` for what names none."""
    if not is_id(Kind.SESSION, untrusted.session_id):
        raise Invalid(f"{untrusted.session_id[:64]!a} is not the id of a session")
    if len(untrusted.sha256) != DIGEST_BYTES:
        raise Invalid(f"chunk {untrusted.chunk} comes without its SHA-256")
    return Chunk(
        session_id=untrusted.session_id,
        number=untrusted.chunk,
        sha256=untrusted.sha256.hex(),
        size=untrusted.size,
        decoded_size=untrusted.decoded_size,
        start_ns=untrusted.start_ns,
        end_ns=untrusted.end_ns,
        encoding=bounded(untrusted.encoding, "the encoding of a chunk", 16),
    )


def data(untrusted: sessions_pb2.RecordingPiece, of: Chunk, offset: int) -> bytes:
    """What a piece holds; raises `Invalid` unless it is the chunk's next."""
    if (untrusted.session_id, untrusted.chunk, untrusted.offset) != (of.session_id, of.number, offset):
        raise Invalid(f"the pieces of chunk {of.number} of {of.session_id} are not in order")
    if not untrusted.data or offset + len(untrusted.data) > of.size:
        raise Invalid(f"the pieces of chunk {of.number} of {of.session_id} are not as long as it is")
    if len(untrusted.data) > PIECE:
        raise LimitExceeded(f"a piece of a recording has {len(untrusted.data)} bytes, the limit is {PIECE}")
    return untrusted.data


def kept_message(session_id: str, answer: Kept | Refused) -> host_pb2.RecordingKept:
    refused = answer.why if isinstance(answer, Refused) else ""
    return host_pb2.RecordingKept(session_id=session_id, chunks=answer.chunks, refused=refused)


def session_piece(view: SessionView) -> sessions_pb2.RecordingPiece:
    """The session as it is now, between the chunks."""
    return sessions_pb2.RecordingPiece(session_id=view.session.session_id, session=session_wire.session_message(view))


def pieces(of: Chunk, content: bytes) -> Iterator[sessions_pb2.RecordingPiece]:
    """The chunk in messages, each with all that is said of the chunk."""
    for offset in range(0, len(content), PIECE):
        yield sessions_pb2.RecordingPiece(
            session_id=of.session_id,
            chunk=of.number,
            start_ns=of.start_ns,
            end_ns=of.end_ns,
            encoding=of.encoding,
            size=of.size,
            decoded_size=of.decoded_size,
            sha256=bytes.fromhex(of.sha256),
            offset=offset,
            data=content[offset : offset + PIECE],
        )


def verdict_message(verdict: Verdict) -> sessions_pb2.RecordingVerdict:
    return sessions_pb2.RecordingVerdict(
        session_id=verdict.session_id,
        verdict=verdict.found.value,
        detail=verdict.detail,
        chunks=verdict.chunks,
        stored_bytes=verdict.stored_bytes,
    )
