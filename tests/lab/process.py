"""How the lab runs other programs: a failure is one `LabError` that says what ran and what it said."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


class LabError(Exception):
    """The text is the whole message: what happened and what to do."""


def run(command: Sequence[str], *, stdin: bytes | None = None, timeout_s: float = 300) -> str:
    """Standard output of `command`; raise `LabError` if it fails or takes longer than `timeout_s`."""
    done = outcome(command, stdin=stdin, timeout_s=timeout_s)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"{' '.join(command)} failed with status {done.returncode}: {said}")
    return done.stdout


def outcome(
    command: Sequence[str], *, stdin: bytes | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """What `command` did, whatever its status; raise `LabError` if it takes longer than `timeout_s`."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise LabError(f"{' '.join(command)} did not end within {timeout_s:.0f} s") from None
    return subprocess.CompletedProcess(
        list(command), process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
    )
