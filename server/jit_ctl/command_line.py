"""From a command as a person types it to the words sudo on a host would see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .errors import CtlError

# Debian's secure_path of sudo; as `jit` looks a command up on a host.
_SECURE_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def resolve(words: Sequence[str]) -> tuple[list[str], str]:
    """The words with an absolute path first, and what was assumed for that; empty if nothing was.

    A bare name is looked up on this machine, for the host cannot be asked.  Raises `CtlError` (usage) for a relative
    path, and for a name that is not found.
    """
    if not words or words[0].startswith("/"):
        return list(words), ""
    name = words[0]
    if "/" in name:
        raise CtlError("usage", f"{name}: not an absolute path", "write the path as it is on the host")
    for folder in _SECURE_PATH:
        path = Path(folder, name)
        if path.is_file():
            return [str(path), *words[1:]], f"{name} is taken for {path}, as on this machine"
    raise CtlError("usage", f"{name}: not found on this machine", "write the whole path, as it is on the host")
