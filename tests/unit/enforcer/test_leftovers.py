"""What ran on outside the scope, and what must never be taken for it (SPEC 3.3, S2, S4).

The processes are real and can be killed; who they are is written in a /proc of our own.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from jit_enforcer import applying, ending, processes, programs
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry
from jit_enforcer.paths import Paths
from unit.enforcer.conftest import SECOND, SESSION, FakeClock, FakeScopes, Signer

ALICE, BOB, ROOT = 4001, 4002, 0
OF_THE_GRANT, ANOTHER = 7, 9


class Family:
    """Processes that sleep, under names and parents of their own."""

    def __init__(self, paths: Paths, clock: FakeClock) -> None:
        self._paths = paths
        self._clock = clock
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        folder = paths.proc / "1"
        (folder / "status").write_text("Name:\tinit\nUid:\t0\t0\t0\t0\n")
        (folder / "stat").write_text(f"1 (init) S 0 {' '.join(['0'] * 17)} 0 0\n")

    def add(
        self, name: str, *, parent: str = "", login: int = ALICE, real: int = ROOT, session: int = OF_THE_GRANT,
        exe: str = "/usr/bin/sleep", state: str = "S", age_s: int = 0,
    ) -> int:  # fmt: skip
        process = subprocess.Popen(["/usr/bin/sleep", "100"])
        self._running[name] = process
        above = self._running[parent].pid if parent else 1
        folder = self._paths.proc / str(process.pid)
        folder.mkdir()
        start = processes.ticks(self._clock.boot - age_s * SECOND)
        (folder / "loginuid").write_text(str(login))
        (folder / "sessionid").write_text(str(session))
        (folder / "status").write_text(f"Name:\tx\nUid:\t{real}\t0\t0\t0\n")
        (folder / "stat").write_text(f"{process.pid} (x y) {state} {above} {' '.join(['0'] * 17)} {start} 0\n")
        (folder / "cmdline").write_bytes(f"{name}\0-x\0".encode())
        (folder / "exe").symlink_to(exe)
        return process.pid

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def start(self, name: str) -> tuple[int, int]:
        return self.pid(name), processes.ticks(self._clock.boot)

    def alive(self) -> set[str]:
        return {name for name, process in self._running.items() if process.poll() is None}

    def dead(self, *names: str) -> set[str]:
        """Those of the names that have died; waits for them."""
        return {name for name in names if self._running[name].wait(5) == -9}

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


@pytest.fixture
def family(paths: Paths, clock: FakeClock) -> Iterator[Family]:
    made = Family(paths, clock)
    yield made
    made.close()


@pytest.fixture
def entry(host: Host, clock: FakeClock, signer: Signer) -> Entry:
    """A grant of alice, in force for a minute, that let a sudo of her session in."""
    applied = replace(applying.apply(host, signer.grant()), sessions=(OF_THE_GRANT,))
    host.ledger.save(applied)
    clock.pass_s(60)
    return applied


def leftovers(host: Host, entry: Entry) -> list[dict[str, Any]]:
    """What the proof of its end has."""
    (ended,) = ending.end(host, [host.ledger.entries[entry.grant.grant]], "dropped")
    assert ended.proof is not None
    found: list[dict[str, Any]] = ended.proof["leftovers"]
    return found


def names(found: list[dict[str, Any]]) -> set[str]:
    return {one["command"].split()[0] for one in found}


def test_what_left_the_scope_is_reported_and_left_alone(host: Host, entry: Entry, family: Family) -> None:
    pid = family.add("escaped")
    assert leftovers(host, entry) == [{"pid": pid, "command": "escaped -x", "killed": False}]
    assert family.alive() == {"escaped"}


def test_where_the_ceiling_wants_it_what_left_the_scope_is_killed_with_all_below(
    host: Host, entry: Entry, family: Family
) -> None:
    host.paths.ceiling.write_text('leftovers = "kill"')
    family.add("escaped")
    family.add("child", parent="escaped", real=4100)
    found = leftovers(host, entry)
    assert names(found) == {"escaped", "child"}
    assert all(one["killed"] for one in found)
    assert family.dead("escaped", "child") == {"escaped", "child"}


@pytest.mark.parametrize("setting", ["report", "kill"])
def test_a_login_and_all_it_needs_is_no_leftover(host: Host, entry: Entry, family: Family, setting: str) -> None:
    """S4: a login or a cron job that began while the grant lived looks just the same but for its family."""
    host.paths.ceiling.write_text(f'leftovers = "{setting}"')
    family.add("sshd", session=ANOTHER)
    family.add("sshd-of-session", parent="sshd", real=ALICE, session=ANOTHER)
    family.add("shell", parent="sshd-of-session", real=ALICE, session=ANOTHER)
    family.add("login", session=OF_THE_GRANT)
    family.add("console-shell", parent="login", real=ALICE)
    family.add("cron")
    family.add("cron-shell", parent="cron", real=ALICE)
    family.add("systemd--user", real=ALICE)
    everything = family.alive()
    assert leftovers(host, entry) == []
    assert family.alive() == everything


def test_what_may_be_a_login_or_is_the_persons_own_way_to_root_is_never_killed(
    host: Host, entry: Entry, family: Family
) -> None:
    host.paths.ceiling.write_text('leftovers = "kill"')
    family.add("login-under-way", session=ANOTHER)
    family.add("shell", real=ALICE)
    family.add("su", parent="shell", real=ALICE)
    family.add("root-by-su", parent="su")
    found = leftovers(host, entry)
    assert names(found) == {"login-under-way", "root-by-su"}
    assert not any(one["killed"] for one in found)
    assert family.alive() == {"login-under-way", "shell", "su", "root-by-su"}


def test_neither_others_nor_what_was_there_before_nor_sudo_is_a_leftover(
    host: Host, entry: Entry, family: Family, scopes: FakeScopes, signer: Signer
) -> None:
    family.add("bobs", login=BOB)
    family.add("daemon", login=2**32 - 1)
    family.add("before", age_s=61)
    family.add("sudo", exe=programs.SUDO)
    family.add("dead", state="Z")
    other = applying.apply(host, signer.grant(grant="gnt-0000000000000002"))
    scopes.admit(other.scope, SESSION, family.add("of-another-grant"))
    assert leftovers(host, entry) == []


def test_what_a_sudo_by_the_hosts_own_rules_runs_is_no_leftover_and_while_it_could_run_nothing_is_killed(
    host: Host, entry: Entry, family: Family
) -> None:
    host.paths.ceiling.write_text('leftovers = "kill"')
    family.add("standing", real=ALICE, exe=programs.SUDO)
    family.add("apt", parent="standing")
    family.add("perhaps-a-daemon-of-apt")
    host.ledger.save(replace(entry, standing=(family.start("standing"),)))
    assert [(one["command"], one["killed"]) for one in leftovers(host, entry)] == [
        ("perhaps-a-daemon-of-apt -x", False)
    ]
    assert family.alive() == {"standing", "apt", "perhaps-a-daemon-of-apt"}


def test_a_ceiling_that_cannot_be_read_kills_nothing(host: Host, entry: Entry, family: Family) -> None:
    host.paths.ceiling.unlink()
    family.add("escaped")
    assert [one["killed"] for one in leftovers(host, entry)] == [False]


def test_a_command_line_in_a_proof_is_short_and_harmless(host: Host, entry: Entry, family: Family) -> None:
    pid = family.add("escaped")
    (host.paths.proc / str(pid) / "cmdline").write_bytes(b"\x1b[2J\n\xff\0" + b"x" * 500 + b"\0")
    (found,) = leftovers(host, entry)
    assert found["command"].startswith("\\x1b[2J\\n\\udcff xxx")
    assert len(found["command"]) == 200


def test_a_proof_has_twenty_leftovers_at_most(host: Host, entry: Entry, family: Family) -> None:
    for number in range(21):
        family.add(f"escaped{number}")
    assert len(leftovers(host, entry)) == 20


def test_a_reboot_leaves_nothing_to_look_for(host: Host, entry: Entry, family: Family) -> None:
    family.add("stranger")
    (ended,) = ending.end(replace(host, boot=host.boot.replace("8", "9")), [entry], "rebooted")
    assert ended.proof is not None
    assert ended.proof["leftovers"] == []
