"""Run a command inside a cached build root, without a network and without changing the root.

The root is the read-only lower side of an overlay whose upper side is a temporary folder; mounts, process ids and
network are the command's own, so nothing outlives it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from jit_packaging.errors import BuildError

# $1: root, $2: scratch folder (upper, work, merged), then pairs "outside inside" up to "--", then the command.
_ENTER = """
set -eu
root=$1 scratch=$2; shift 2
mount -t overlay overlay -o "lowerdir=$root,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/merged"
mount -t proc proc "$scratch/merged/proc"
mount --rbind /dev "$scratch/merged/dev"
while [ "$1" != -- ]; do
    mkdir -p "$scratch/merged$2"
    mount --bind "$1" "$scratch/merged$2"
    shift 2
done
shift
exec chroot "$scratch/merged" "$@"
"""


def run_inside(root: Path, binds: dict[Path, str], command: list[str], *, epoch: int) -> str:
    """Standard output of `command`; raise `BuildError` with the end of what it said if it fails."""
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="scratch-") as scratch:
        for part in ("upper", "work", "merged"):
            (Path(scratch) / part).mkdir()
        pairs = [text for outside, inside in binds.items() for text in (str(outside), inside)]
        done = subprocess.run(
            ["unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "--",
             "sh", "-c", _ENTER, "enter", str(root), scratch, *pairs, "--", *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=_environment(epoch),
        )  # fmt: skip
        shutil.rmtree(Path(scratch) / "work", ignore_errors=True)
    if done.returncode:
        said = "\n".join((done.stderr.strip() or done.stdout).splitlines()[-15:])
        raise BuildError(f"{' '.join(command[:4])}… failed with status {done.returncode} in the build root:\n{said}")
    return done.stdout


def _environment(epoch: int) -> dict[str, str]:
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYTHONHASHSEED": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_ROOT_USER_ACTION": "ignore",
    }
