"""The program's own folder, /var/lib/jit-footprint (SPEC 1.5, 3.6).

GRANT.before and GRANT.json appear whole, by rename, and durable.  `latest` is the last whole look, for whoever waited
while it was taken; `key` makes digests useless to who has only them.  All but GRANT.json is for root alone.
"""

import contextlib
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from jit_footprint import snapshot
from jit_footprint.comparing import Footprint
from jit_footprint.snapshot import Baseline

_LIMIT: Final = 256 << 20
_KEY_BYTES: Final = 32
_DAY_S: Final = 86_400
# A comparison is read by the agent at once; a baseline waits for the end of its grant.
_KEEP_S: Final = {".json": 30 * _DAY_S, ".lock": 30 * _DAY_S, ".before": 90 * _DAY_S, ".new": _DAY_S}


class Store:
    """Raises `OSError` where the folder or the disk is not as needed.  Everything but the locks needs `alone`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise OSError(f"{folder} must be a folder of root that nobody else may write")

    @contextlib.contextmanager
    def alone(self, name: str = "all") -> Iterator[None]:
        """Wait until no other run holds the lock of this name."""
        fd = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def key(self) -> bytes:
        """The key of all digests of this host, made at the first call."""
        key = self._read("key")
        if key is None or len(key) != _KEY_BYTES:
            key = secrets.token_bytes(_KEY_BYTES)
            self._write("key", key, 0o600)
        return key

    def baseline(self, grant: str) -> Baseline | None:
        """None if there is none that can be read."""
        found = snapshot.from_json(self._read(f"{grant}.before") or b"")
        return found if found is not None and found.grant == grant else None

    def latest(self) -> snapshot.Snapshot | None:
        found = snapshot.from_json(self._read("latest") or b"")
        return found.snapshot if found else None

    def save_baseline(self, baseline: Baseline) -> None:
        self._write(f"{baseline.grant}.before", snapshot.to_json(baseline).encode(), 0o600)

    def save_latest(self, taken: snapshot.Snapshot) -> None:
        self._write("latest", snapshot.to_json(Baseline("", 0, taken)).encode(), 0o600)

    def is_compared(self, grant: str) -> bool:
        return (self._folder / f"{grant}.json").exists()

    def save_footprint(self, footprint: Footprint) -> None:
        """The comparison takes the place of the baseline.  The unit's group, the agent's, may read it."""
        self._write(f"{footprint.grant}.json", json.dumps(asdict(footprint)).encode(), 0o640)
        for name in (f"{footprint.grant}.before", f"{footprint.grant}.lock"):
            (self._folder / name).unlink(missing_ok=True)
        self._sync()

    def prune(self) -> None:
        """Remove what is older than it is kept, and drafts of a run that was killed."""
        now = time.time()
        for path in self._folder.iterdir():
            keep = _KEEP_S.get(path.suffix)
            with contextlib.suppress(FileNotFoundError):
                if keep is not None and path.name != "all.lock" and now - path.lstat().st_mtime > keep:
                    path.unlink()

    def _read(self, name: str) -> bytes | None:
        try:
            with open(os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                return file.read(_LIMIT)
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: bytes, mode: int) -> None:
        draft = self._folder / f".{name}.new"
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(draft, flags, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            draft.rename(self._folder / name)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        self._sync()

    def _sync(self) -> None:
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
