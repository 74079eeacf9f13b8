"""packaging/build: the command line."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from pathlib import Path

from jit_packaging.apt_sources import CODENAMES
from jit_packaging.deb import build_package
from jit_packaging.errors import BuildError
from jit_packaging.packages import PACKAGES, REPOSITORY


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="packaging/build",
        description="Build jit-agent and jit-server as Debian packages, each inside a root of its release.",
        epilog="Only what has changed is built again; the cache is $JIT_CACHE or /var/cache/jit.",
    )
    parser.add_argument(
        "--debian", type=int, choices=sorted(CODENAMES), action="append", help="only for this release (may be repeated)"
    )
    parser.add_argument(
        "--out", type=Path, default=REPOSITORY / "build/deb", help="folder for the packages (default build/deb)"
    )
    parser.add_argument("package", nargs="*", choices=[[], *(p.name for p in PACKAGES)], help="only these")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        return _fail("building needs root, for mounts and chroot; try: sudo packaging/build")
    try:
        for release, package in itertools.product(arguments.debian or sorted(CODENAMES), PACKAGES):
            if not arguments.package or package.name in arguments.package:
                started = time.monotonic()
                built = build_package(package, release, arguments.out)
                print(f"{time.monotonic() - started:5.1f} s  {built}", file=sys.stderr)
                print(built)
    except (BuildError, OSError) as failure:
        return _fail(str(failure))
    return 0


def _fail(message: str) -> int:
    print(f"packaging/build: {message}", file=sys.stderr)
    return 1
