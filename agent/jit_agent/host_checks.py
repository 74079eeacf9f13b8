"""What the doctor sees of the machine itself: kernel settings and files, as anybody on the host can."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jit_agent.ports import Json
from jit_agent.text import safe

ROOT = Path("/")
_PORTS = "proc/sys/net/ipv4/ip_unprivileged_port_start"
_MOUNTS = "proc/self/mounts"
_FOOTPRINT_UNIT = "usr/lib/systemd/system/jit-footprint@.service"


@dataclass(frozen=True, slots=True)
class Check:
    """`fix` is empty when nothing needs mending."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    def as_json(self) -> Json:
        fix = "" if self.ok else safe(self.fix)
        return {"name": self.name, "ok": self.ok, "detail": safe(self.detail), "fix": fix}


def look(session: int | None, root: Path = ROOT) -> list[Check]:
    """Every check; `session` as for `Doctor.checks`.  Blocks on files; never raises."""
    return [_ports(root), _cgroup(root), _sessions(session, root), _footprint(root)]


def _ports(root: Path) -> Check:
    """Any user could take the log port while it is free if the kernel lets them (REVIEW 19)."""
    try:
        first = int((root / _PORTS).read_text(encoding="ascii"))
    except (OSError, ValueError) as e:
        return Check("ports", False, f"/{_PORTS} cannot be read: {e}", f"look at /{_PORTS}")
    detail = f"ports below {first} are root's"
    return Check("ports", first > 843, detail, "sysctl net.ipv4.ip_unprivileged_port_start=1024")


def _cgroup(root: Path) -> Check:
    """How long sudo waits to be moved into its grant's scope; slower is no failure."""
    try:
        mounts = (root / _MOUNTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as e:
        return Check("cgroup", False, f"/{_MOUNTS} cannot be read: {e}", "is /proc mounted?")
    options = [fields[3] for line in mounts if len(fields := line.split()) > 3 and fields[2] == "cgroup2"]
    if not options:
        return Check("cgroup", False, "there is no cgroup v2 here", "boot with systemd.unified_cgroup_hierarchy=1")
    if any("favordynmods" in one.split(",") for one in options):
        return Check("cgroup", True, "favordynmods: sudo under a grant does not wait for the kernel")
    detail = "each sudo under a grant waits some 14 ms for the kernel; without that wait: "
    return Check("cgroup", True, detail + "mount -o remount,favordynmods /sys/fs/cgroup")


def _sessions(session: int | None, root: Path) -> Check:
    """Login uid and audit session: `--this-session` needs them, and the search for what left a grant's scope."""
    if not (root / "proc/self/sessionid").exists():
        fix = "boot a kernel with auditing (CONFIG_AUDIT); without it --this-session is refused"
        return Check("sessions", False, "this kernel does not track login sessions", fix)
    if session is None:
        return Check("sessions", True, "the kernel tracks login sessions")
    if session:
        return Check("sessions", True, f"this is login session {session}")
    return Check("sessions", True, "no login started this session (pam_loginuid), so --this-session is refused in it")


def _footprint(root: Path) -> Check:
    if (root / _FOOTPRINT_UNIT).exists():
        return Check("footprint", True, "what a grant leaves behind is looked for at its end")
    return Check("footprint", False, f"/{_FOOTPRINT_UNIT} is missing", "reinstall the package jit-agent")
