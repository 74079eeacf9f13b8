"""One session's folder of chunk files (SPEC 8.3): what is on the disk, and how it gets there and away.

`NNNNNN.chunk` is a chunk the server is not known to keep; `kept` holds the headers of those before it, one after the
other (on a full disk, where it cannot grow, files cut down to their headers follow it); `finished` says how many there
are once no more come; `refused` why the server takes no more of them.  Whatever is damaged is named in the journal, put
beside as `NNNNNN.damaged`, and a hole stands in: one bad file stops nothing.
All of it blocks, and raises `OSError`; callers of one folder take turns.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jit_agent.chunk_format import HEADER_SIZE, MAX_SIZE, NOTHING, Header, hole, parse_header, require_whole
from jit_agent.durable_files import put, put_all, read, sync_folder, write_all
from jit_agent.errors import Malformed

log = logging.getLogger(__name__)

KEPT, FINISHED, REFUSED = "kept", "finished", "refused"
GONE = ".gone"
"""Ends the name of a folder that is being removed."""
MAX_MISSING = 1_000
"""Chunks that may be gone; a number further on than that is a stray file's."""
_CHUNK = re.compile(r"([0-9]{6,10})\.chunk")
_DRAFT = re.compile(r"([0-9]{6,10}\.chunk|finished|refused)\.new")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_THE_FILE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})
"""Failures to read that say nothing about what is read."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds: so many chunks kept, so many there are, the bytes that wait, and since when (ns)."""

    kept: int
    written: int
    size: int
    since: int
    finished: bool
    refused: bool


class ChunkFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.session_id = path.name
        self._noted = 0
        """Headers in `kept`."""

    def look(self) -> Found:
        """Count what is there, and remove what a crash left of an unfinished step."""
        sizes: dict[int, int] = {}
        since: dict[int, int] = {}
        finished = refused = False
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name == KEPT:
                    # A last header that is cut off was not agreed: its chunk is still there.
                    self._noted = entry.stat(follow_symlinks=False).st_size // HEADER_SIZE
                elif entry.name in (FINISHED, REFUSED):
                    finished, refused = finished or entry.name == FINISHED, refused or entry.name == REFUSED
                elif match := _CHUNK.fullmatch(entry.name):
                    status = entry.stat(follow_symlinks=False)
                    sizes[int(match[1])], since[int(match[1])] = status.st_size, status.st_mtime_ns
                elif _DRAFT.fullmatch(entry.name):
                    os.unlink(entry.path)
        for number in [number for number in sizes if number < self._noted]:
            self._chunk(number).unlink()
            del sizes[number]
        kept = self._noted
        while sizes.get(kept) == HEADER_SIZE and not self._is_torn(kept, kept=True):
            kept += 1
        for number in sorted(sizes):
            if number > kept + len(sizes) + MAX_MISSING:
                log.error("Chunk %d of %s is left alone: too many before it are missing", number, self.path)
                del sizes[number]
        last = max(sizes, default=0)
        if not finished and last >= kept and last in sizes and self._is_torn(last):
            # Its write never returned: what it was made of is still where it came from.
            log.warning("Chunk %d of %s was cut off as it was written, and is removed", last, self.path)
            self._chunk(last).unlink()
            del sizes[last]
        written = max(kept, *(number + 1 for number in sizes), self._count() if finished else 0, 0)
        return Found(kept, written, sum(sizes.values()), since[min(sizes)] if sizes else 0, finished, refused)

    def write(self, header: Header, data: bytes) -> None:
        """Put a chunk in place, whole and for good, or not at all."""
        self._make()
        put(self._chunk(header.number), header.pack(self.session_id), data)

    def write_all(self, chunks: Iterable[tuple[Header, bytes]]) -> list[Header]:
        """The same of several, for about the price of one; how many, and what it raises, as `put_all` says."""
        self._make()
        headers: list[Header] = []

        def files() -> Iterator[tuple[Path, tuple[bytes, bytes]]]:
            for header, data in chunks:
                headers.append(header)
                yield self._chunk(header.number), (header.pack(self.session_id), data)

        return headers[: put_all(files())]

    def drop(self, numbers: Iterable[int]) -> int:
        """Remove chunks that what they were made of is still there for; returns the bytes of all that are left."""
        for number in sorted(numbers, reverse=True):
            self._unlink(number)
        return sum(path.lstat().st_size for path in self.path.glob("*.chunk"))

    def read(self, number: int) -> tuple[Header, bytes]:
        """A chunk, its bytes checked; a hole for one that is damaged or gone."""
        try:
            untrusted = read(self._chunk(number), HEADER_SIZE + MAX_SIZE)
            header, data = self._header_of(number, untrusted[:HEADER_SIZE]), untrusted[HEADER_SIZE:]
        except (OSError, Malformed) as e:
            return self._mend(number, e), NOTHING
        try:
            require_whole(header, data)
        except Malformed as e:
            return self._mend(number, e, header), NOTHING
        return header, data

    def headers(self, kept: int, written: int) -> list[Header]:
        """Those of the chunks from the first on; a hole for one that is torn or gone."""
        found = self._kept_headers(kept)
        for number in range(kept, written):
            try:
                found.append(self._header(number))
            except (OSError, Malformed) as e:
                before = found[-1].end_ns if found else 0
                found.append(self._mend(number, e, hole(number, start_ns=before, end_ns=before)))
        return found

    def keep(self, headers: Sequence[Header]) -> int:
        """The server keeps these, the next of the session: their headers stay, their bytes go.  Returns how many."""
        first = headers[0].number
        earlier = self._kept_headers(first)[self._noted :] if self._noted < first else []
        try:
            self._note([*earlier, *headers])
        except OSError as e:
            if e.errno not in _FULL:
                raise
            # Room comes from nowhere else, so what cannot be noted beside is noted in place.
            return sum(self._cut(header.number) for header in headers)
        return sum(self._unlink(header.number) for header in (*earlier, *headers))

    def finish(self, count: int) -> None:
        """No more than so many chunks come."""
        told = str(count).encode()
        put(self.path / FINISHED, b"%s %08x" % (told, zlib.crc32(told)))

    def put_aside(self, reason: str) -> None:
        """The server takes no more of this recording."""
        put(self.path / REFUSED, reason.encode())

    def remove(self) -> None:
        """The folder and all that is in it; a crash in between leaves nothing that counts."""
        try:
            self.path.rename(self._doomed)
        except FileNotFoundError:
            return
        self.remove_rest()

    def remove_rest(self) -> None:
        """What a crash left of a folder that was being removed."""
        shutil.rmtree(self._doomed)

    def _make(self) -> None:
        if not self.path.is_dir():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(self.path.parent)

    @property
    def _doomed(self) -> Path:
        return self.path.with_name(self.path.name + GONE)

    def _chunk(self, number: int) -> Path:
        return self.path / f"{number:06}.chunk"

    def _count(self) -> int:
        """As many as were told at the end; 0 where that cannot be believed."""
        told, _, check = read(self.path / FINISHED, 40).partition(b" ")
        return int(told) if check == b"%08x" % zlib.crc32(told) and told.isdigit() else 0

    def _note(self, headers: Sequence[Header]) -> None:
        """Add these to `kept`."""
        begin = self._noted
        fd = os.open(self.path / KEPT, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, b"".join(header.pack(self.session_id) for header in headers), at=begin * HEADER_SIZE)
            os.ftruncate(fd, (begin + len(headers)) * HEADER_SIZE)
            os.fdatasync(fd)
        finally:
            os.close(fd)
        if not begin:
            sync_folder(self.path)
        self._noted += len(headers)

    def _cut(self, number: int) -> int:
        """Leave only the header of a chunk's file; returns the bytes that were freed."""
        try:
            size = self._chunk(number).lstat().st_size
            os.truncate(self._chunk(number), HEADER_SIZE)
        except FileNotFoundError:
            return 0
        return size - HEADER_SIZE

    def _unlink(self, number: int) -> int:
        try:
            size = self._chunk(number).lstat().st_size
            self._chunk(number).unlink()
        except FileNotFoundError:
            return 0  # a hole that could not be put in place
        return size

    def _header(self, number: int, *, kept: bool = False) -> Header:
        path = self._chunk(number)
        header = self._header_of(number, read(path, HEADER_SIZE)[:HEADER_SIZE])
        size = path.lstat().st_size - HEADER_SIZE
        if size != (0 if kept else header.size):
            raise Malformed(f"it holds {size} bytes of {header.size}")
        return header

    def _header_of(self, number: int, untrusted: bytes) -> Header:
        header = parse_header(untrusted, self.session_id)
        if header.number != number:
            raise Malformed(f"it is chunk {header.number}")
        return header

    def _is_torn(self, number: int, *, kept: bool = False) -> bool:
        try:
            self._header(number, kept=kept)
        except Malformed:
            return True
        except OSError:
            return False
        return False

    def _kept_headers(self, kept: int) -> list[Header]:
        """Those of the chunks the server keeps: from `kept`, and from files that are cut down to them."""
        found: list[Header] = []
        untrusted = read(self.path / KEPT, self._noted * HEADER_SIZE) if self._noted else b""
        for number in range(kept):
            try:
                if number < self._noted:
                    found.append(self._header_of(number, untrusted[number * HEADER_SIZE :][:HEADER_SIZE]))
                else:
                    found.append(self._header(number, kept=True))
            except (OSError, Malformed) as e:
                log.error(
                    "What is known of chunk %d of %s, which the server keeps, is lost: %s", number, self.path, _why(e)
                )
                before = found[-1].end_ns if found else 0
                found.append(hole(number, start_ns=before, end_ns=before))
        return found

    def _mend(self, number: int, damage: Exception, known: Header | None = None) -> Header:
        """Name the damage, and put a hole there; raises the `OSError` that is none of the file's."""
        log.error("Chunk %d of %s is lost: %s", number, self.path, _why(damage))
        start, end = (known.start_ns, known.end_ns) if known is not None else self._times_around(number)
        instead = hole(number, start_ns=start, end_ns=end)
        path = self._chunk(number)
        try:
            if os.path.lexists(path):
                path.rename(path.with_suffix(".damaged"))
            self.write(instead, NOTHING)
        except OSError as e:
            log.warning("Chunk %d of %s cannot be put beside: %s", number, self.path, e.strerror)
        return instead

    def _times_around(self, number: int) -> tuple[int, int]:
        """When a chunk of which nothing is known was: where the one before it ended."""
        try:
            before = self._header(number - 1) if number else None
        except (OSError, Malformed):
            before = None
        return (before.end_ns, before.end_ns) if before is not None else (0, 0)


def _why(damage: Exception) -> str:
    """What is wrong with a file, in words; raises the `OSError` that says nothing about it."""
    if not isinstance(damage, OSError):
        return str(damage)
    if damage.errno in _NOT_THE_FILE:
        raise damage
    return os.strerror(damage.errno or 0)
