"""Put a file in place, or take it away, atomically (S1, S6).

sudo skips names with a dot, so a file is written under a dotted name and takes effect, as a whole, at the rename.
Taking away renames an empty file over it: other people's sudo complains when files vanish while it reads the
directory.  `sweep` unlinks the empty ones later, when all is quiet.
"""

import contextlib
import os
import stat
from pathlib import Path

from jit_enforcer.errors import Unsafe
from jit_enforcer.paths import Paths


def check_directory(paths: Paths, directory: Path) -> None:
    """Raise `Unsafe` unless this and every folder above it is root's own and writable by nobody else."""
    for folder in (directory, *directory.parents):
        try:
            found = os.lstat(folder)
        except OSError as e:
            raise Unsafe(f"{folder} cannot be used: {e.strerror}; run systemd-tmpfiles --create") from e
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != paths.owner or found.st_mode & 0o022:
            raise Unsafe(f"{folder} must be a folder of uid {paths.owner} that nobody else may write")
        if folder == paths.root:
            return


def install(paths: Paths, final: Path, text: str, *, mode: int, uid: int | None = None) -> None:
    """Write `final` durably; on any failure nothing of it is left.  Raises `Unsafe`."""
    check_directory(paths, final.parent)
    draft = final.parent / f".{final.name}.new"
    try:
        with contextlib.suppress(FileNotFoundError):  # of a crash; we are the only writer
            draft.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(draft, flags, 0o400), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if uid is not None:
                os.fchown(file.fileno(), uid, -1)
            os.fsync(file.fileno())
        draft.rename(final)
        _sync(final.parent)
    except OSError as e:
        raise Unsafe(f"cannot write {final}: {e.strerror}") from e
    finally:
        with contextlib.suppress(OSError):  # renamed, or tmpfs is in a state that reconcile has to clean up
            draft.unlink()


def remove(final: Path) -> None:
    """Make the file say nothing, by whichever way works.  Raises `Unsafe` only if none did."""
    if gone(final):
        return
    draft = final.parent / f".{final.name}.end"
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
        try:
            os.fchmod(fd, 0o440)  # the mode visudo -c wants of everything that sudo includes
        finally:
            os.close(fd)
        draft.rename(final)
    except OSError:  # no inode left, or a read-only folder: unlinking or truncating may still work
        with contextlib.suppress(OSError):
            final.unlink()
        with contextlib.suppress(OSError):
            os.truncate(final, 0)
    with contextlib.suppress(OSError):  # tmpfs keeps no promise across a crash anyway
        _sync(final.parent)
    if not gone(final):
        raise Unsafe(f"cannot remove {final}")


def gone(final: Path) -> bool:
    """True if the file is absent or empty: sudo reads nothing in it."""
    try:
        found = os.lstat(final)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == 0


def sweep(directory: Path, *, older_than_s: float, now_s: float) -> None:
    """Unlink emptied files and stale drafts that nobody has touched for a while."""
    with contextlib.suppress(OSError):  # the next sweep tries again
        for entry in os.scandir(directory):
            found = entry.stat(follow_symlinks=False)
            stale = found.st_size == 0 or entry.name.startswith(".")
            if stale and now_s - found.st_ctime >= older_than_s:
                os.unlink(entry.path)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
