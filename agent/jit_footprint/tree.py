"""Look at files of other people as root without being led, held or hurt (SPEC 3.6).

Paths are walked by hand, one name at a time, from descriptor to descriptor: no link is followed by the kernel, nothing
is opened for reading that was not seen to be a plain file, nothing is waited for, and no foreign mount is entered.
Paths are canonical, so a file is one entry however one came to it.
"""

import hmac
import itertools
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from jit_footprint.mounts import Mounts
from jit_footprint.snapshot import Entry, Kind

READ_LIMIT: Final = 1 << 20
"""Bytes of a file that are read; of a larger one size, times and inode must do."""
_STEPS: Final = 32
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """Something that exists, held by a descriptor that reads nothing; a context manager that lets go of it."""

    path: str
    fd: int
    stat: os.stat_result

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.stat.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.stat.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.stat.st_mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)


class Tree:
    """The file tree below `root` ("/" but in tests); `key` makes digests useless to who has only them."""

    def __init__(self, root: str, mounts: Mounts, key: bytes) -> None:
        self._root = root
        self._mounts = mounts
        self._key = key

    def locate(self, path: str, passed: Callable[[Found], None]) -> Found | None:
        """What lies at this absolute path, links followed; None: nothing, or nothing we enter.

        `passed` hears of each link on the way.
        """
        parts = _parts(path)
        for _ in range(_STEPS):
            found, rest = self._descend(parts)
            if found is None or not (found.is_link or rest):
                return found
            with found:
                here = found.path.split("/")[1:]
                if found.is_link:
                    passed(found)
                    target = self.target(found)
                    here = [] if target.startswith("/") else here[:-1]
                    rest = [*_parts(target), *rest]
            while rest[:1] == [".."]:
                here, rest = here[:-1], rest[1:]
            parts = [*here, *rest]
        return None

    def child(self, folder: Found, name: str) -> Found | None:
        """What this folder has under this name, a link as such; None: nothing, or nothing we enter."""
        return self.open_at(f"{folder.path.rstrip('/')}/{name}", name, folder.fd)

    def open_at(self, path: str, name: str, folder: int) -> Found | None:
        """Like `child`, of a folder that is known by its descriptor; `path` is the canonical path of what is asked."""
        if path in self._mounts.foreign:
            return None
        try:
            fd = os.open(name, _LOOK, dir_fd=folder)
        except (OSError, ValueError):  # not there any more, or a name no file can have
            return None
        return Found(path, fd, os.fstat(fd))

    def names(self, folder: Found, limit: int) -> list[str]:
        """The first `limit` names in the folder, sorted.  Raises `OSError`."""
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder.fd)
        try:
            with os.scandir(fd) as entries:
                return sorted(entry.name for entry in itertools.islice(entries, limit))
        finally:
            os.close(fd)

    def target(self, link: Found) -> str:
        """Where the link points, as it stands there; "" if that cannot be read."""
        try:
            return os.readlink("", dir_fd=link.fd)
        except OSError:
            return ""

    def read(self, file: Found) -> bytes | None:
        """The content of a plain file; None if it is too large, not plain, or not to be had at once."""
        if not file.is_file or file.stat.st_size > READ_LIMIT:
            return None
        try:
            # Opens the very file that was seen.  O_NONBLOCK: its owner may hold a lease on it.
            with open(os.open(f"/proc/self/fd/{file.fd}", _READ), "rb", buffering=0) as opened:
                content = bytearray()
                while len(content) <= READ_LIMIT and (more := opened.read(READ_LIMIT)):
                    content += more
        except OSError:
            return None
        return bytes(content) if len(content) <= READ_LIMIT else None

    def describe(self, kind: Kind, found: Found) -> Entry:
        """What is kept of it.  A folder's size and a special file's content say nothing."""
        content, size, status = "", 0, found.stat
        if found.is_link:
            content = self.target(found)
        elif found.is_file:
            content, size = self._digest(found), status.st_size
        return Entry(kind, status.st_mode, status.st_uid, status.st_gid, size, content, status.st_ctime_ns // 1000)

    def _digest(self, file: Found) -> str:
        """A digest of the content, or the stamps that any change of it would move."""
        content = self.read(file)
        if content is None:
            return f"{file.stat.st_mtime_ns} {file.stat.st_ctime_ns} {file.stat.st_ino}"
        return hmac.digest(self._key, content, "sha256").hex()[:32]

    def _descend(self, parts: list[str]) -> tuple[Found | None, list[str]]:
        """As far as there is neither link nor "..": what is there, and the names that are left."""
        fd = os.open(self._root, _LOOK | os.O_DIRECTORY)
        here = Found("/", fd, os.fstat(fd))
        for number, part in enumerate(parts):
            if part == "..":
                return here, parts[number:]
            with here:
                deeper = self.child(here, part)
            if deeper is None:
                return None, []
            here = deeper
            if here.is_link:
                return here, parts[number + 1 :]
            # The next name fails by itself if this is no folder.
        return here, []


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
