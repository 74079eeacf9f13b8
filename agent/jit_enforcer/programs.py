"""Run a program of the host: by absolute path, without a shell, with an empty environment and little patience."""

import subprocess
from typing import Final

from jit_enforcer.errors import Unsafe

SUDO: Final = "/usr/bin/sudo"
VISUDO: Final = "/usr/sbin/visudo"
CVTSUDOERS: Final = "/usr/bin/cvtsudoers"
SYSTEMCTL: Final = "/usr/bin/systemctl"
SLEEP: Final = "/usr/bin/sleep"
_PATIENCE_S: Final = 5


def run(*argv: str, may_fail: bool = False) -> bytes:
    """The program's standard output.  Raises `Unsafe` if it cannot run, takes over 5 s, or fails and may not."""
    try:
        done = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise Unsafe(f"{argv[0]} cannot run: {e}") from e
    if done.returncode != 0 and not may_fail:
        said = ascii(done.stderr.decode("utf-8", "replace").strip())[:200]
        raise Unsafe(f"{argv[0]} failed with status {done.returncode}: {said}")
    return done.stdout
