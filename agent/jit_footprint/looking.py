"""Take a look at the host: the quick part first, then the walk (SPEC 3.6)."""

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from jit_footprint import mounts
from jit_footprint.gathering import Gathering
from jit_footprint.mounts import Mounts
from jit_footprint.snapshot import Cut, Snapshot
from jit_footprint.tree import Tree
from jit_footprint.walking import Walk

_WALK_S: Final = 300


@dataclass(frozen=True, slots=True)
class Host:
    """The file tree below `root` ("/" but in tests), and its mounts."""

    root: Path
    mounts: Mounts

    @classmethod
    def described_by(cls, mountinfo: str, root: Path = Path("/")) -> "Host":
        return cls(root, mounts.parse(mountinfo))

    def boot(self) -> str:
        """Names the boot, in a container as well, where the boot id of our sandbox is the machine's."""
        boot_id = _text(self.root / "proc/sys/kernel/random/boot_id").strip()
        first = _text(self.root / "proc/1/stat").rpartition(")")[2].split()
        return f"{boot_id} {first[19] if len(first) > 19 else ''}"

    def rule_written(self, grant: str) -> int | None:
        """When the grant's rule came into force, µs UTC; None if it has none."""
        try:
            return (self.root / "run/jit/sudoers.d" / grant).lstat().st_ctime_ns // 1000
        except OSError:
            return None


def look(host: Host, key: bytes) -> Snapshot:
    """All but the walk.  `finished` is 0."""
    boot_us, started = boot_time_us(), wall_time_us()
    gathering = Gathering(Tree(str(host.root), host.mounts, key))
    gathering.gather()
    cut = frozenset(gathering.cut)
    return Snapshot(host.boot(), boot_us, key_name(key), started, 0, cut, gathering.entries)


def walk(host: Host, key: bytes, looked: Snapshot) -> Snapshot:
    """The same look with the setuid files; minutes at most."""
    walking = Walk(Tree(str(host.root), host.mounts, key), host.mounts, within_s=_WALK_S)
    walking.walk()
    missed: set[Cut] = {("setuid", folder) for folder in walking.cut}
    return replace(looked, finished=wall_time_us(), cut=looked.cut | missed, entries=looked.entries | walking.entries)


def key_name(key: bytes) -> str:
    """Tells whether two looks used the same key, and nothing of it."""
    return hashlib.sha256(b"jit footprint key" + key).hexdigest()[:16]


def wall_time_us() -> int:
    return time.time_ns() // 1000


def boot_time_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
