"""Debian systems in a folder: made once with debootstrap, kept in the cache, never written to again.

`lab` is what a host is booted from: everything our packages depend on, so that they install without a network.
`build` is where packages are built: the distribution's own Python, compiler and libraries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from jit_packaging.apt_sources import CODENAMES, mirror_for, proxy
from jit_packaging.cache import cached, digest
from jit_packaging.errors import BuildError

PACKAGES = {
    "lab": [
        "bash-completion",
        "ca-certificates",
        "dbus",
        "fish",
        "iproute2",
        "iputils-ping",
        "less",
        "libnss-myhostname",
        "libpam-modules",
        "libpam-systemd",
        "libpam0g",
        "libsodium23",
        "libsystemd0",
        "login",
        "oathtool",
        "passwd",
        "procps",
        "python3",
        "sudo",
        "systemd",
        "systemd-sysv",
        "tmux",
        "util-linux",
        "vim-tiny",
        "zsh",
    ],
    "build": [
        "binutils",
        "dpkg-dev",
        "fakeroot",
        "gcc",
        "libc6-dev",
        "libpam0g-dev",
        "libsystemd-dev",
        "pkg-config",
        "python3",
        "python3-dev",
        "python3-pip",
        "python3-setuptools",
        "python3-venv",
        "python3-wheel",
        "scdoc",
    ],
}
# What only some releases have: the other sudo, beside the original until a site makes it /usr/bin/sudo.
ADDED = {(13, "lab"): ["sudo-rs"]}


def debian_root(release: int, kind: str) -> Path:
    """The cached root of Debian `release` for `kind`; about a minute when it has to be made."""
    packages = PACKAGES[kind] + ADDED.get((release, kind), [])
    key = digest(str(release), *packages)
    return cached(f"roots/debian{release}-{kind}-{key}", lambda draft: _debootstrap(release, packages, draft))


def _debootstrap(release: int, packages: list[str], draft: Path) -> None:
    if not shutil.which("debootstrap"):
        raise BuildError("debootstrap is not installed; run tests/setup")
    mirror = mirror_for(release)
    keyring = [f"--keyring={mirror.keyring}"] if mirror.keyring else []
    environment = dict(os.environ)
    if http_proxy := proxy():
        environment.setdefault("http_proxy", http_proxy)
    log = draft.with_suffix(".log")
    with log.open("wb") as out:
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", *keyring,
             CODENAMES[release], str(draft), mirror.uri],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, check=False,
        )  # fmt: skip
    if done.returncode:
        raise BuildError(f"debootstrap of Debian {release} failed with status {done.returncode}; see {log}")
    log.unlink()
    shutil.rmtree(draft / "var/cache/apt/archives", ignore_errors=True)
    (draft / "var/cache/apt/archives/partial").mkdir(parents=True)
    # Every host gets its own at its first boot.
    (draft / "etc/machine-id").write_text("uninitialized\n")
    (draft / "etc/hostname").unlink(missing_ok=True)
    # The machine's own resolver is none of a host's business; names of a lab are in /etc/hosts.
    (draft / "etc/resolv.conf").write_text("")
