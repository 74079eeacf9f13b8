"""What is kept between builds: one folder outside the tree, each entry named by the hash of what it was made from.

An entry is built under a draft name and appears by one rename, so that a killed build leaves nothing that looks
finished; a lock file keeps two builds of the same entry apart.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


def cache_dir() -> Path:
    """`$JIT_CACHE`, else `/var/cache/jit`; made if missing."""
    path = Path(os.environ.get("JIT_CACHE") or "/var/cache/jit")
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*parts: str | bytes) -> str:
    """Twelve hex digits that change when any part, or the border between two parts, changes."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:12]


def digest_of_files(paths: Iterable[Path], root: Path) -> str:
    """Hash of names, modes and contents of `paths`; symbolic links count by their target."""
    parts: list[str | bytes] = []
    for path in sorted(paths):
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        parts += [str(path.relative_to(root)), oct(path.lstat().st_mode), content]
    return digest(*parts)


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """The entry `name`; if it is missing, `build` makes it in the folder it is given."""
    final = cache_dir() / name
    final.parent.mkdir(parents=True, exist_ok=True)
    with locked(final.with_name(final.name + ".lock")):
        if not final.exists():
            draft = final.with_name(final.name + ".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            build(draft)
            draft.rename(final)
    return final


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`; it ends with the process at the latest."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
