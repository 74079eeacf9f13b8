"""Files that are there for good, and files that are read with a bound; all of it blocks and raises `OSError`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from jit_agent.errors import SpoolUnavailable


def put(final: Path, *parts: bytes) -> None:
    """Put a file in place, whole and for good when this returns; raises `OSError`, and then leaves none."""
    path = _draft_of(final)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for part in parts:
            write_all(fd, part)
        # Renamed first, so that the file and its name cost one commit of the file system's journal and not two;
        # what a power cut can leave of that, whoever reads it must see.
        path.rename(final)
        os.fdatasync(fd)
        sync_folder(final.parent)
    except OSError:
        path.unlink(missing_ok=True)
        final.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def put_all(files: Iterable[tuple[Path, Sequence[bytes]]]) -> int:
    """The same of several, made one by one; their names cost one commit of the journal together.

    Returns how many were put in place, from the first on: as many as can be made and the disk takes.  Raises what is
    wrong, an `OSError` or `SpoolUnavailable`, where that is none, and then leaves none.
    """
    drafts: list[tuple[Path, int]] = []
    try:
        try:
            for final, parts in files:
                drafts.append((final, _draft(final, parts)))
        except (OSError, SpoolUnavailable):
            if not drafts:
                raise
        # Each is on the disk before it has its name, so a power cut leaves no torn file.
        for _, fd in drafts:
            os.fdatasync(fd)
        for final, _ in drafts:
            _draft_of(final).rename(final)
        for folder in {final.parent for final, _ in drafts}:
            sync_folder(folder)
    except BaseException:
        for final, _ in drafts:
            _draft_of(final).unlink(missing_ok=True)
            final.unlink(missing_ok=True)
        raise
    finally:
        for _, fd in drafts:
            os.close(fd)
    return len(drafts)


def read(path: Path, limit: int) -> bytes:
    """The file, as far as the limit; a byte more than it may have shows that it is longer."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
        parts, left = [], limit + 1
        while left and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def write_all(fd: int, data: bytes, at: int | None = None) -> None:
    """Write all of it, at the file's position or at an offset."""
    left = memoryview(data)
    while left:
        done = os.write(fd, left) if at is None else os.pwrite(fd, left, at)
        left, at = left[done:], None if at is None else at + done


def sync_folder(path: Path) -> None:
    """Make what was added to, renamed in and removed from a folder last."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _draft(final: Path, parts: Iterable[bytes]) -> int:
    """Write what is to be put in place later; returns its descriptor."""
    path = _draft_of(final)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for part in parts:
            write_all(fd, part)
        # Makes the kernel begin to write it out: when somebody waits for that, most of it is done.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        os.close(fd)
        path.unlink(missing_ok=True)
        raise
    return fd


def _draft_of(final: Path) -> Path:
    return final.with_name(f"{final.name}.new")
