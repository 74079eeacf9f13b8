"""What can happen to a host and its network as cases."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from faults import host_faults
from faults.case import ALIVE_MS, DEAD_MS, EXTENSION_S, Case, Play, everyday, revoked
from faults.life import Life, now
from faults.rig import UNITS, wait_for
from faults.verdict import Row


def _nothing(_: Life) -> contextlib.AbstractContextManager[object]:
    return contextlib.nullcontext()


def _revoked_alive(life: Life, name: str) -> Row:
    life.begin()
    return revoked(life, name, limit_ms=1_000)


def _revoked_while_cut(life: Life, name: str) -> Row:
    """Until the host hears of it, the grant's own time holds; the server says meanwhile that nothing is confirmed."""
    life.begin()
    trouble: list[str] = []
    with life.watched_end(), host_faults.cut(life.rig, "both"):
        life.server.revoke(life.grant)
        wait_for("the end", lambda: now() > life.ends_at + 0.7)
        said = life.server.jitctl("grants", "ls", "-o", "json").stdout
        states = [grant["state"] for grant in json.loads(said) if grant["grant_id"] == life.grant]
        if not states or not set(states) <= {"ending", "unconfirmed"}:
            trouble.append(f"the server called it {states} while the host could not be reached")
    return life.row(name, limit_ms=ALIVE_MS, trouble=trouble)


def _truncate(entry: Path) -> Path:
    entry.write_bytes(entry.read_bytes()[:100])
    return entry


def _garbage(entry: Path) -> Path:
    entry.write_bytes(bytes(range(256)))
    return entry


def _rename(entry: Path) -> Path:
    """The entry under another grant's name."""
    return entry.rename(entry.with_name("gnt-0000000000000000.json"))


def _delete(entry: Path) -> Path:
    entry.unlink()
    return entry


def _spoilt(spoil: Callable[[Path], Path]) -> Play:
    """No entry, no right.  What became of it cannot be proved any more, so the server must not call it over."""

    def play(life: Life, name: str) -> Row:
        life.begin()
        with life.watched_end(foreseen=False):
            spoilt = host_faults.spoil_ledger(life.rig, spoil, grant=life.grant)
            life.ends_at = now()
        row = life.row(name, limit_ms=1_000, server="unconfirmed")
        host_faults.mend_ledger(life.rig, spoilt)
        return row

    return play


def _forgotten(spoil: Callable[[Path], Path]) -> Play:
    """An entry that is gone is one that never was: the right goes; the server, which says it lives, gives it again."""

    def play(life: Life, name: str) -> Row:
        life.elevate()
        life.run_programs()
        host_faults.mend_ledger(life.rig, host_faults.spoil_ledger(life.rig, spoil, grant=life.grant))
        life.run_programs()
        life.check_works()
        with life.watched_end():
            pass
        return life.row(name, limit_ms=ALIVE_MS)

    return play


def _without_folder(life: Life, name: str) -> Row:
    """Without /run/jit/sudoers.d nobody has a right, and the end still holds."""
    life.begin()
    with life.watched_end():
        life.rig.sh("rm -rf /run/jit/sudoers.d")
    life.rig.sh("systemd-tmpfiles --create jit-agent.conf")
    return life.row(name, limit_ms=ALIVE_MS)


def _clock_back(life: Life, name: str) -> Row:
    with host_faults.steppable_clock(life.rig) as clock:
        life.begin()
        with life.watched_end():
            clock.step(wall_s=-3600)
    return life.row(name, limit_ms=ALIVE_MS)


def _clock_forward(life: Life, name: str) -> Row:
    return _stepped(life, name, wall_s=3600, boot_s=0)


def _suspended(life: Life, name: str) -> Row:
    return _stepped(life, name, wall_s=3600, boot_s=3600)


def _stepped(life: Life, name: str, *, wall_s: int, boot_s: int) -> Row:
    with host_faults.steppable_clock(life.rig) as clock:
        life.begin()
        with life.watched_end(foreseen=False):
            clock.step(wall_s=wall_s, boot_s=boot_s)
            life.ends_at = now()
    return life.row(name, limit_ms=ALIVE_MS)


def _rebooted(*, power_cut: bool) -> Play:
    """In the middle: what ran is gone, the server signs for the new boot, and the end is the old one."""

    def play(life: Life, name: str) -> Row:
        life.begin()
        life.reboot(power_cut=power_cut)
        life.come_into_force()
        life.run_programs()
        life.check_works()
        with life.watched_end():
            pass
        return life.row(name, limit_ms=ALIVE_MS)

    return play


def _down_across_the_end(life: Life, name: str) -> Row:
    life.begin()
    life.cut_power()
    wait_for("the end", lambda: now() > life.ends_at + 0.2)
    life.boot()
    life.try_sudo()
    return life.row(name, limit_ms=0)


