"""What the doctor says of the machine: settings and files under a root of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from jit_agent.host_checks import Check, look

FAVOUR = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,favordynmods,nsdelegate 0 0\n"
PLAIN = FAVOUR.replace("favordynmods,", "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "proc/sys/net/ipv4/ip_unprivileged_port_start": "1024\n",
        "proc/self/mounts": f"proc /proc proc rw 0 0\n{FAVOUR}",
        "proc/self/sessionid": "4294967295",
        "usr/lib/systemd/system/jit-footprint@.service": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def judged(root: Path, name: str, session: int | None = 16) -> Check:
    return next(check for check in look(session, root) if check.name == name)


def test_a_host_that_lacks_nothing_passes_every_check(root: Path) -> None:
    assert [check.name for check in look(16, root) if not check.ok] == []


def test_a_slow_cgroup_is_told_with_its_mend_and_is_no_failure(root: Path) -> None:
    assert "does not wait" in judged(root, "cgroup").detail
    (root / "proc/self/mounts").write_text(PLAIN)
    slow = judged(root, "cgroup")
    assert slow.ok
    assert "14 ms" in slow.detail
    assert "mount -o remount,favordynmods /sys/fs/cgroup" in slow.detail


def test_a_host_without_cgroup_v2_fails(root: Path) -> None:
    (root / "proc/self/mounts").write_text("cgroup /sys/fs/cgroup/cpu cgroup rw,favordynmods 0 0\n")
    assert not judged(root, "cgroup").ok


@pytest.mark.parametrize(
    ("session", "says"), [(16, "login session 16"), (0, "--this-session is refused"), (None, "tracks login sessions")]
)
def test_whether_this_login_is_tracked_is_said(root: Path, session: int | None, says: str) -> None:
    check = judged(root, "sessions", session)
    assert (check.ok, says in check.detail) == (True, True)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("sessions", "proc/self/sessionid"),
        ("footprint", "usr/lib/systemd/system/jit-footprint@.service"),
        ("cgroup", "proc/self/mounts"),
        ("ports", "proc/sys/net/ipv4/ip_unprivileged_port_start"),
    ],
)
def test_what_is_missing_fails_its_own_check_and_says_the_mend(root: Path, name: str, file: str) -> None:
    (root / file).unlink()
    assert [check.name for check in look(0, root) if not check.ok] == [name]
    assert judged(root, name).fix


@pytest.mark.parametrize(("first", "ok"), [("844", True), ("843", False), ("0", False), ("x", False)])
def test_the_log_port_must_be_roots(root: Path, first: str, ok: bool) -> None:
    """REVIEW 19."""
    (root / "proc/sys/net/ipv4/ip_unprivileged_port_start").write_text(first)
    assert judged(root, "ports").ok is ok
