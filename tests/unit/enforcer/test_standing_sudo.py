"""sudo by the host's own rules while a grant lives: `standing_sudo` (S2, S4, REVIEW 12)."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jit_enforcer import applying, ending, processes, programs, strays
from jit_enforcer.errors import NotAdmitted
from jit_enforcer.host import Host
from jit_enforcer.paths import Paths
from unit.enforcer.conftest import SECOND, AtTheGate, Signer

NAMED = [{"path": "/usr/bin/id", "args": ["-u"], "sha256": ""}]


def test_a_standing_rule_needs_the_ceilings_leave(host: Host, signer: Signer, at_the_gate: AtTheGate) -> None:
    applying.apply(host, signer.grant(commands=NAMED))
    assert at_the_gate("sudo id -u") == "gnt-0000000000000001"
    with pytest.raises(NotAdmitted):
        at_the_gate("sudo -u bob who")
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    assert at_the_gate("sudo -u bob who") is None


@pytest.mark.parametrize(
    "line", ["sudo -r a -t b id -u", "sudo -u root -g root id -u", "sudo ./x/id -u", "sudo -s", "sudo -e /etc/motd"]
)
def test_what_could_go_by_a_grants_rule_never_starts_outside_its_scope(
    host: Host, signer: Signer, at_the_gate: AtTheGate, line: str
) -> None:
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    applying.apply(host, signer.grant(commands=NAMED))
    with pytest.raises(NotAdmitted):
        at_the_gate(line)


def test_a_sudo_that_may_have_read_the_rule_of_an_ended_grant_must_start_anew(
    host: Host, signer: Signer, at_the_gate: AtTheGate
) -> None:
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    applying.apply(host, signer.grant(commands=NAMED))
    ended = applying.apply(
        host, signer.grant(grant="gnt-0000000000000002", commands=[{"path": "/bin/who", "args": [], "sha256": ""}])
    )
    now = host.clock.boot_us()
    ending.end(host, [ended], "revoked")
    with pytest.raises(NotAdmitted):
        at_the_gate("sudo who", started_us=now - SECOND)
    assert at_the_gate("sudo who", started_us=now + SECOND) is None


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
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    span = strays.Span(0, now, frozenset([(parent, start)] if spared else []))
    killed = strays.kill(found, {os.getuid(): span}, lambda _: False)
    assert (killed[os.getuid()] == 0) is spared
    assert (processes.inspect(found, monitor, processes.sudo_binary()) is None) is not spared


def test_a_sudo_that_started_before_the_grant_or_after_its_end_is_not_looked_for(
    paths: Paths, sudo_with_a_monitor: tuple[int, int]
) -> None:
    found = real(paths)
    parent, _ = sudo_with_a_monitor
    start_us = processes.start_and_parent(found, parent)[0] * SECOND // processes.ticks(SECOND)
    for since, until in ((start_us + SECOND, start_us + 2 * SECOND), (0, start_us - SECOND)):
        span = strays.Span(since, until, frozenset())
        assert strays.kill(found, {os.getuid(): span}, lambda _: False) == {os.getuid(): 0}
    assert processes.inspect(found, parent, processes.sudo_binary())
