"""Chunks for tests: sealed, read, kept, and damaged as disks do it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from jit_agent.chunk_format import Encoding, Header
from jit_agent.chunks import Chunks
from jit_agent.packing import Frames

SESSION = "ses-0000000000000001"
OTHER = "ses-0000000000000002"
FRAMES = [b"first" * 100, b"second" * 100, b"third" * 100]


def write(
    chunks: Chunks, session_id: str, number: int, frames: bytes, *, start_ns: int = 0, end_ns: int = 1,
    compress: bool = False,
) -> bytes:  # fmt: skip
    """Seal one chunk; its digest."""
    [digest] = chunks.write_all(session_id, number, [Frames(start_ns, end_ns, frames)], compress=compress)
    return digest


def seal(chunks: Chunks, session_id: str = SESSION, frames: list[bytes] = FRAMES, *, compress: bool = True) -> None:
    for number, one in enumerate(frames):
        write(chunks, session_id, number, one, start_ns=number * 10, end_ns=number * 10 + 9, compress=compress)


def read(chunks: Chunks, number: int, session_id: str = SESSION) -> tuple[Header, bytes]:
    found = chunks.read(session_id, number)
    assert found is not None
    return found


def keep(chunks: Chunks, *numbers: int, session_id: str = SESSION) -> None:
    headers = chunks.headers(session_id)
    chunks.keep(session_id, [headers[number] for number in numbers])


def file(root: Path, number: int, session_id: str = SESSION) -> Path:
    return root / session_id / f"{number:06}.chunk"


def decoded(chunk: tuple[Header, bytes]) -> bytes:
    header, data = chunk
    return data if header.encoding is Encoding.NONE else zstandard.ZstdDecompressor().decompress(data)


def several(numbers: range) -> Iterator[Frames]:
    for number in numbers:
        yield Frames(number * 10, number * 10 + 9, FRAMES[number])


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing can be written; what is there can be read and removed."""

    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", no_room)
    monkeypatch.setattr(os, "pwrite", no_room)


def torn(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def gone(path: Path) -> None:
    path.unlink()


def header_changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20] ^= 0x80
    path.write_bytes(content)
