"""A package's Python environment: downloaded outside with this machine's pip, installed inside the distribution's root.

pip checks every download against the hashes in packaging/requirements; from there on nothing comes from a network.
Both steps are cached by the requirements they were made from.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from jit_packaging.cache import cached, digest
from jit_packaging.debian_root import debian_root
from jit_packaging.errors import BuildError
from jit_packaging.inside import run_inside
from jit_packaging.packages import Package

PYTHON = {12: "3.11", 13: "3.13"}
_GLIBC_MINOR = {12: 36, 13: 41}

# $1: the environment's path; /wheels holds the downloads.
_INSTALL = r"""
set -eu
venv=$1
mkdir /built
# Source distributions are compiled here, against the distribution's own libraries; pip builds in a folder with a
# random name, which must not show in the result.
export CFLAGS=-g0 LDFLAGS=-Wl,--build-id=none
for source in /wheels/*.tar.gz /wheels/*.zip; do
    [ -e "$source" ] || continue
    python3 -m pip wheel --quiet --no-index --no-deps --no-build-isolation --no-cache-dir --wheel-dir /built "$source"
done
python3 -m venv --without-pip "$venv"
python3 -m pip --python "$venv/bin/python" install --quiet --no-index --no-deps --no-compile --no-cache-dir \
    --no-warn-script-location $(find /wheels /built -name '*.whl' | sort)
# Nothing runs by these: the package brings its own launchers.
find "$venv/bin" -mindepth 1 ! -name 'python*' -delete
find "$venv" -name RECORD -o -name direct_url.json -o -name INSTALLER -o -name REQUESTED | xargs -r rm
find "$venv/lib" -type d \( -name tests -o -name test -o -name testing \) -prune -exec rm -r {} +
find "$venv/lib" \( -name '*.pyi' -o -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' \) -delete
find "$venv" -name '*.so*' -type f -exec strip --strip-unneeded {} +
rm -r "$venv/include"
find "$venv" -name __pycache__ -prune -exec rm -r {} +
python3 -m compileall -q --invalidation-mode unchecked-hash "$venv/lib"
"""


def environment(package: Package, release: int, *, epoch: int) -> Path:
    """A folder with `venv` as it will lie at `package.venv`, holding the dependencies and none of our own code."""
    root = debian_root(release, "build")
    key = digest(root.name, package.requirements.read_bytes(), _INSTALL)

    def build(draft: Path) -> None:
        run_inside(
            root,
            {downloads(package, release): "/wheels", draft: str(Path(package.venv).parent)},
            ["sh", "-c", _INSTALL, "install", package.venv],
            epoch=epoch,
        )

    return cached(f"environments/debian{release}-{package.name}-{key}", build)


def downloads(package: Package, release: int) -> Path:
    """A folder with every wheel and source distribution of the package, hashes checked."""
    key = digest(package.requirements.read_bytes(), PYTHON[release], platform.machine())

    def fetch(draft: Path) -> None:
        machine = platform.machine()
        tags = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC_MINOR[release], 4, -1)]
        tags += [f"manylinux2014_{machine}", f"linux_{machine}"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
             "--prefer-binary", "--python-version", PYTHON[release], "--implementation", "cp",
             *(part for tag in tags for part in ("--platform", tag)),
             "--dest", str(draft), "--requirement", str(package.requirements)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BuildError(f"pip could not download {package.requirements.name}:\n{done.stderr.strip()[-2000:]}")

    return cached(f"downloads/{package.name}-{key}", fetch)
