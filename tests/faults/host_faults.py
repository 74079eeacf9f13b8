"""What can happen to a host, each as a context: the fault is there inside, and mended on the way out."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from faults.failpoints import Program
from faults.inject import CONTROL, HOME
from faults.rig import SOCKETS, UNITS, Rig, Trouble
from lab import cgroup

Disk = Literal["/run/jit", "/var/lib/jit-enforcer", "/var/lib/jit-agent"]
SMALL_DISKS: tuple[tuple[Disk, str], ...] = (
    ("/run/jit", "1m"),
    ("/var/lib/jit-enforcer", "4m"),
    ("/var/lib/jit-agent", "64m"),
)
AGENT_CONFIG = "/etc/jit/agent.toml"
_PRELOAD = "/etc/ld.so.preload"
_CLOCK = CONTROL / "clock"
_CLOCK_LIBRARY = CONTROL / "clock.so"


@contextlib.contextmanager
def dead(rig: Rig, *programs: Program) -> Iterator[None]:
    """kill -9, and nobody starts them again."""
    for program in programs:
        rig.kill(program)
    try:
        yield
        for program in programs:
            rig.check(program, state="dead")
    finally:
        rig.revive(*programs)


@contextlib.contextmanager
def frozen(rig: Rig, *programs: Program) -> Iterator[None]:
    """SIGSTOP: there, but doing nothing."""
    for program in programs:
        rig.signal(program, "STOP")
    try:
        yield
        for program in programs:
            rig.check(program, state="T")
    finally:
        for program in programs:
            rig.signal(program, "CONT")


@contextlib.contextmanager
def gate_open(rig: Rig) -> Iterator[None]:
    """The agent is dead, and in its place is a log server that lets every sudo start."""
    rig.kill("agent")
    rig.sh(f"systemctl stop {' '.join(SOCKETS)}")
    command = rig.lab.host(rig.host).command(["python3", "-I", f"{HOME}/faults/open_gate.py"])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as gate:
        try:
            if not gate.stdout or gate.stdout.readline() != "open\n":
                raise Trouble("the open gate does not open")
            yield
        finally:
            gate.communicate()
            rig.revive("agent")


@contextlib.contextmanager
def cut(rig: Rig, direction: Literal["both", "in", "out"]) -> Iterator[None]:
    rig.lab.cut(rig.host, direction)
    try:
        yield
    finally:
        rig.lab.heal(rig.host)


@contextlib.contextmanager
def small_disks(rig: Rig) -> Iterator[None]:
    """What the programs write lies on file systems of its own, small enough to be filled, with all that was there."""
    units = f"{UNITS['enforcer']} {UNITS['agent']} {' '.join(SOCKETS)}"
    begin, end = ["set -e", f"systemctl stop {units}"], ["set -e", f"systemctl stop {units}"]
    for disk, size in SMALL_DISKS:
        begin += [
            f"mkdir -p /run/small && mount -t tmpfs -o mode=755,size={size},nr_inodes=200 small /run/small",
            f"cp -a {disk}/. /run/small && chown --reference={disk} /run/small && chmod --reference={disk} /run/small",
            f"mount --bind /run/small {disk} && umount /run/small",
        ]
        end += [f"cp -a {disk} /run/small/ && umount {disk} && cp -a /run/small/{Path(disk).name}/. {disk}"]
    # Of disks so small nothing is left free for others beside recordings.
    begin.append(f"echo 'record_reserve = 0' >>{AGENT_CONFIG}")
    end.append(f"sed -i /record_reserve/d {AGENT_CONFIG}")
    rig.sh("\n".join([*begin, f"systemctl start {units}"]))
    try:
        yield
    finally:
        rig.sh("\n".join([*end, "rm -r /run/small", f"systemctl start {units}"]))


@contextlib.contextmanager
def full(rig: Rig, *disks: Disk) -> Iterator[None]:
    """Not a byte free."""
    rig.sh("; ".join(f"cat /dev/zero 2>/dev/null >{disk}/.filling" for disk in disks) + "; true")
    try:
        yield
    finally:
        rig.sh(f"rm -f {' '.join(f'{disk}/.filling' for disk in disks)}")


@contextlib.contextmanager
def out_of_inodes(rig: Rig, *disks: Disk) -> Iterator[None]:
    """Room for bytes, none for another file."""
    fill = "; ".join(f"mkdir {disk}/.filling; i=0; while : >{disk}/.filling/$((i+=1)); do :; done" for disk in disks)
    rig.sh(f"( {fill} ) 2>/dev/null; true")
    try:
        yield
    finally:
        rig.sh(f"rm -rf {' '.join(f'{disk}/.filling' for disk in disks)}")


@contextlib.contextmanager
def read_only(rig: Rig, *disks: Disk) -> Iterator[None]:
    """Nothing can be written there, by nobody."""
    # The superblock itself: programs have mount namespaces of their own, where a flag of the mount alone is not seen.
    for disk in disks:
        rig.sh(f"mount -o remount,ro {disk}")
    try:
        yield
    finally:
        for disk in disks:
            rig.sh(f"mount -o remount,rw {disk}")


@contextlib.contextmanager
def no_new_processes(rig: Rig) -> Iterator[None]:
    """The host has as many processes as it may have; only the host, by a limit of its cgroup."""
    host = rig.lab.host(rig.host).cgroup
    limit = _own_limit(host)
    try:
        (limit / "pids.max").write_text((limit / "pids.current").read_text())
        yield
    finally:
        (limit / "pids.max").write_text("max")
        if limit != host / "payload":
            _move(limit, limit.parent.parent)
            limit.rmdir()
            with contextlib.suppress(OSError):  # another lab has one too
                limit.parent.rmdir()


def _own_limit(host: Path) -> Path:
    """A cgroup with the pids controller and all of the host's processes; made for it where that is cgroup v1's."""
    own = host / "payload"
    if (own / "pids.max").exists():
        return own
    made = Path("/sys/fs/cgroup/pids") / host.parent.parent.name / f"{host.parent.name}.{host.name}"
    made.mkdir(parents=True, exist_ok=True)
    for _ in range(3):  # what was forked meanwhile is found in the next round
        for pid in cgroup.members(own):
            with contextlib.suppress(ProcessLookupError):
                (made / "cgroup.procs").write_text(str(pid))
    return made


def _move(source: Path, target: Path) -> None:
    while pids := (source / "cgroup.procs").read_text().split():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (target / "cgroup.procs").write_text(pid)


def spoil_ledger(rig: Rig, spoil: Callable[[Path], Path], *, grant: str) -> Path:
    """Change an entry while the enforcer cannot look, and start it anew; the file that `spoil` left."""
    rig.signal("enforcer", "STOP")
    spoilt = spoil(rig.path("/var/lib/jit-enforcer") / f"{grant}.json")
    rig.signal("enforcer", "KILL")
    rig.wait_active("enforcer")
    return spoilt


def mend_ledger(rig: Rig, spoilt: Path) -> None:
    """Remove the file, as the doctor tells the administrator to."""
    spoilt.unlink(missing_ok=True)
    rig.sh(f"systemctl restart {UNITS['enforcer']}")


class SteppableClock:
    """The host's programs take their time from `clock.c`; PID 1 and the kernel's timers do not."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def step(self, *, wall_s: int = 0, boot_s: int = 0) -> None:
        """Step the clocks and tell the enforcer, as the kernel does; what `date -s` and a suspend do."""
        with self._rig.path(_CLOCK).open("r+b") as file:
            file.write(struct.pack("=qq", wall_s * 10**9, boot_s * 10**9))
        fifo = os.open(self._rig.control("enforcer") / "step", os.O_RDWR | os.O_NONBLOCK)
        try:
            os.write(fifo, b"!")
        finally:
            os.close(fifo)


@contextlib.contextmanager
def steppable_clock(rig: Rig) -> Iterator[SteppableClock]:
    """The programs that start inside take the steppable clock, sudo and ours among them."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "clock.so"
        source = Path(__file__).parent / "clock.c"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, source], check=True)
        rig.lab.put(rig.host, library, str(_CLOCK_LIBRARY))
    rig.path(_CLOCK).write_bytes(bytes(16))
    rig.path(_CLOCK).chmod(0o644)
    rig.path(_PRELOAD).write_text(f"{_CLOCK_LIBRARY}\n")
    restart = f"systemctl restart {UNITS['enforcer']} {UNITS['agent']}"
    try:
        rig.sh(restart)
        yield SteppableClock(rig)
    finally:
        rig.path(_PRELOAD).unlink()
        rig.sh(restart)
