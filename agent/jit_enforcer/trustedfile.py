"""Read a file that decides about rights: only if root alone could have written it (S11)."""

import os
import stat
from pathlib import Path

from jit_enforcer.errors import Unsafe

LIMIT = 1 << 20


def read(path: Path, owner: int) -> bytes:
    """The file's bytes.  Raises `Unsafe` if it is absent, a link, not `owner`'s, writable by others, or over 1 MiB."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        raise Unsafe(f"cannot read {path}: {e.strerror}") from e
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != owner or found.st_mode & 0o022:
            raise Unsafe(f"{path} must be a plain file of uid {owner} that nobody else may write")
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise Unsafe(f"{path} is over {LIMIT} bytes")
    return content
