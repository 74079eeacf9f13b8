"""Sessions: where they run, how they are frozen, thawed, killed and told something (SPEC 3.2, 8.1, 8.5, S2)."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jit_enforcer import applying, cgroup, closing, commands, ending, notices
from jit_enforcer.closing import LastMinutes
from jit_enforcer.errors import Malformed, Unsafe
from jit_enforcer.host import Host
from jit_enforcer.paths import Paths
from jit_enforcer.scope import Scopes
from jit_enforcer.units import Scope
from unit.enforcer.conftest import NOW, SECOND, SESSION, AtTheGate, FakeClock, FakeScopes, Signer

ONE, TWO = "gnt-0000000000000001", "gnt-0000000000000002"
OTHER = "ses-0000000000000002"
OLD, NEW = Scope(f"jit-{ONE}.scope", "jit.slice"), Scope(f"jit-{ONE}-r2.scope", "jit.slice")


def ask(host: Host, op: str, session: str = SESSION, message: str = "") -> dict[str, Any]:
    act = commands.parse(json.dumps({"op": op, "session": session, "message": message}).encode())
    assert act is not None
    return act(host)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person's terminals were to show."""
    lines: list[str] = []
    monkeypatch.setattr(notices, "_tell", lambda _paths, _uid, line: lines.append(line.partition(": ")[2]))
    return lines


@pytest.fixture
def running(host: Host, signer: Signer, at_the_gate: AtTheGate) -> Host:
    """The host with a session of alice's: sudo is 100, its command 101."""
    entry = applying.apply(host, signer.grant())
    assert at_the_gate("sudo sleep 1000") == ONE
    host.scopes.admit(entry.scope, SESSION, 101)
    return host


def test_a_session_is_frozen_thawed_and_killed_and_the_person_is_told_once_each(
    running: Host, scopes: FakeScopes, heard: list[str]
) -> None:
    for op, frozen in (("freeze", {SESSION}), ("thaw", set())):
        for _ in range(2):
            assert ask(running, op, message=f"{op} by carol") == {"ok": True, "known": True}
            assert scopes.still == frozen
    assert ask(running, "tell", message="look at this") == {"ok": True, "known": True}
    assert ask(running, "kill", message="kill by carol") == {"ok": True, "known": True, "killed": 1}
    assert ask(running, "kill", message="kill by carol") == {"ok": True, "known": False, "killed": 0}
    told = ["freeze by carol", "thaw by carol", "look at this", "kill by carol"]
    assert [line.split(": ", 1)[1] for line in heard] == told
    assert running.ledger.entries[ONE].state == "live"


def test_an_empty_message_is_not_shown(running: Host, heard: list[str]) -> None:
    for op in ("tell", "freeze", "thaw", "kill"):
        assert ask(running, op)["known"]
    assert heard == []


@pytest.mark.parametrize("op", ["freeze", "thaw", "kill", "tell"])
def test_what_no_live_grant_holds_is_unknown(running: Host, heard: list[str], op: str) -> None:
    assert not ask(running, op, OTHER, "x")["known"]
    ending.end(running, [running.ledger.entries[ONE]], "revoked")
    heard.clear()
    assert not ask(running, op, message="x")["known"]
    assert heard == []


def test_of_several_grants_only_the_one_session_is_meant(
    running: Host, scopes: FakeScopes, signer: Signer, heard: list[str]
) -> None:
    other = applying.apply(running, signer.grant(grant=TWO, uid=4002, user="bob"))
    scopes.admit(other.scope, OTHER, 200)
    assert ask(running, "kill", OTHER) == {"ok": True, "known": True, "killed": 1}
    assert scopes.processes(running.ledger.entries[ONE].scope) == [100, 101]


def test_a_process_that_does_not_freeze_is_an_error_and_the_person_knows(
    running: Host, scopes: FakeScopes, heard: list[str]
) -> None:
    scopes.stuck = True
    with pytest.raises(Unsafe):
        ask(running, "freeze", message="stop")
    assert (scopes.still, len(heard)) == ({SESSION}, 1)


