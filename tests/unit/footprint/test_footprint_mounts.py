"""What of a mount table is walked, and what is never entered (proc(5), /proc/PID/mountinfo)."""

import pytest

from jit_footprint.mounts import parse

ROOT = "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw"


@pytest.mark.parametrize(
    ("line", "walked"),
    [
        ("30 21 8:2 / /srv rw - xfs /dev/sda2 rw", True),
        ("30 21 8:2 / /srv rw shared:7 master:3 - xfs /dev/sda2 rw", True),
        ("30 21 0:30 / /srv rw - tmpfs tmpfs rw", True),
        ("30 21 0:30 /@srv /srv rw - btrfs /dev/sda2 rw", True),
        ("30 21 0:30 / /srv rw,nosuid - tmpfs tmpfs rw", False),
        ("30 21 0:30 / /srv rw - nfs4 server:/srv rw", False),
        ("30 21 0:30 / /srv rw - fuse.sshfs x:/ rw", False),
        ("30 21 0:30 / /srv rw - proc proc rw", False),
        ("30 21 7:1 / /srv ro - squashfs /dev/loop1 ro", False),
        ("30 21 0:30 / /srv rw - overlay overlay rw", False),
        # A second view of what is walked at its own place.
        ("30 21 8:1 /opt/data /srv rw - ext4 /dev/sda1 rw", False),
    ],
)
def test_own_file_systems_where_setuid_counts_are_walked_once(line: str, walked: bool) -> None:
    mounts = parse(f"{ROOT}\n{line}\n")
    assert mounts.tops == (("/", "/srv") if walked else ("/",))
    assert "/srv" in mounts.borders


def test_a_folder_bound_to_itself_is_no_border() -> None:
    """As systemd does for ProtectHome= and ReadWritePaths=."""
    assert "/home" not in parse(f"{ROOT}\n30 21 8:1 /home /home ro - ext4 /dev/sda1 rw\n").borders
    assert "/home" in parse(f"{ROOT}\n30 21 8:1 /home /home ro,nosuid - ext4 /dev/sda1 rw\n").borders
    assert "/home" in parse(f"{ROOT}\n30 21 8:1 /srv /home ro - ext4 /dev/sda1 rw\n").borders


def test_the_last_mount_on_a_point_is_what_is_there() -> None:
    over = f"{ROOT}\n30 21 8:2 / /srv rw - ext4 /dev/sda2 rw\n31 30 0:9 / /srv rw - nfs x:/ rw\n"
    assert parse(over).tops == ("/",)
    assert parse(over).foreign == {"/srv"}


def test_the_root_of_a_container_is_walked_though_it_is_an_overlay() -> None:
    assert parse("21 1 0:40 / / rw - overlay overlay rw\n").tops == ("/",)


def test_names_with_blanks_are_read_as_the_kernel_writes_them() -> None:
    assert parse(f"{ROOT}\n30 21 0:30 / /mnt/a\\040b\\134 rw - nfs x:/ rw\n").foreign == {"/mnt/a b\\"}


@pytest.mark.parametrize("text", ["", "\n", "nonsense\n", "21 1 8:1 / /\n", " - \n"])
def test_a_table_without_anything_in_it_has_nothing_to_walk(text: str) -> None:
    assert parse(text).tops == ()
