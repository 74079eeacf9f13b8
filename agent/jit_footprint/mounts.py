"""Which of the host's mounts are looked into (SPEC 3.6).

A look must end: what a network, a FUSE program or an automounter would have to answer for is never entered, not even
to ask what lies there.  The table is the host's own, not that of our sandbox, in which every mount is nosuid.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

# A file system that is not known here is not entered.
_LOCAL: Final = frozenset({
    "bcachefs", "btrfs", "ecryptfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "ntfs3",
    "overlay", "ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "vfat", "xfs", "zfs",
})  # fmt: skip
# No place for a setuid file: never written (squashfs, erofs), or without owners.
_WITHOUT_SETUID: Final = frozenset({"erofs", "exfat", "ntfs3", "squashfs", "vfat"})
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class _Mount:
    device: str
    root: str
    point: str
    options: frozenset[str]
    type: str

    def below(self, parent: Self) -> bool:
        """Whether this shows nothing but what the parent has there anyway, as when a folder is bound to itself."""
        inside = self.point.removeprefix(parent.point.rstrip("/"))
        same = self.options & {"nosuid"} == parent.options & {"nosuid"}
        return same and self.device == parent.device and self.root == _join(parent.root, inside)

    def holds(self, other: Self) -> bool:
        """Whether the other is a second view of something in this file system."""
        return self.device == other.device and f"{other.root.rstrip('/')}/".startswith(f"{self.root.rstrip('/')}/")


@dataclass(frozen=True, slots=True)
class Mounts:
    """`foreign`: mount points never entered.  `tops`: where a walk for setuid files begins; it stops at `borders`."""

    foreign: frozenset[str]
    tops: tuple[str, ...]
    borders: frozenset[str]


def parse(mountinfo: str) -> Mounts:
    """Read /proc/PID/mountinfo (proc(5)); a line that is not of that form is passed over."""
    by_point: dict[str, _Mount] = {}
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        match fields.split(" "), rest.split(" "):
            case [_, _, device, root, point, options, *_], [type_, *_]:
                name = _unescape(point)  # of several on one point the last is what one sees
                by_point[name] = _Mount(device, _unescape(root), name, frozenset(options.split(",")), type_)
    borders = {point for point, mount in by_point.items() if not _continues(mount, by_point)}
    walked: list[_Mount] = []
    # "/" first, then those that show most of their file system: binds of a part of it are the same files again.
    for mount in sorted(by_point.values(), key=lambda m: (m.point != "/", len(m.root), len(m.point))):
        if mount.point in borders and _may_have_setuid(mount) and not any(seen.holds(mount) for seen in walked):
            walked.append(mount)
    return Mounts(
        foreign=frozenset(point for point, mount in by_point.items() if mount.type not in _LOCAL),
        tops=tuple(mount.point for mount in walked),
        borders=frozenset(borders),
    )


def _may_have_setuid(mount: _Mount) -> bool:
    # An overlay elsewhere than at / is a container's: its files are walked where they really lie.
    container = mount.type == "overlay" and mount.point != "/"
    return mount.type in _LOCAL - _WITHOUT_SETUID and "nosuid" not in mount.options and not container


def _continues(mount: _Mount, by_point: dict[str, _Mount]) -> bool:
    if mount.point == "/":
        return False
    above = mount.point
    while above != "/":
        above = above.rpartition("/")[0] or "/"
        if above in by_point:
            return mount.below(by_point[above])
    return False


def _join(root: str, inside: str) -> str:
    return f"{root.rstrip('/')}{inside}" or "/"


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