def _upgraded(life: Life, name: str) -> Row:
    """The same package once more, as apt does it: both programs restart, the grant goes on."""
    life.elevate()
    life.run_programs()
    life.rig.sh("dpkg --install /var/tmp/jit-agent_*.deb")
    life.check_works()
    with life.watched_end():
        pass
    return life.row(name, limit_ms=ALIVE_MS)


def _extended(life: Life, name: str) -> Row:
    """The new end is PID 1's too: nobody else is there to keep it."""
    life.begin()
    life.extend(EXTENSION_S)
    life.check_runs_on()
    life.check_works()
    with life.watched_end(), host_faults.dead(life.rig, "agent", "enforcer"):
        life.check_there_is_time()
        wait_for("the end", lambda: now() > life.ends_at + 0.7)
    return life.row(name, limit_ms=DEAD_MS)


def _restarted(life: Life, name: str) -> Row:
    life.begin()
    with life.watched_end():
        wait_for("the last half second", lambda: now() > life.ends_at - 0.5)
        life.rig.sh(f"systemctl restart {UNITS['enforcer']}")
    return life.row(name, limit_ms=DEAD_MS)


HOST_CASES: Final = (
    Case("nothing", everyday(_nothing, limit_ms=ALIVE_MS)),
    Case("nothing; revoked", _revoked_alive, 12),
    Case("enforcer dead", everyday(lambda life: host_faults.dead(life.rig, "enforcer"))),
    Case("agent dead", everyday(lambda life: host_faults.dead(life.rig, "agent"))),
    Case("agent and enforcer dead", everyday(lambda life: host_faults.dead(life.rig, "agent", "enforcer"))),
    Case("extended; agent and enforcer dead", _extended),
    Case("server dead", everyday(lambda life: host_faults.dead(life.server.rig, "server")), server=True),
    Case("enforcer stopped", everyday(lambda life: host_faults.frozen(life.rig, "enforcer"))),
    Case("agent stopped", everyday(lambda life: host_faults.frozen(life.rig, "agent"))),
    Case("agent and enforcer stopped", everyday(lambda life: host_faults.frozen(life.rig, "agent", "enforcer"))),
    Case("enforcer restarted at the end", _restarted),
    Case("network cut", everyday(lambda life: host_faults.cut(life.rig, "both"), limit_ms=ALIVE_MS)),
    Case("network cut, inwards", everyday(lambda life: host_faults.cut(life.rig, "in"), limit_ms=ALIVE_MS)),
    Case("network cut, outwards", everyday(lambda life: host_faults.cut(life.rig, "out"), limit_ms=ALIVE_MS)),
    Case("network cut; revoked", _revoked_while_cut, 9),
    Case("/run/jit full", everyday(lambda life: host_faults.full(life.rig, "/run/jit")), needs="small disks"),
    Case(
        "/run/jit out of inodes",
        everyday(lambda life: host_faults.out_of_inodes(life.rig, "/run/jit")),
        needs="small disks",
    ),
    Case("/run/jit read-only", everyday(lambda life: host_faults.read_only(life.rig, "/run/jit")), needs="small disks"),
    Case(
        "/var/lib full",
        everyday(lambda life: host_faults.full(life.rig, "/var/lib/jit-enforcer", "/var/lib/jit-agent")),
        needs="small disks",
    ),
    Case(
        "/var/lib read-only",
        everyday(lambda life: host_faults.read_only(life.rig, "/var/lib/jit-enforcer")),
        needs="small disks",
    ),
    Case(
        "every disk full",
        everyday(lambda life: host_faults.full(life.rig, "/run/jit", "/var/lib/jit-enforcer", "/var/lib/jit-agent")),
        needs="small disks",
    ),
    Case("process table full", everyday(lambda life: host_faults.no_new_processes(life.rig))),
    Case("ledger truncated", _spoilt(_truncate), 12),
    Case("ledger garbage", _spoilt(_garbage), 12),
    Case("ledger entry renamed", _forgotten(_rename), 12),
    Case("ledger entry deleted", _forgotten(_delete), 12),
    Case("rules' folder deleted", _without_folder),
    Case("clock an hour back", _clock_back, 9),
    Case("clock an hour forward", _clock_forward, 14),
    Case("suspended for an hour", _suspended, 14),
    Case("rebooted", _rebooted(power_cut=False), 14, needs="a disk"),
    Case("power cut", _rebooted(power_cut=True), 14, needs="a disk"),
    Case("power cut across the end", _down_across_the_end, 7, needs="a disk"),
    Case("agent upgraded", _upgraded, 14),
)
