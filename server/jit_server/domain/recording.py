"""Recordings: what chunks are, how many make one whole, and what proves it (SPEC 8.2, 8.4).

A chunk is named by its session and number, and its bytes by their SHA-256.  The recording's digest is over those names
alone, so that it can be compared with the host's, and with what the audit log says, without reading a byte.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import zstandard

from jit_server.errors import Invalid, LimitExceeded

MAX_SIZE = 2 * 1024 * 1024 + 64 * 1024
"""Bytes of a chunk, stored or decoded: the 2 MiB of the largest message, and room for what frames and packs it."""
MAX_NUMBER = 2**32 - 2
MAX_NS = 2**63 - 1
DIGEST_BYTES = 32


class Encoding(StrEnum):
    ZSTD = "zstd"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk as it is stored; `sha256` is in lower-case hexadecimal, sizes in bytes.

    `start_ns` and `end_ns` are nanoseconds since the session's start.  One that decodes to nothing stands in for what
    its host lost.
    """

    session_id: str
    number: int
    sha256: str
    size: int
    decoded_size: int
    start_ns: int
    end_ns: int
    encoding: str
    deleted: bool = False


def check(untrusted: Chunk) -> Chunk:
    """Return the chunk; raise `Invalid` or `LimitExceeded` for one that cannot be."""
    if untrusted.number > MAX_NUMBER:
        raise LimitExceeded(f"chunk {untrusted.number} is beyond the limit of {MAX_NUMBER}")
    if not 0 <= untrusted.start_ns <= untrusted.end_ns <= MAX_NS:
        raise Invalid(f"chunk {untrusted.number} ends before it starts")
    if untrusted.size < 1:
        raise Invalid(f"chunk {untrusted.number} is empty")
    for size, what in ((untrusted.size, "stored"), (untrusted.decoded_size, "decoded")):
        if size > MAX_SIZE:
            raise LimitExceeded(f"chunk {untrusted.number} has {size} bytes {what}, the limit is {MAX_SIZE}")
    if untrusted.encoding not in frozenset(Encoding):
        raise Invalid(f"chunk {untrusted.number} has an unknown encoding")
    if untrusted.encoding == Encoding.NONE and untrusted.size != untrusted.decoded_size:
        raise Invalid(f"chunk {untrusted.number} is not encoded, but has two sizes")
    return untrusted


def is_plausible(untrusted: Chunk) -> bool:
    """Whether `check` has nothing against it."""
    try:
        check(untrusted)
    except Invalid:
        return False
    return True


def mismatch(chunk: Chunk, content: bytes) -> str:
    """What about the bytes is not as the chunk says; empty if nothing is."""
    if len(content) != chunk.size:
        return f"chunk {chunk.number} has {len(content)} bytes where it should have {chunk.size}"
    if hashlib.sha256(content).hexdigest() != chunk.sha256:
        return f"chunk {chunk.number} is not what its SHA-256 says"
    if chunk.encoding == Encoding.ZSTD:
        try:
            decoded_size = zstandard.get_frame_parameters(content).content_size
        except zstandard.ZstdError:
            return f"chunk {chunk.number} is not a zstd frame"
        # A frame that does not name its size would let whoever decodes it run out of memory.
        if decoded_size != chunk.decoded_size:
            return f"chunk {chunk.number} does not decode to {chunk.decoded_size} bytes"
    return ""


class Proof:
    """Digests over a recording's chunks, fed in order.

    `digest` is the one the host names; `index` also covers what stands beside the bytes: sizes, times and encodings.
    """

    def __init__(self) -> None:
        self.chunks = 0
        self.stored_bytes = 0
        self._digest = hashlib.sha256()
        self._index = hashlib.sha256()

    def add(self, chunk: Chunk) -> None:
        self.chunks += 1
        self.stored_bytes += chunk.size
        self._digest.update(_raw(chunk.sha256))
        line = (
            f"{chunk.number} {chunk.sha256} {chunk.size} {chunk.decoded_size} "
            f"{chunk.start_ns} {chunk.end_ns} {chunk.encoding}\n"
        )
        self._index.update(line.encode())

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    @property
    def index(self) -> str:
        return self._index.hexdigest()


def _raw(sha256: str) -> bytes:
    try:
        return bytes.fromhex(sha256)
    except ValueError:
        # A row that somebody changed: no digest will fit, and that is what has to be found.
        return sha256.encode()
