"""Every place the enforcer touches, in one value (SPEC 1.5), so that tests can move them all under another root."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """`owner` is the uid that must own everything we trust: 0 outside tests."""

    root: Path
    owner: int
    run: Path
    dropins: Path
    markers: Path
    session_env: Path
    socket: Path
    trust: Path
    ceiling: Path
    sudoers: Path
    ledger: Path
    tickets: Path
    proc: Path
    cgroup: Path
    bus: Path
    dev: Path


def below(root: Path, *, owner: int) -> Paths:
    return Paths(
        root=root,
        owner=owner,
        run=root / "run/jit",
        dropins=root / "run/jit/sudoers.d",
        markers=root / "run/jit/active",
        session_env=root / "run/jit/session.env",
        socket=root / "run/jit/enforcer.sock",
        trust=root / "etc/jit/trust.json",
        ceiling=root / "etc/jit/ceiling.toml",
        sudoers=root / "etc/sudoers",
        ledger=root / "var/lib/jit-enforcer",
        tickets=root / "run/sudo/ts",
        proc=root / "proc",
        cgroup=root / "sys/fs/cgroup",
        bus=root / "run/dbus/system_bus_socket",
        dev=root / "dev",
    )
