"""Many ends at once, what is asked of systemd around a grant, and who may stop the enforcer (S2, S6, SPEC 3.6)."""

import contextlib
from typing import Any

import pytest

from jit_enforcer import applying, ending, leftovers, main, programs, reconciling, strays, units
from jit_enforcer.errors import Denied, Unsafe
from jit_enforcer.host import Host
from jit_enforcer.paths import Paths
from jit_enforcer.scope import Scopes
from jit_enforcer.units import Scope
from unit.enforcer.conftest import NOW, SECOND, SESSION, FakeClock, FakeScopes, Signer

IDS = [f"gnt-000000000000000{number}" for number in range(1, 6)]
PEOPLE = [{"uid": 4001, "user": "alice"}, {"uid": 4002, "user": "bob"}]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The footprints that were asked for."""
    asked: list[str] = []
    monkeypatch.setattr(units, "start_footprint", lambda _, grant, *, when: asked.append(f"{when}-{grant}"))
    return asked


def standing_rules(paths: Paths) -> int:
    return sum(path.stat().st_size > 0 for path in paths.dropins.glob("gnt-*"))


def test_all_rules_go_before_the_first_scope_and_all_scopes_before_the_first_look_at_processes(
    host: Host, clock: FakeClock, scopes: FakeScopes, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, grant in enumerate(IDS):
        applying.apply(host, signer.grant(grant=grant, **PEOPLE[number % 2]))
    order: list[tuple[str, int, int]] = []

    def watched(name: str, real: Any) -> Any:
        def step(*arguments: Any, **more: Any) -> Any:
            order.append((name, standing_rules(host.paths), len(scopes.held)))
            return real(*arguments, **more)

        return step

    monkeypatch.setattr(scopes, "kill", watched("kill", scopes.kill))
    monkeypatch.setattr(strays, "kill", watched("strays", strays.kill))
    monkeypatch.setattr(leftovers, "find", watched("leftovers", leftovers.find))
    clock.pass_s(3600)
    ending.tick(host)
    assert order[:5] == [("kill", 0, left) for left in (5, 4, 3, 2, 1)]
    assert order[5:] == [("strays", 0, 0), ("leftovers", 0, 0)]
    assert {entry.state for entry in host.ledger.entries.values()} == {"ended"}


def test_one_that_does_not_end_holds_up_no_other(
    host: Host, clock: FakeClock, scopes: FakeScopes, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (applying.apply(host, signer.grant(grant=grant)) for grant in IDS[:2])
    kill = scopes.kill

    def stubborn(scope: Scope, *, patience_s: float = 2.0) -> int:
        if scope == first.scope:
            raise Unsafe("still populated")
        return kill(scope, patience_s=patience_s)

    with monkeypatch.context() as broken:
        broken.setattr(scopes, "kill", stubborn)
        clock.pass_s(3600)
        ending.tick(host)
    assert [host.ledger.entries[entry.grant.grant].state for entry in (first, second)] == ["ending", "ended"]
    ending.tick(host)
    assert host.ledger.entries[IDS[0]].state == "ended"


def test_a_host_is_looked_at_before_the_first_revision_and_after_the_end(
    host: Host, clock: FakeClock, signer: Signer, looks: list[str]
) -> None:
    applying.apply(host, signer.grant())
    applying.apply(host, signer.grant())
    applying.apply(host, signer.grant(revision=2))
    assert looks == [f"before-{IDS[0]}"]
    clock.pass_s(3600)
    ending.tick(host)
    assert looks == [f"before-{IDS[0]}", f"after-{IDS[0]}"]


def test_after_a_reboot_the_host_is_looked_at_too(host: Host, signer: Signer, looks: list[str]) -> None:
    entry = applying.apply(host, signer.grant())
    ending.end(host, [entry], "rebooted")
    assert looks[-1] == f"after-{IDS[0]}"


def test_a_grant_that_is_refused_is_not_looked_at(host: Host, signer: Signer, looks: list[str]) -> None:
    with pytest.raises(Denied):
        applying.apply(host, signer.grant(user="bob"))
    assert looks == []


def test_without_a_bus_a_grant_begins_and_many_end_and_it_is_asked_once(
    host: Host, clock: FakeClock, signer: Signer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def away(_: object, grant: str, *, when: str) -> None:
        asked.append(when)
        raise Unsafe("the system bus does not answer")

    monkeypatch.setattr(units, "start_footprint", away)
    for grant in IDS:
        applying.apply(host, signer.grant(grant=grant))
    clock.pass_s(3600)
    ending.tick(host)
    assert asked == ["before"] * 5 + ["after"]
    assert {entry.state for entry in host.ledger.entries.values()} == {"ended"}
    assert "does not answer" in capsys.readouterr().err


def test_an_extension_that_fails_late_keeps_the_older_revision_with_its_timer(
    host: Host, scopes: FakeScopes, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = applying.apply(host, signer.grant())
    scopes.admit(old.scope, SESSION, 77)
    move = scopes.move

    def half(source: Scope, target: Scope) -> None:
        move(source, target)
        if source == old.scope:
            raise Unsafe("does not become empty")

    monkeypatch.setattr(scopes, "move", half)
    with pytest.raises(Unsafe):
        applying.apply(host, signer.grant(revision=2, not_after=NOW + 7200 * SECOND, remaining_s=7200))
    assert host.live() == [old]
    assert scopes.processes(old.scope) == [77]
    assert scopes.timers == {old.scope}


def test_an_extension_leaves_one_timer(host: Host, scopes: FakeScopes, signer: Signer) -> None:
    for revision in (1, 2, 3):
        entry = applying.apply(host, signer.grant(revision=revision))
    assert scopes.timers == {entry.scope}
    assert set(scopes.held) == {entry.scope}


def test_a_grant_can_be_shortened_too(host: Host, clock: FakeClock, signer: Signer) -> None:
    applying.apply(host, signer.grant())
    shorter = applying.apply(host, signer.grant(revision=2, not_after=NOW + 60 * SECOND, remaining_s=60))
    clock.pass_s(60)
    ending.tick(host)
    assert host.ledger.entries[IDS[0]].state == "ended"
    assert standing_rules(host.paths) == 0
    assert shorter.deadline == clock.boot


def test_a_scope_without_its_placeholder_is_mended_or_nothing_is_let_in(
    host: Host, scopes: FakeScopes, signer: Signer
) -> None:
    entry = applying.apply(host, signer.grant())
    scopes.maimed = {entry.scope}
    host.ensure_scope(entry)
    assert scopes.whole(entry.scope)
    scopes.maimed = scopes.forgotten = {entry.scope}
    with pytest.raises(Unsafe):
        host.ensure_scope(entry)


def test_a_restart_mends_a_scope_too(host: Host, scopes: FakeScopes, signer: Signer) -> None:
    entry = applying.apply(host, signer.grant())
    scopes.maimed = {entry.scope}
    reconciling.reconcile(host)
    assert scopes.whole(entry.scope)


@pytest.mark.parametrize("placeholder", [True, False])
def test_sudo_is_let_in_only_where_a_placeholder_keeps_the_scope_with_systemd(paths: Paths, placeholder: bool) -> None:
    scope = Scope(f"jit-{IDS[0]}.scope", "jit.slice")
    folder = paths.cgroup / "jit.slice" / scope.name
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").write_text("50\n")
    for pid, line in ((50, b"jit-placeholder\0infinity\0" if placeholder else b""), (60, b"sudo\0id\0")):
        (paths.proc / str(pid)).mkdir()
        (paths.proc / str(pid) / "cmdline").write_bytes(line)
        (paths.proc / str(pid) / "cgroup").write_text(f"0::/jit.slice/{scope.name}/{SESSION}\n")
    with contextlib.nullcontext() if placeholder else pytest.raises(Unsafe, match="run it again"):
        Scopes(paths).admit(scope, SESSION, 60)
    assert (folder / SESSION / "cgroup.procs").read_text() == "60\n"


ROW = "{number} {unit} {job} running\n"


@pytest.mark.parametrize(
    ("jobs", "stopping"),
    [
        ([("jit-enforcer.service", "stop")], True),
        ([("jit-enforcer-stop.service", "stop")], True),
        ([("other.service", "start"), ("jit-enforcer.service", "stop")], True),
        ([("jit-enforcer.service", "restart"), ("jit-enforcer-stop.service", "restart")], False),
        ([("other.service", "stop")], False),
        ([("jit-enforcer.service", "stop"), ("shutdown.target", "start")], False),
        ([], False),
        (None, True),
    ],
)
def test_grants_end_with_the_enforcer_only_where_it_is_stopped_for_good(
    monkeypatch: pytest.MonkeyPatch, jobs: list[tuple[str, str]] | None, stopping: bool
) -> None:
    def said(*_: str) -> bytes:
        if jobs is None:
            raise Unsafe("systemctl failed")
        return "".join(ROW.format(number=n, unit=unit, job=job) for n, (unit, job) in enumerate(jobs)).encode()

    # That everything was ended is the status of this run; nothing to do is 0.
    monkeypatch.setattr(programs, "run", said)
    monkeypatch.setattr(main, "_open", lambda: None)
    monkeypatch.setattr(main, "_end_all", lambda _: 42)
    assert main.main(["end-all"]) == (42 if stopping else 0)
