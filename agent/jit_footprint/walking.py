"""Every setuid and setgid file, and every file with capabilities, on the host's own file systems (SPEC 3.6).

One stat and one listxattr a plain file, from descriptor to descriptor, so that nobody can lead the walk astray; within
bounds of depth, time, and of files of one owner: a person may have as many setuid files of their own as they like.
"""

import os
import posixpath
import stat
import time
from collections import Counter
from dataclasses import replace
from typing import Final

from jit_footprint.mounts import Mounts
from jit_footprint.snapshot import Entry
from jit_footprint.tree import Found, Tree

_DEPTH: Final = 100
_FILES_OF_ONE_OWNER: Final = 2_000
_MISSED: Final = 1_000
_CAPABILITY: Final = "security.capability"
_PRIVILEGED: Final = stat.S_ISUID | stat.S_ISGID
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Walk:
    """Fills `entries`, by path; `cut` are the folders not seen, "" for all.

    `within_s`: how long it may take, in seconds.
    """

    def __init__(self, tree: Tree, mounts: Mounts, *, within_s: float) -> None:
        self.entries: dict[str, Entry] = {}
        self.cut: set[str] = set()
        self._tree = tree
        self._mounts = mounts
        self._deadline = time.monotonic() + within_s
        self._seen = 0
        self._of_owner = Counter[tuple[int, int]]()

    def walk(self) -> None:
        """Meanwhile the program's working folder is the folder it looks into."""
        home = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for top in self._mounts.tops:
                found = self._tree.locate(top, lambda _: None)
                if found is not None:
                    with found:
                        if found.is_folder:
                            self._enter(top.rstrip("/"), ".", found.fd, depth=0)
                        else:  # a single file can be mounted too
                            self._add(found, "")
        finally:
            os.fchdir(home)
            os.close(home)

    def _enter(self, path: str, name: str, parent: int, *, depth: int) -> None:
        if self._is_late():
            return
        if depth > _DEPTH:
            self._miss(path)
            return
        try:
            fd = os.open(name, _OPEN_FOLDER, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError:  # a fault of the disk, or a folder that became a link under our eyes
            self._miss(path)
            return
        try:
            self._look_into(path, fd, depth)
        except OSError:
            self._miss(path)
        finally:
            os.close(fd)

    def _look_into(self, path: str, fd: int, depth: int) -> None:
        os.fchdir(fd)
        with os.scandir(fd) as names:
            for entry in names:
                if entry.is_dir(follow_symlinks=False):
                    inside = f"{path}/{entry.name}"
                    if inside not in self._mounts.borders:
                        self._enter(inside, entry.name, fd, depth=depth + 1)
                        os.fchdir(fd)
                elif entry.is_file(follow_symlinks=False):
                    self._look_at(path, fd, entry)
                    self._seen += 1
                    if not self._seen % 4096 and self._is_late():
                        return

    def _look_at(self, path: str, fd: int, entry: os.DirEntry[str]) -> None:
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        capabilities = _capabilities(entry.name)
        if mode & _PRIVILEGED or capabilities:
            found = self._tree.open_at(f"{path}/{entry.name}", entry.name, fd)
            if found is not None:
                with found:
                    self._add(found, capabilities)

    def _add(self, found: Found, capabilities: str) -> None:
        if not found.is_file or not (found.stat.st_mode & _PRIVILEGED or capabilities):
            return
        owner = (
            found.stat.st_uid if found.stat.st_mode & stat.S_ISUID or capabilities else -1,
            found.stat.st_gid if found.stat.st_mode & stat.S_ISGID else -1,
        )
        self._of_owner[owner] += 1
        if self._of_owner[owner] > _FILES_OF_ONE_OWNER:
            self._miss(posixpath.dirname(found.path))
            return
        entry = self._tree.describe("setuid", found)
        self.entries[found.path] = replace(entry, content=f"{entry.content} {capabilities}".strip())

    def _miss(self, folder: str) -> None:
        self.cut.add(folder if len(self.cut) < _MISSED else "")

    def _is_late(self) -> bool:
        late = time.monotonic() > self._deadline
        if late:
            self._miss("")
        return late


def _capabilities(name: str) -> str:
    """The capabilities that a file in the working folder has by itself, as hexadecimal text."""
    try:
        # There is no listxattr that takes a folder's descriptor, hence the working folder.
        if _CAPABILITY in os.listxattr(name, follow_symlinks=False):
            return os.getxattr(name, _CAPABILITY, follow_symlinks=False).hex()
    except OSError:  # gone, or a file system without extended attributes
        pass
    return ""
