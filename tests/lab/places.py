"""Where a lab keeps what: everything it leaves on the outer machine is named here and carries the lab's name.

Labs are apart because every folder, network namespace, machine and cgroup of a lab is named after it; a dot separates
the parts, and neither labs nor hosts may have one in their names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.process import LabError

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = Path("/run/jit-lab")
NAMESPACES = Path("/run/netns")
# systemd-nspawn leaves an empty folder here for each machine it ran.
PROPAGATE = Path("/run/systemd/nspawn/propagate")
# Debian releases that hosts can be of; the first is meant where none is named.
RELEASES = (12, 13)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def default_name() -> str:
    """`$JIT_LAB`, else a name of this checkout's own, so that two checkouts have two labs."""
    folder = re.sub(r"[^a-z0-9]+", "-", REPOSITORY.name.lower()).strip("-")[:16]
    return os.environ.get("JIT_LAB") or f"{folder or 'lab'}-{hashlib.sha256(bytes(REPOSITORY)).hexdigest()[:4]}"


def checked(name: str) -> str:
    """`name` if it can name a lab or a host; raise `LabError` if not."""
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} cannot be a name here: lower-case letters, digits and dashes, a letter first")
    return name


def read_host(text: str) -> tuple[str, int]:
    """Name and Debian release of a host that is written `web1` or `web1:13`; raise `LabError` for anything else."""
    name, colon, release = text.partition(":")
    known = {str(number): number for number in RELEASES}
    if colon and release not in known:
        raise LabError(f"{text!r}: no host can be of Debian {release!r}; there are {', '.join(known)}")
    return checked(name), known[release] if colon else RELEASES[0]


@dataclass(frozen=True, slots=True)
class Address:
    """A host as it is planned: its place in the lab's network, and the Debian release it is booted from.

    The port is the bridge's end of its cable.
    """

    host: str
    ip: str
    port: str
    release: int = RELEASES[0]


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one lab."""

    name: str

    @property
    def run(self) -> Path:
        return RUN / self.name

    @property
    def disks(self) -> Path:
        """What the hosts write; outside the tree, beside the cached roots."""
        return Path(os.environ.get("JIT_CACHE") or "/var/cache/jit") / "labs" / self.name

    @property
    def switch(self) -> str:
        """The network namespace with the bridge."""
        return f"jit.{self.name}"

    @property
    def cgroup(self) -> Path:
        return cgroup_root() / "jit-lab" / self.name

    def machine(self, host: str) -> str:
        """A host's network namespace, and its name for systemd-nspawn."""
        return f"jit.{self.name}.{host}"

    def write_hosts(self, hosts: list[Address]) -> None:
        self.run.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"hosts": [asdict(host) for host in hosts]}, indent=1)
        draft = self.run / "lab.json.new"
        draft.write_text(text)
        draft.rename(self.run / "lab.json")

    def hosts(self) -> dict[str, Address]:
        """The lab's hosts by name; raise `LabError` if there is no such lab."""
        try:
            known = json.loads((self.run / "lab.json").read_text())
        except FileNotFoundError:
            raise LabError(f"no lab named {self.name!r} is up; try: lab up") from None
        return {host["host"]: Address(**host) for host in known["hosts"]}


def cgroup_root() -> Path:
    """Where cgroup v2 is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise LabError("this machine has no cgroup v2 mounted; the hosts need it (kernel 5.14 or later)")
