"""A lab is one program's at a time, and a program that was killed keeps nothing."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from lab import lifecycle
from lab.process import LabError

# Holds the claim, and ends with a child that still has it for $2 seconds, as one that is killed between fork and exec.
HOLD = """
import fcntl, subprocess, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
subprocess.Popen(["sleep", sys.argv[2]], pass_fds=[lock.fileno()])
"""


def hold(path: Path, seconds: float) -> None:
    subprocess.run([sys.executable, "-c", HOLD, str(path), str(seconds)], check=True)


def test_what_a_killed_program_was_just_starting_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    hold(path, 0.5)
    with lifecycle.claimed(path, wait_s=30):
        assert path.exists()
    assert not path.exists()


def test_a_claim_that_is_kept_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            pytest.raises(LabError, match="another program is just starting or ending"),
            lifecycle.claimed(path, wait_s=0.1),
        ):
            pytest.fail("the claim is another's")
        assert path.exists()
