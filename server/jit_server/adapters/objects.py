"""`ObjectStore` in a local directory: HEX in AA/, complete or not there at all.

A draft is written, synced and renamed into place; directories are 0700 and files are read-only.  The time of a file is
when its content was put last, by our clock: what is put again while somebody decides to delete it stays.  All work is
done by threads of our own, so that a slow disk delays recordings and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from jit_server.adapters.state_directory import sync_directory
from jit_server.errors import NotFound, Unavailable
from jit_server.ports import Clock

THREADS = 4
DRAFTS = "drafts"
DRAFT_LIFE_US = 24 * 3600 * 1_000_000
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BEGINNING = re.compile(r"[0-9a-f]{2}")

T = TypeVar("T")


class LocalObjects:
    """The contents below one directory, which is made if it is not there.  Raises `Unavailable` if it cannot be."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="recordings")
        with _meaning(root):
            for directory in (root, root / DRAFTS):
                directory.mkdir(mode=0o700, exist_ok=True)
                if directory.stat().st_mode & 0o077:
                    directory.chmod(0o700)
            sync_directory(root)
            self._drop_old_drafts()

    def close(self) -> None:
        """Let what was begun finish; the store cannot be used afterwards."""
        self._threads.shutdown()

    async def put(self, content: bytes) -> str:
        return await self._run(lambda: self._put(content))

    async def get(self, digest: str) -> bytes:
        return await self._run(lambda: self._get(digest))

    async def delete(self, digest: str, *, put_before: int) -> bool:
        return await self._run(lambda: self._delete(digest, put_before))

    async def listed(self, beginning: str, *, put_before: int) -> list[str]:
        return await self._run(lambda: list(self._listed(beginning, put_before)))

    async def _run(self, work: Callable[[], T]) -> T:
        def working() -> T:
            with _meaning(self._root):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, working)

    def _path(self, digest: str) -> Path:
        # A digest may come from a row that somebody changed; no path is made of anything but a digest.
        if not _DIGEST.fullmatch(digest):
            raise NotFound("no such recording: its digest is none")
        return self._root / digest[:2] / digest

    def _put(self, content: bytes) -> str:
        digest = sha256(content).hexdigest()
        path = self._path(digest)
        with contextlib.suppress(FileNotFoundError):
            self._touch(path)
            if path.read_bytes() == content:
                # Whoever renamed it may have been stopped before its directory was synced.
                sync_directory(path.parent)
                sync_directory(self._root)
                return digest
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_directory(self._root)
        draft = self._draft()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                self._touch(descriptor)
                os.fsync(descriptor)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
        return digest

    def _get(self, digest: str) -> bytes:
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"the object {digest} is not there") from None

    def _delete(self, digest: str, put_before: int) -> bool:
        try:
            path = self._path(digest)
        except NotFound:
            return True
        draft = self._draft()
        try:
            if _put_at(path) >= put_before:
                return False
            path.rename(draft)
        except FileNotFoundError:
            return True
        # Between the look and the rename it may have been put again: then it goes back.
        if _put_at(draft) >= put_before:
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
            draft.unlink()
            sync_directory(path.parent)
            return False
        draft.unlink()
        sync_directory(path.parent)
        return True

    def _listed(self, beginning: str, put_before: int) -> Iterator[str]:
        if not _BEGINNING.fullmatch(beginning):
            return
        for path in (self._root / beginning).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if _DIGEST.fullmatch(path.name) and _put_at(path) < put_before:
                    yield path.name

    def _touch(self, file: Path | int) -> None:
        now_ns = self._clock.now() * 1_000
        os.utime(file, ns=(now_ns, now_ns))

    def _draft(self) -> Path:
        return self._root / DRAFTS / secrets.token_hex(16)

    def _drop_old_drafts(self) -> None:
        """What a process that died was writing; another server of this directory may be writing the newer ones."""
        before = self._clock.now() - DRAFT_LIFE_US
        for draft in (self._root / DRAFTS).iterdir():
            with contextlib.suppress(FileNotFoundError):
                if draft.stat().st_ctime_ns // 1_000 < before:
                    draft.unlink()


def _put_at(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000


@contextlib.contextmanager
def _meaning(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the recordings in {root} cannot be used: {error.strerror}") from error
