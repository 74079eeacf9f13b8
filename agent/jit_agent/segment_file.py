"""One segment: a file of fixed size, mapped, whose first page says how far the bytes after it can be believed.

Two things are told there: how far they were received (true if only the agent died; the kernel keeps the rest), and how
far they are on the disk, with a checksum (true even if the machine died).  The latter has two places, written in turn:
a write that a power cut tears leaves the other.  In the first segment of a session it is also told whose it is.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

SIZE = 4 * 1024 * 1024
PAGE = 4_096
CAPACITY = SIZE - PAGE
"""Bytes of the stream in one segment."""
_MAGIC = b"JITRAW01"
_HEAD = struct.Struct(">8s16sI")
_RECEIVED = struct.Struct(">I")
_RECEIVED_AT = 64
_STRETCH = struct.Struct(">III")
"""From where to where its checksum holds, and the checksum; the checksum of these twelve bytes comes after them."""
_CHECK = struct.Struct(">I")
_STRETCHES_AT = (1_024, 2_048)
_IDENTITY = struct.Struct(">II")
"""Bytes of what follows, and their checksum."""
_IDENTITY_AT = 2_560
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Segment:
    """A mapped one; `bytes` are those after the page."""

    def __init__(self, number: int, fd: int) -> None:
        """Raises `OSError`; the descriptor stays the caller's."""
        self.number = number
        self._map = mmap.mmap(fd, SIZE)
        if number == 0:
            # Most sessions are short: the kernel is not to make pages of megabytes ready for their first bytes, which
            # takes longer than all else that is done here.
            self._map.madvise(mmap.MADV_RANDOM)
        self.bytes = memoryview(self._map)[PAGE:]

    def note(self, received: int) -> None:
        _RECEIVED.pack_into(self._map, _RECEIVED_AT, received)

    def identify(self, identity: bytes) -> None:
        """Say whose it is, in place of what was said before; raises `ValueError` for more than fits."""
        end = _IDENTITY_AT + _IDENTITY.size + len(identity)
        if end > PAGE:
            raise ValueError(f"{len(identity)} bytes do not fit into a segment's first page")
        _IDENTITY.pack_into(self._map, _IDENTITY_AT, len(identity), zlib.crc32(identity))
        self._map[_IDENTITY_AT + _IDENTITY.size : end] = identity

    def close(self) -> None:
        self.bytes.release()
        # The event loop may still hold what it received into last; the mapping goes with that.
        with suppress(BufferError):
            self._map.close()


def create(path: Path, number: int) -> Segment:
    """A new one with all its room reserved; raises `OSError` and leaves nothing."""
    fd = os.open(path, _WRITE | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(fd, 0, SIZE)
        os.pwrite(fd, _HEAD.pack(_MAGIC, boot_id(), number), 0)
        return Segment(number, fd)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def reopen(path: Path, number: int) -> Segment:
    """One of an earlier run; raises `OSError`."""
    fd = os.open(path, _WRITE)
    try:
        if os.fstat(fd).st_size != SIZE:
            raise OSError(errno.EIO, "it has another size than a segment")
        return Segment(number, fd)
    finally:
        os.close(fd)


def read(path: Path, offset: int, count: int) -> bytes:
    """Bytes of the stream from an offset in this segment; raises `OSError`."""
    fd = os.open(path, _READ)
    try:
        data = os.pread(fd, count, PAGE + offset)
    finally:
        os.close(fd)
    if len(data) != count:
        raise OSError(errno.EIO, "it is cut off")
    return data


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Put other bytes of the stream in the place of some; raises `OSError`."""
    fd = os.open(path, _WRITE)
    try:
        if os.pwrite(fd, data, PAGE + offset) != len(data):
            raise OSError(errno.EIO, "it was written in part only")
    finally:
        os.close(fd)


def sync(path: Path, offset: int, count: int) -> None:
    """Put so many bytes on the disk, with their checksum; raises `OSError`."""
    fd = os.open(path, _WRITE)
    try:
        stretch = _STRETCH.pack(offset, offset + count, zlib.crc32(os.pread(fd, count, PAGE + offset)))
        page = os.pread(fd, PAGE, 0)
        shorter = min(_STRETCHES_AT, key=lambda at: _STRETCH.unpack_from(page, at)[1])
        os.pwrite(fd, stretch + _CHECK.pack(zlib.crc32(stretch)), shorter)
        os.fdatasync(fd)
    finally:
        os.close(fd)


def identity(path: Path) -> bytes | None:
    """Whose segment it is; None if that was never said, or is spoilt.  Raises `OSError`."""
    fd = os.open(path, _READ)
    try:
        page = os.pread(fd, PAGE, 0)
    finally:
        os.close(fd)
    if len(page) < PAGE:
        return None
    size, checksum = _IDENTITY.unpack_from(page, _IDENTITY_AT)
    start = _IDENTITY_AT + _IDENTITY.size
    found = page[start : start + size]
    return found if size and len(found) == size and zlib.crc32(found) == checksum else None


def filled(path: Path, number: int) -> int:
    """So many of its bytes are what was received; 0 for a file that is no such segment.  Raises `OSError`."""
    fd = os.open(path, _READ)
    try:
        page = os.pread(fd, PAGE, 0)
        if len(page) < PAGE or os.fstat(fd).st_size != SIZE:
            return 0
        magic, made_in, its_number = _HEAD.unpack_from(page)
        if (magic, its_number) != (_MAGIC, number):
            return 0
        if made_in == boot_id():
            return min(int(_RECEIVED.unpack_from(page, _RECEIVED_AT)[0]), CAPACITY)
        return max(_believed(fd, page, at) for at in _STRETCHES_AT)
    finally:
        os.close(fd)


def is_of_this_boot(path: Path) -> bool:
    """Whether the machine has run ever since this segment was made; False too for what is no segment."""
    try:
        with path.open("rb") as file:
            magic, made_in, _ = _HEAD.unpack(file.read(_HEAD.size))
    except (OSError, struct.error):
        return False
    return bool(magic == _MAGIC and made_in == boot_id())


@cache
def boot_id() -> bytes:
    return bytes.fromhex(_BOOT.read_text(encoding="ascii").strip().replace("-", ""))


def _believed(fd: int, page: bytes, at: int) -> int:
    """How far this one of the two stretches reaches; 0 if its checksum does not hold."""
    stretch = page[at : at + _STRETCH.size]
    start, end, checksum = _STRETCH.unpack(stretch)
    if _CHECK.unpack_from(page, at + _STRETCH.size)[0] != zlib.crc32(stretch) or not start < end <= CAPACITY:
        return 0
    return int(end) if zlib.crc32(os.pread(fd, end - start, PAGE + start)) == checksum else 0