def test_what_cannot_be_killed_is_an_error(running: Host, scopes: FakeScopes) -> None:
    scopes.immortal = True
    with pytest.raises(Unsafe):
        ask(running, "kill")


@pytest.mark.parametrize(
    "packet",
    [
        {"op": "freeze", "session": SESSION},
        {"op": "freeze", "session": "../x", "message": ""},
        {"op": "freeze", "session": ONE, "message": ""},
        {"op": "freeze", "session": SESSION, "message": "x" * 301},
        {"op": "freeze", "session": SESSION, "message": "", "force": True},
        {"op": "kill", "session": SESSION, "message": None},
        {"op": "thaw", "session": [SESSION], "message": ""},
        {"op": "stop", "session": SESSION, "message": ""},
        {"op": "_holder", "session": SESSION, "message": ""},
        {"op": "admit", "client": ["127.0.0.1", 1], "server": ["127.0.0.1", 843]},
        {"op": "admit", "client": ["127.0.0.1", 1], "server": ["127.0.0.1", 843], "session": f"{SESSION}/../x"},
        {"op": "admit", "client": ["127.0.0.1", 1], "server": ["127.0.0.1", 843], "session": ""},
    ],
)
def test_an_order_that_is_not_exactly_one_is_malformed(packet: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        commands.parse(json.dumps(packet).encode())


def test_a_message_is_at_most_300_characters(running: Host, heard: list[str]) -> None:
    assert ask(running, "tell", message="x" * 300)["known"]
    assert len(heard) == 1


def test_who_is_let_in_is_told_with_what_they_typed_and_what_is_recorded(
    host: Host, signer: Signer, at_the_gate: AtTheGate, scopes: FakeScopes
) -> None:
    entry = applying.apply(host, signer.grant(record="events", watch_s=600))
    applying.apply(host, signer.grant(grant=TWO, record="none", run_as_user="postgres", required=True, watch_s=60))
    applying.apply(host, signer.grant(grant="gnt-0000000000000003", uid=4002, user="bob", record="input"))
    found = at_the_gate.admit("sudo id -u")
    assert (found.grant, found.uid, found.user, found.pid) == (ONE, 4001, "alice", 100)
    assert found.argv == ["sudo", "id", "-u"]
    assert (found.record, found.required, found.subcommands, found.watch_s) == ("events", True, False, 60)
    assert (scopes.processes(entry.scope), scopes.has_session(entry.scope, SESSION)) == ([100], True)


def test_a_standing_rule_is_recorded_as_strictly_and_is_in_no_session(
    host: Host, signer: Signer, at_the_gate: AtTheGate, scopes: FakeScopes
) -> None:
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    commands_ = [{"path": "/usr/bin/id", "args": [], "sha256": ""}]
    entry = applying.apply(host, signer.grant(commands=commands_, record="input", subcommands=True))
    found = at_the_gate.admit("sudo -u bob who")
    assert (found.grant, found.user, found.record, found.subcommands) == (None, "alice", "input", True)
    assert scopes.processes(entry.scope) == []
    assert not ask(host, "freeze")["known"]


@pytest.mark.parametrize(("words", "told"), [(["x" * 16_375], True), (["x" * 16_376], False), ([""] * 17_000, False)])
def test_a_command_line_that_is_too_long_for_an_answer_is_left_out(
    host: Host, signer: Signer, at_the_gate: AtTheGate, words: list[str], told: bool
) -> None:
    applying.apply(host, signer.grant())
    assert bool(at_the_gate.admit(" ".join(["sudo", "id"]) + "\0" + "\0".join(words)).argv) is told


def test_at_the_end_a_frozen_session_is_killed_when_others_are_asked_to_leave(
    running: Host, clock: FakeClock, scopes: FakeScopes, at_the_gate: AtTheGate
) -> None:
    entry = running.ledger.entries[ONE]
    scopes.admit(entry.scope, OTHER, 300)
    scopes.deaf = {300}
    ask(running, "freeze")
    last = LastMinutes(running)
    clock.pass_s(3600 - closing.CLOSING_US / SECOND)
    last.tick()
    assert scopes.processes(entry.scope) == [300]
    assert {100, 101}.isdisjoint(scopes.sent)
    at_the_gate.leave(scopes)
    clock.pass_s(1)
    last.tick()
    clock.pass_s(1.5)
    ending.tick(running)
    ended = running.ledger.entries[ONE]
    assert (ended.state, ended.killed) == ("ended", 2)


def test_an_extension_keeps_a_frozen_session_frozen_until_it_is_thawed(
    running: Host, scopes: FakeScopes, signer: Signer
) -> None:
    ask(running, "freeze")
    entry = applying.apply(running, signer.grant(revision=2, not_after=NOW + 7200 * SECOND, remaining_s=7200))
    assert (scopes.has_session(entry.scope, SESSION), scopes.still) == (True, {SESSION})
    assert ask(running, "thaw") == {"ok": True, "known": True}
    assert scopes.still == set()


@dataclass
class Kernel:
    """Who is in which folder; `ran` are processes that were frozen and came where nothing is."""

    inside: dict[Path, set[int]] = field(default_factory=dict)
    frozen: set[Path] = field(default_factory=set)
    ran: set[int] = field(default_factory=set)
    born: list[Callable[[], None]] = field(default_factory=list)

    def enter(self, directory: Path, pid: int) -> None:
        assert directory.is_dir()
        for folder, pids in self.inside.items():
            if pid in pids and folder in self.frozen and directory not in self.frozen:
                self.ran.add(pid)
            pids.discard(pid)
        self.inside.setdefault(directory, set()).add(pid)
        if self.born:
            self.born.pop()()

    def kill(self, directory: Path, *, patience_s: float) -> None:
        for folder in list(self.inside):
            if folder.is_relative_to(directory):
                del self.inside[folder]


@pytest.fixture
def kernel(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """In two scopes there is room for sessions; the placeholder of each is 50 or 60."""
    one = Kernel()

    def set_frozen(directory: Path, *, frozen: bool) -> bool:
        changed = frozen is not (directory in one.frozen)
        (one.frozen.add if frozen else one.frozen.discard)(directory)
        return changed

    monkeypatch.setattr(cgroup, "enter", one.enter)
    monkeypatch.setattr(cgroup, "pids", lambda directory: sorted(one.inside.get(directory, ())))
    monkeypatch.setattr(cgroup, "is_frozen", lambda directory: directory in one.frozen)
    monkeypatch.setattr(cgroup, "is_populated", lambda directory: bool(one.inside.get(directory)))
    monkeypatch.setattr(cgroup, "set_frozen", set_frozen)
    monkeypatch.setattr(cgroup, "kill", one.kill)
    for number, scope in ((50, OLD), (60, NEW)):
        folder(paths, scope).mkdir(parents=True)
        (paths.proc / str(number)).mkdir()
        (paths.proc / str(number) / "cmdline").write_bytes(b"jit-placeholder\0infinity\0")
        one.inside[folder(paths, scope)] = {number}
    return one


def folder(paths: Paths, scope: Scope, session: str = "") -> Path:
    return paths.cgroup / "jit.slice" / scope.name / session


def fill(paths: Paths, kernel: Kernel, session: str, *pids: int) -> None:
    folder(paths, OLD, session).mkdir(parents=True, exist_ok=True)
    kernel.inside.setdefault(folder(paths, OLD, session), set()).update(pids)


@pytest.mark.parametrize("there_already", [True, False])
def test_in_an_extension_nothing_of_a_frozen_session_runs_even_if_an_earlier_one_was_cut_short(
    paths: Paths, kernel: Kernel, there_already: bool
) -> None:
    fill(paths, kernel, SESSION, 100, 101)
    fill(paths, kernel, f"{SESSION}/inner", 102)
    fill(paths, kernel, OTHER, 200)
    fill(paths, kernel, "no-session", 300)
    kernel.frozen = {folder(paths, OLD, SESSION), folder(paths, OLD, f"{SESSION}/inner")}
    if there_already:
        folder(paths, NEW, SESSION).mkdir()
    kernel.born.append(lambda: kernel.inside[folder(paths, OLD, OTHER)].add(201))
    Scopes(paths).move(OLD, NEW)
    found = {path: pids for path, pids in kernel.inside.items() if pids}
    assert found == {
        folder(paths, NEW): {60, 300},
        folder(paths, NEW, SESSION): {100, 101, 102},
        folder(paths, NEW, OTHER): {200, 201},
    }
    assert folder(paths, NEW, SESSION) in kernel.frozen
    assert folder(paths, NEW, OTHER) not in kernel.frozen
    assert kernel.ran == set()


def test_where_the_next_cgroup_cannot_be_frozen_nothing_of_the_session_moves(
    paths: Paths, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(paths, kernel, SESSION, 100)
    kernel.frozen = {folder(paths, OLD, SESSION)}

    def refused(directory: Path, *, frozen: bool) -> bool:
        raise Unsafe("cannot freeze")

    monkeypatch.setattr(cgroup, "set_frozen", refused)
    with pytest.raises(Unsafe):
        Scopes(paths).move(OLD, NEW)
    assert kernel.inside[folder(paths, OLD, SESSION)] == {100}


def test_two_processes_cannot_begin_one_session(paths: Paths, kernel: Kernel) -> None:
    scopes = Scopes(paths)
    for pid in (100, 200):
        (paths.proc / str(pid)).mkdir()
        (paths.proc / str(pid) / "cgroup").write_text(f"0::/jit.slice/{OLD.name}/{SESSION}\n")
    for _ in range(2):
        scopes.admit(OLD, SESSION, 100)
    with pytest.raises(Unsafe, match="begun already"):
        scopes.admit(OLD, SESSION, 200)
    assert kernel.inside[folder(paths, OLD, SESSION)] == {100}


def test_a_process_that_is_not_where_it_was_put_is_not_let_in(paths: Paths, kernel: Kernel) -> None:
    (paths.proc / "100").mkdir()
    for elsewhere in (f"/jit.slice/{OLD.name}", f"/jit.slice/{OLD.name}/{SESSION}/x", "/", f"/{SESSION}"):
        (paths.proc / "100/cgroup").write_text(f"0::{elsewhere}\n")
        with pytest.raises(Unsafe, match="run it again"):
            Scopes(paths).admit(OLD, SESSION, 100)


def test_the_cgroup_of_a_session_that_is_over_goes_and_no_other(paths: Paths) -> None:
    for name in (SESSION, OTHER, "not-a-session"):
        folder(paths, OLD, name).mkdir(parents=True)
    (folder(paths, OLD, OTHER) / "inner").mkdir()
    Scopes(paths).sweep(OLD)
    Scopes(paths).sweep(NEW)
    assert {path.name for path in folder(paths, OLD).iterdir()} == {OTHER, "not-a-session"}


def test_a_folder_that_is_no_cgroup_any_more_holds_nobody_and_is_not_waited_for(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert (cgroup.pids(gone), cgroup.is_frozen(gone), cgroup.is_populated(gone)) == ([], False, False)
    cgroup.await_frozen(gone)
    cgroup.kill(gone, patience_s=0)
    with pytest.raises(Unsafe):
        cgroup.set_frozen(gone, frozen=True)


def test_what_does_not_freeze_or_die_in_time_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    monkeypatch.setattr(cgroup, "_FREEZE_PATIENCE_S", 0.01)
    with pytest.raises(Unsafe):
        cgroup.await_frozen(tmp_path)
    with pytest.raises(Unsafe):
        cgroup.kill(tmp_path, patience_s=0.01)
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    cgroup.await_frozen(tmp_path)
