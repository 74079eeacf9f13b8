"""A lab from its first host to nothing left: up, down, and what is known in between."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from lab import cgroup, network
from lab.host import Host
from lab.places import PROPAGATE, RELEASES, REPOSITORY, RUN, Places, cgroup_root
from lab.process import LabError, run

INSTANT_S = 2.0
"""A child that a killed program was just starting holds its claim until it has become another program."""
_AGAIN_S = 0.05

T = TypeVar("T")
R = TypeVar("R")


def build_packages(releases: Iterable[int] = RELEASES) -> Path:
    """The folder with this checkout's packages for these Debian releases, built if anything has changed."""
    out = REPOSITORY / "build/deb"
    command = [str(REPOSITORY / "packaging/build"), "--out", str(out), "--debian"]
    at_once(lambda release: run([*command, str(release)], timeout_s=1800), sorted(set(releases)))
    return out


def boot(places: Places, wanted: Sequence[str]) -> list[Host]:
    """Boot the hosts, each written `web1` or `web1:13`, all at once, with nothing of jit.

    Raises `LabError` if the lab is up or a host does not come.
    """
    addresses = network.plan(wanted)
    names = [address.host for address in addresses]
    if len(set(names)) != len(names):
        raise LabError(f"a host is named twice: {', '.join(names)}")
    if places.run.joinpath("lab.json").exists():
        raise LabError(f"lab {places.name} is up, or was killed; try: lab down")
    releases = sorted({address.release for address in addresses})
    roots = dict(zip(releases, at_once(_root, releases), strict=True))
    # Written before the first thing is made, so that `lab down` finds a lab that was killed while it came up.
    places.write_hosts(addresses)
    network.build(places, addresses)
    hosts = [Host(places, address) for address in addresses]
    at_once(lambda host: host.boot(roots[host.address.release], addresses), hosts)
    return hosts


def _root(release: int) -> Path:
    return Path(run([str(REPOSITORY / "packaging/debian-root"), "lab", str(release)], timeout_s=1800).strip())


def down(places: Places) -> None:
    """End the lab, whatever state it is in; nothing of it is left.  Ending what is not there is no error."""
    names: set[str] = set()
    for folder in (places.cgroup, places.disks):
        if folder.is_dir():
            names |= {path.name for path in folder.iterdir() if path.is_dir()}
    hosts = [Host(places, address) for address in network.plan(sorted(names))]
    at_once(Host.halt, hosts)
    network.remove(places)
    for tree in (places.cgroup, Path("/sys/fs/cgroup/systemd") / places.cgroup.relative_to(cgroup_root())):
        cgroup.kill(tree)
        with contextlib.suppress(OSError):
            tree.parent.rmdir()  # Only when this was the last lab.
    for left in PROPAGATE.glob(f"{places.machine('')}*"):
        left.rmdir()
    for folder in (places.disks, places.run):
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


@contextlib.contextmanager
def exclusively(places: Places) -> Iterator[None]:
    """Only one program changes a lab at a time; a killed one's claim ends with it."""
    RUN.mkdir(parents=True, exist_ok=True)
    with claimed(RUN / f".{places.name}.lock", wait_s=INSTANT_S):
        yield
    with contextlib.suppress(OSError):
        RUN.rmdir()


@contextlib.contextmanager
def claimed(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold `path` as a claim, and take it away at the end; raise `LabError` if it is taken for longer than `wait_s`."""
    give_up = time.monotonic() + wait_s
    while True:
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise LabError(
                        f"another program is just starting or ending this lab ({path}); wait for it"
                    ) from None
                time.sleep(_AGAIN_S)
                continue
            # Whoever held it before took the file away: then this claim is on nothing.
            if path.exists() and path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                try:
                    yield
                finally:
                    path.unlink()
                return


def at_once(act: Callable[[T], R], over: Sequence[T]) -> list[R]:
    """Do `act` to all at the same time; when all have ended, the first failure is raised."""
    with ThreadPoolExecutor(max_workers=max(1, len(over))) as threads:
        return [future.result() for future in [threads.submit(act, one) for one in over]]
