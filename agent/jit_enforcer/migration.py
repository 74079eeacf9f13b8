"""From the cgroups of one scope into those of another, as an extension needs it (REVIEW 5, S2).

Each session keeps a cgroup of its own, and one that is frozen stays so: where it goes is frozen before it comes.  The
kernel takes a process from one frozen cgroup into another without letting it run.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jit_enforcer import cgroup, placeholder
from jit_enforcer.errors import Unsafe
from jit_enforcer.grant import SESSION_ID
from jit_enforcer.paths import Paths

_MOST_ROUNDS: Final = 1000


def members(paths: Paths, directory: Path) -> Iterator[tuple[Path, int]]:
    """Each process in the cgroup or below it, and where it is; placeholders are not among them."""
    for folder in cgroup.folders(directory):
        for pid in cgroup.pids(folder):
            if not placeholder.is_one(paths, pid):
                yield folder, pid


def move(paths: Paths, source: Path, target: Path) -> None:
    """Move all that is in one scope's cgroup, again until no new process has come.  Raises `Unsafe`."""
    for _ in range(_MOST_ROUNDS):
        left = list(members(paths, source))
        if not left:
            return
        for folder in dict.fromkeys(folder for folder, _ in left):
            counterpart = _counterpart(folder.relative_to(source), source, target)
            for pid in (pid for inside, pid in left if inside == folder):
                with contextlib.suppress(OSError):  # it ended, or forked on: the next round sees
                    cgroup.enter(counterpart, pid)
    raise Unsafe(f"{source.name} does not become empty")


def _counterpart(inside: Path, source: Path, target: Path) -> Path:
    """The session's cgroup in the other scope, made and frozen as it needs; the scope's own for what is in none."""
    session = inside.parts[0] if inside.parts else ""
    if not SESSION_ID.fullmatch(session):
        return target
    try:
        (target / session).mkdir(exist_ok=True)
    except OSError as e:
        raise Unsafe(f"cannot make {session} in {target.name}: {e.strerror}") from e
    if cgroup.is_frozen(source / session):
        cgroup.set_frozen(target / session, frozen=True)
    return target / session
