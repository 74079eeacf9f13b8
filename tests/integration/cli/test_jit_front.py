"""The `/bin/sh` front: sudo at once with a live grant of ALL, jit for everything else (REVIEW 8)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_FRONT = Path(__file__).parents[3] / "packaging" / "bin" / "jit"


@pytest.fixture
def front(tmp_path: Path) -> Path:
    """The front with its three places moved here; sudo and Python show what they were given."""
    (tmp_path / "active").mkdir()
    text = _FRONT.read_text()
    for name, place in (
        ("/run/jit/active", tmp_path / "active"),
        ("/usr/bin/sudo", tmp_path / "sudo"),
        ("/usr/bin/python3", tmp_path / "python3"),
    ):
        assert text.count(name) == 1
        text = text.replace(name, str(place))
    for name in ("sudo", "python3"):
        shows = tmp_path / name
        shows.write_text(f"#!/bin/sh\nprintf '{name}'; printf ' <%s>' \"$@\"; echo; cat\n")
        shows.chmod(0o755)
    script = tmp_path / "jit"
    script.write_text(text)
    script.chmod(0o755)
    return script


def _run(front: Path, *words: str, user: str = "alice") -> str:
    done = subprocess.run(
        [front, *words],
        env={"PATH": os.environ["PATH"], "USER": user},
        input="stdin",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    # Standard input goes to the command untouched.
    assert done.stdout.endswith("stdin")
    return done.stdout.removesuffix("stdin").strip()


def _jit(*words: str) -> str:
    return " ".join(["python3 <-I> <-S> </usr/lib/jit/cli>", *(f"<{word}>" for word in words)])


@pytest.mark.parametrize(
    ("words", "becomes"),
    [
        (["sudo", "id", "-u", "a b", ""], "sudo <--> <id> <-u> <a b> <>"),
        (["sudo", "--", "-odd", "x"], "sudo <--> <-odd> <x>"),
        (["sudo", "-n", "id", "-u"], "sudo <-n> <--> <id> <-u>"),
    ],
)
def test_with_a_live_grant_of_all_it_is_sudo(front: Path, words: list[str], becomes: str) -> None:
    (front.parent / "active" / "alice").write_text("postgres\nroot\n")
    assert _run(front, *words) == becomes


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["status"],
        ["sudo"],
        ["sudo", ""],
        ["sudo", "-n"],
        ["sudo", "--"],
        ["sudo", "-i"],
        ["sudo", "-u", "root", "id"],
        ["sudo", "-n", "-u", "root", "id"],
        ["sudo", "-nu", "root", "id"],
        ["sudo", "LD_PRELOAD=/x", "id"],
        ["sudo", "-n", "A=b", "id"],
        ["sudo", "--help"],
        ["sudo", "--once", "id"],
        ["sudo", "--this-session", "id"],
    ],
    ids=" ".join,
)
def test_what_needs_a_closer_look_goes_to_jit(front: Path, words: list[str]) -> None:
    (front.parent / "active" / "alice").write_text("root\n")
    assert _run(front, *words) == _jit(*words)


@pytest.mark.parametrize("marker", [None, "", "postgres\n", "rooty\n", "ro\not\n"])
def test_without_a_marker_for_root_it_is_jit(front: Path, marker: str | None) -> None:
    if marker is not None:
        (front.parent / "active" / "alice").write_text(marker)
    assert _run(front, "sudo", "id") == _jit("sudo", "id")


def test_the_marker_of_another_account_counts_for_nothing(front: Path) -> None:
    (front.parent / "active" / "bob").write_text("root\n")
    (front.parent / "elsewhere").write_text("root\n")
    for user in ("alice", "", "../elsewhere", "."):
        assert _run(front, "sudo", "id", user=user) == _jit("sudo", "id")
