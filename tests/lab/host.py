"""One host: boots from a cached Debian root with its own PID 1, disk, cgroup and network, and ends without a trace."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import cgroup
from lab.places import PROPAGATE, Address, Places, cgroup_root
from lab.process import LabError, outcome

ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PERSON_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
BOOT_TIMEOUT_S = 60.0

# $1: cgroup, $2: root, $3: disk, then systemd-nspawn and its arguments.  The overlay is mounted in a mount namespace of
# the host's own, so it is gone when the host is, however that ends.
_BOOT = """
set -eu
echo $$ > "$1/cgroup.procs"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$3/upper,workdir=$3/work" "$3/merged"
shift 3
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Host:
    """A handle; the host itself may or may not be running."""

    places: Places
    address: Address

    @property
    def name(self) -> str:
        return self.address.host

    @property
    def cgroup(self) -> Path:
        return self.places.cgroup / self.name

    @property
    def disk(self) -> Path:
        return self.places.disks / self.name

    @property
    def console(self) -> Path:
        """What the host printed while it booted."""
        return self.places.run / f"{self.name}.console"

    @property
    def _booted_from(self) -> Path:
        """Names the root below the host's disk, for the next boot."""
        return self.places.run / f"{self.name}.root"

    def boot(self, root: Path, hosts: Sequence[Address]) -> None:
        """Start the host and return when systemd says that it is up; raise `LabError` with the console's end if not."""
        for part in ("upper/etc", "work", "merged"):
            (self.disk / part).mkdir(parents=True)
        own = self.disk / "upper/etc"
        (own / "hostname").write_text(f"{self.name}\n")
        # The addresses are the lab's; a host with power over its network would look for others.
        (own / "systemd/system").mkdir(parents=True)
        for unit in ("systemd-networkd.service", "systemd-networkd.socket"):
            (own / "systemd/system" / unit).symlink_to("/dev/null")
        names = "".join(f"{host.ip} {host.host}\n" for host in hosts)
        (own / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{names}")
        self._booted_from.write_text(str(root))
        self.start()

    def start(self) -> None:
        """Boot from the disk as it is; return when the host is up, raise `LabError` if it does not come."""
        root = self._booted_from.read_text()
        self.cgroup.mkdir(parents=True)
        machine = self.places.machine(self.name)
        with self.console.open("wb") as console:
            supervisor = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _BOOT, "boot",
                 str(self.cgroup), root, str(self.disk),
                 "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=no",
                 f"--directory={self.disk / 'merged'}", f"--machine={machine}", f"--hostname={self.name}",
                 f"--network-namespace-path=/run/netns/{machine}", "--kill-signal=SIGRTMIN+3",
                 # Over its own network only; without it units do not get their PrivateNetwork=.
                 "--capability=CAP_NET_ADMIN"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )  # fmt: skip
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        while not self._is_up():
            if supervisor.poll() is not None or time.monotonic() > deadline:
                said = self.console.read_text(errors="replace")[-1500:]
                raise LabError(f"host {self.name} did not come up:\n{said}")
            time.sleep(0.05)
        # The supervisor outlives this program on purpose, and whoever adopts it will collect it.
        supervisor.returncode = 0

    def _is_up(self) -> bool:
        try:
            done = outcome([*self._enter(), "systemctl", "is-system-running"], timeout_s=10)
        except LabError:
            return False
        return done.stdout.strip() in {"running", "degraded"}

    def running(self) -> bool:
        """Whether the host has a PID 1."""
        try:
            cgroup.leader(self.cgroup)
        except LabError:
            return False
        return True

    def reboot(self, *, power_cut: bool = False) -> None:
        """Shut down, or lose power, and return when the host is up again; it keeps its disk and its cable."""
        self.stop(power_cut=power_cut)
        self.start()

    def halt(self) -> None:
        """Power off, and remove what the host left."""
        self.stop()
        shutil.rmtree(self.disk, ignore_errors=True)

    def stop(self, *, power_cut: bool = False) -> None:
        """Power off, and kill what does not end within five seconds; with `power_cut` everything at once."""
        # Already down, or killed halfway: what is left still has to go.
        if self.running() and not power_cut:
            cgroup.halt(cgroup.leader(self.cgroup))
            deadline = time.monotonic() + 5
            while cgroup.members(self.cgroup) and time.monotonic() < deadline:
                time.sleep(0.02)
        for tree in (self.cgroup, *_shadows(self.cgroup)):
            cgroup.kill(tree)
        propagated = PROPAGATE / self.places.machine(self.name)
        if propagated.is_dir():
            propagated.rmdir()

    def command(self, words: Sequence[str], *, user: str = "root", terminal: bool = False) -> list[str]:
        """The outer command that runs `words` as a logged-in `user`; its exit status is theirs.

        systemd starts it through PAM as `login` does, so that logind tracks the session and the cgroup is the host's.
        """
        home = "/root" if user == "root" else "~"
        path = ROOT_PATH if user == "root" else PERSON_PATH
        login = [] if user == "root" else ["-p", "PAMName=login", "-p", f"User={user}"]
        return [
            *self._enter(), "systemd-run", "--quiet", "--pty" if terminal else "--pipe", "--wait", "--collect",
            "-E", f"PATH={path}", "-E", "LANG=C.UTF-8", *login, "-p", f"WorkingDirectory={home}",
            "--", *words,
        ]  # fmt: skip

    def run(self, *words: str, user: str = "root", stdin: bytes | None = None, timeout_s: float = 300) -> str:
        """Standard output of a command on the host; raise `LabError` if it fails."""
        done = self.outcome(*words, user=user, stdin=stdin, timeout_s=timeout_s)
        if done.returncode:
            said = f"{done.stdout.strip()}\n{done.stderr.strip()}".strip()[-2000:]
            raise LabError(f"{user}@{self.name}: {shlex.join(words)}: status {done.returncode}\n{said}")
        return done.stdout

    def outcome(
        self, *words: str, user: str = "root", stdin: bytes | None = None, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """What a command on the host did, whatever its status."""
        return outcome(self.command(words, user=user), stdin=stdin, timeout_s=timeout_s)

    def put(self, source: Path, target: str) -> None:
        """Copy a file or a folder to the host, modes kept, owned by root; `target` is its new path."""
        name = Path(target).name
        archive = run_bytes(
            ["tar", "--create", "--owner=0", "--group=0", f"--transform=s,^{source.name},{name},", "--directory",
             str(source.resolve().parent), source.name]
        )  # fmt: skip
        parent = str(Path(target).parent)
        self.run("mkdir", "-p", parent)
        self.run("tar", "--extract", "--directory", parent, stdin=archive)

    def read(self, place: str) -> bytes:
        """A file on the host."""
        return run_bytes(self.command(["cat", place]))

    def _enter(self) -> list[str]:
        term = os.environ.get("TERM", "dumb") if sys.stdin and sys.stdin.isatty() else "dumb"
        return [
            "nsenter", "--target", str(cgroup.leader(self.cgroup)), "--all", "--wd=/",
            "env", "-i", f"PATH={ROOT_PATH}", f"TERM={term}", "LANG=C.UTF-8",
        ]  # fmt: skip


def run_bytes(command: Sequence[str]) -> bytes:
    """Standard output of `command` as bytes; raise `LabError` if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _shadows(tree: Path) -> list[Path]:
    """The same cgroup in systemd's v1 hierarchy, where systemd-nspawn mirrors it on machines that have one."""
    mirror = Path("/sys/fs/cgroup/systemd") / tree.relative_to(cgroup_root())
    return [mirror] if mirror.is_dir() else []
