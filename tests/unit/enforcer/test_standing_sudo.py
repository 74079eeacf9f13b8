"""sudo by the host's own rules while a grant lives: `standing_sudo` (S2, S4, REVIEW 12)."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jit_enforcer import admission, applying, ending, processes, programs, strays
from jit_enforcer.errors import NotAdmitted
from jit_enforcer.host import Host
from jit_enforcer.paths import Paths
from unit.enforcer.conftest import Signer

NAMED = [{"path": "/usr/bin/id", "args": ["-u"]}]
SERVER = ("127.0.0.1", 843)
CLIENT = ("127.0.0.1", 40_000)
ROW = "  0: 0100007F:9C40 0100007F:034B 01 0 0 0 0 0 4242\n"


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sudo processes of these tests are folders only."""
    monkeypatch.setattr("os.pidfd_open", lambda _: os.open("/dev/null", os.O_RDONLY))
    monkeypatch.setattr(processes, "alive", lambda _: True)


def admit(host: Host, line: str, *, started_us: int) -> str | None:
    """Let a sudo of alice stand at the gate; the grant it is let into."""
    folder = host.paths.proc / "100"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "fd").mkdir(parents=True)
    (folder / "fd/5").symlink_to("socket:[4242]")
    (folder / "exe").symlink_to(programs.SUDO)
    (folder / "status").write_text("Name:\tsudo\nUid:\t4001\t0\t0\t0\n")
    start = started_us * processes.TICKS_PER_S // 1_000_000
    (folder / "stat").write_text(f"100 (sudo) S 7 {' '.join(['0'] * 17)} {start} 0\n")
    (folder / "cmdline").write_bytes("\0".join([*line.split(), ""]).encode())
    (host.paths.proc / "1/net").mkdir(parents=True, exist_ok=True)
    (host.paths.proc / "1/net/tcp").write_text("head\n" + ROW)
    return admission.admit(host, CLIENT, SERVER).grant


@pytest.mark.usefixtures("alive")
def test_a_standing_rule_needs_the_ceilings_leave(host: Host, signer: Signer) -> None:
    applying.apply(host, signer.grant(commands=NAMED))
    now = host.clock.boot_us()
    assert admit(host, "sudo id -u", started_us=now) == "gnt-0000000000000001"
    with pytest.raises(NotAdmitted):
        admit(host, "sudo -u bob who", started_us=now)
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    assert admit(host, "sudo -u bob who", started_us=now) is None


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize(
    "line", ["sudo -r a -t b id -u", "sudo -u root -g root id -u", "sudo ./x/id -u", "sudo -s", "sudo -e /etc/motd"]
)
def test_what_could_go_by_a_grants_rule_never_starts_outside_its_scope(host: Host, signer: Signer, line: str) -> None:
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    applying.apply(host, signer.grant(commands=NAMED))
    with pytest.raises(NotAdmitted):
        admit(host, line, started_us=host.clock.boot_us())


@pytest.mark.usefixtures("alive")
def test_a_sudo_that_may_have_read_the_rule_of_an_ended_grant_must_start_anew(host: Host, signer: Signer) -> None:
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    applying.apply(host, signer.grant(commands=NAMED))
    ended = applying.apply(
        host, signer.grant(grant="gnt-0000000000000002", commands=[{"path": "/bin/who", "args": []}])
    )
    now = host.clock.boot_us()
    ending.end(host, ended, "revoked")
    with pytest.raises(NotAdmitted):
        admit(host, "sudo who", started_us=now - 1_000_000)
    assert admit(host, "sudo who", started_us=now + 1_000_000) is None


@pytest.fixture
def sudo_with_a_monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """The pids of a "sudo" and of the "sudo" below it: a shell under another name."""
    fake = tmp_path / "sudo"
    shutil.copy("/bin/dash", fake)
    monkeypatch.setattr(programs, "SUDO", str(fake))
    inner = "read x; :"
    with subprocess.Popen(
        [str(fake), "-c", f"{fake} -c 'echo $$; {inner}'; :"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as outer:  # fmt: skip
        assert outer.stdout
        yield outer.pid, int(outer.stdout.readline())
        outer.kill()


def real(paths: Paths) -> Paths:
    return replace(paths, proc=Path("/proc"))


@pytest.mark.parametrize("spared", [True, False])
def test_a_sudo_that_is_spared_keeps_its_monitor(
    paths: Paths, sudo_with_a_monitor: tuple[int, int], spared: bool
) -> None:
    found = real(paths)
    parent, monitor = sudo_with_a_monitor
    start, _ = processes.start_and_parent(found, parent)
    killed = strays.kill(
        found,
        uid=os.getuid(),
        since_us=0,
        spared=[(parent, start)] if spared else [],
        in_live_scope=lambda _: False,
    )
    assert killed == (0 if spared else 2)
    assert (processes.inspect(found, monitor, processes.sudo_binary()) is None) is not spared
