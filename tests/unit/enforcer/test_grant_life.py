"""A grant from its bytes to its proof, on real files with real visudo and cvtsudoers (S1–S6, REVIEW 2, 3, 5)."""

from collections.abc import Callable
from typing import Any

import pytest

from jit_enforcer import applying, ceiling, dropin, ending, tickets
from jit_enforcer.errors import Denied, Expired, Replayed, Unsafe, Unsuitable, WrongUser
from jit_enforcer.host import Host
from jit_enforcer.paths import Paths
from unit.enforcer.conftest import BOOT, NOW, SECOND, SESSION, FakeClock, FakeScopes, Person, Signer, proof, rules

ONE, TWO = "gnt-0000000000000001", "gnt-0000000000000002"
OTHER_BOOT = BOOT.replace("8", "9")


def marker(paths: Paths, name: str = "alice") -> str | None:
    path = paths.markers / name
    return path.read_text() if path.exists() else None


def test_a_grant_in_force_has_rule_defaults_marker_and_scope(host: Host, scopes: FakeScopes, signer: Signer) -> None:
    entry = applying.apply(host, signer.grant())
    assert rules(host.paths) == {ONE, "uid-4001"}
    assert marker(host.paths) == "root\n"
    assert scopes.exists(entry.scope)
    assert host.paths.session_env.read_text() == "XDG_SESSION_CLASS=none\n"


def test_applying_twice_is_harmless_and_mends_what_was_lost(host: Host, scopes: FakeScopes, signer: Signer) -> None:
    envelope = signer.grant()
    entry = applying.apply(host, envelope)
    dropin.remove(host.paths.dropins / ONE)
    scopes.held.clear()
    assert applying.apply(host, envelope) == entry
    assert rules(host.paths) == {ONE, "uid-4001"}
    assert scopes.exists(entry.scope)


def test_a_grant_ends_at_its_end_with_proof(host: Host, clock: FakeClock, scopes: FakeScopes, signer: Signer) -> None:
    entry = applying.apply(host, signer.grant())
    scopes.admit(entry.scope, SESSION, 77)
    clock.pass_s(3599.999)
    ending.tick(host)
    assert rules(host.paths) == {ONE, "uid-4001"}
    clock.pass_s(0.002)
    ending.tick(host)
    assert rules(host.paths) == set()
    assert marker(host.paths) is None
    assert not scopes.exists(entry.scope)
    assert proof(host, ONE) == {
        "grant": ONE,
        "revision": 1,
        "reason": "expired",
        "ended_at": clock.wall,
        "late_us": 1000,
        "killed": 1,
        "scope_empty": True,
        "rule_removed": True,
        "leftovers": [],
    }


@pytest.mark.parametrize("step_s", [-86400, 0, 30])
def test_setting_the_wall_clock_gains_no_time(host: Host, clock: FakeClock, signer: Signer, step_s: int) -> None:
    applying.apply(host, signer.grant())
    clock.wall += step_s * SECOND
    clock.pass_s(3600)
    ending.tick(host)
    assert rules(host.paths) == set()
    assert proof(host, ONE)["reason"] == "expired"


def test_a_wall_clock_set_past_the_end_ends_it_at_once(host: Host, clock: FakeClock, signer: Signer) -> None:
    applying.apply(host, signer.grant())
    clock.wall += 3600 * SECOND
    assert ending.wait_s(host) == 0
    ending.tick(host)
    assert rules(host.paths) == set()


def test_a_grant_of_a_year_does_not_let_the_loop_sleep_longer_than_a_minute(host: Host, signer: Signer) -> None:
    host.paths.ceiling.write_text("max_duration_s = 32000000")
    applying.apply(host, signer.grant(not_after=NOW + 31_536_000 * SECOND, remaining_s=31_536_000))
    assert ending.wait_s(host) == 60


def test_the_end_of_one_takes_nothing_from_another(
    host: Host, clock: FakeClock, scopes: FakeScopes, signer: Signer
) -> None:
    entry = applying.apply(host, signer.grant())
    other = applying.apply(host, signer.grant(grant=TWO, run_as_user="postgres", not_after=NOW + 600 * SECOND))
    bobs = applying.apply(host, signer.grant(grant="gnt-0000000000000003", uid=4002, user="bob"))
    assert marker(host.paths) == "postgres\nroot\n"
    clock.pass_s(600)
    ending.tick(host)
    assert rules(host.paths) == {ONE, "uid-4001", bobs.grant.grant, "uid-4002"}
    assert (marker(host.paths), marker(host.paths, "bob")) == ("root\n", "root\n")
    assert scopes.exists(entry.scope)
    assert scopes.exists(bobs.scope)
    assert not scopes.exists(other.scope)


@pytest.mark.parametrize("full", [False, True])
def test_what_the_end_of_one_leaves_alone_the_end_of_the_next_looks_for(
    boot: Callable[..., Host], clock: FakeClock, signer: Signer, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    host = boot()
    first = applying.apply(host, signer.grant())
    clock.pass_s(60)
    applying.apply(host, signer.grant(grant=TWO))

    def no_room(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        if full:
            disk.setattr("os.fsync", no_room)
        ending.end(host, [first], "dropped")
    assert host.ledger.entries[TWO].since == first.since
    assert {entry.grant.grant for entry in boot().live()} == {TWO}


@pytest.mark.parametrize(
    ("less", "more", "changes"),
    [
        ("!log_output", "log_output", {"record": "output"}),
        ("!log_input", "log_input", {"record": "input"}),
        ("!log_subcmds", "log_subcmds", {"subcommands": True}),
        ("log_server_timeout=10", "log_server_timeout=300", {"watch_s": 60}),
    ],
)
def test_while_one_of_several_records_more_all_do(
    host: Host, clock: FakeClock, signer: Signer, less: str, more: str, changes: dict[str, Any]
) -> None:
    def words() -> set[str]:
        (line,) = (host.paths.dropins / "uid-4001").read_text().splitlines()
        return set(line.removeprefix("Defaults:#4001 ").split(", "))

    applying.apply(host, signer.grant(record="events"))
    before = words()
    assert less in before
    applying.apply(host, signer.grant(grant=TWO, not_after=NOW + 600 * SECOND, **changes))
    assert more in words()
    assert less not in words()
    clock.pass_s(600)
    ending.tick(host)
    assert words() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"commands": [{"path": "/usr/bin/id", "args": None, "sha256": ""}]},
        {"run_as_group": "adm"},
    ],
)
def test_only_a_grant_of_everything_leaves_a_marker(host: Host, signer: Signer, changes: dict[str, Any]) -> None:
    applying.apply(host, signer.grant(**changes))
    assert marker(host.paths) is None


def test_a_name_that_is_no_safe_file_name_leaves_no_marker(host: Host, people: list[Person], signer: Signer) -> None:
    people.append(Person("../../evil", 4003))
    applying.apply(host, signer.grant(uid=4003, user="../../evil"))
    assert list(host.paths.markers.iterdir()) == []
    assert rules(host.paths) == {ONE, "uid-4003"}


def test_a_higher_revision_replaces_and_takes_the_processes_over(
    host: Host, clock: FakeClock, scopes: FakeScopes, signer: Signer
) -> None:
    old = applying.apply(host, signer.grant())
    scopes.admit(old.scope, SESSION, 77)
    clock.pass_s(3000)
    new = applying.apply(host, signer.grant(revision=2, not_after=NOW + 7200 * SECOND, remaining_s=4200))
    assert new.scope != old.scope
    assert (scopes.processes(new.scope), scopes.exists(old.scope)) == ([77], False)
    clock.pass_s(4199)
    ending.tick(host)
    assert rules(host.paths) == {ONE, "uid-4001"}
    clock.pass_s(1)
    ending.tick(host)
    assert rules(host.paths) == set()
    assert proof(host, ONE)["revision"] == 2


def test_a_replacement_that_fails_leaves_the_older_revision_in_force(
    host: Host, scopes: FakeScopes, signer: Signer
) -> None:
    old = applying.apply(host, signer.grant())
    before = (host.paths.dropins / ONE).read_text()
    scopes.broken = True
    with pytest.raises(Unsafe):
        applying.apply(host, signer.grant(revision=2, not_after=NOW + 7200 * SECOND, remaining_s=7200))
    assert host.ledger.entries == {ONE: old}
    assert (host.paths.dropins / ONE).read_text() == before


@pytest.mark.parametrize("revision", [1, 2, 3])
def test_after_its_end_no_revision_comes_back(host: Host, signer: Signer, revision: int) -> None:
    entry = applying.apply(host, signer.grant(revision=2))
    ending.end(host, [entry], "revoked")
    with pytest.raises(Replayed):
        applying.apply(host, signer.grant(revision=revision))
    assert rules(host.paths) == set()


def test_an_older_revision_and_other_terms_under_the_same_are_refused(host: Host, signer: Signer) -> None:
    applying.apply(host, signer.grant(revision=2))
    for changes in ({"revision": 1}, {"revision": 2, "shell": True}):
        with pytest.raises(Replayed):
            applying.apply(host, signer.grant(**changes))
    with pytest.raises(WrongUser):
        applying.apply(host, signer.grant(revision=3, uid=4002, user="bob"))
    assert rules(host.paths) == {ONE, "uid-4001"}


@pytest.mark.parametrize(
    ("uid", "user"), [(4001, "bob"), (4002, "alice"), (4009, "alice"), (4001, "nobody-here"), (4001, "#4001")]
)
def test_uid_and_name_must_be_one_person(host: Host, signer: Signer, uid: int, user: str) -> None:
    with pytest.raises(WrongUser):
        applying.apply(host, signer.grant(uid=uid, user=user))
    assert (rules(host.paths), host.ledger.entries) == (set(), {})


def test_a_uid_with_two_names_gets_nothing(host: Host, people: list[Person], signer: Signer) -> None:
    people.append(Person("alias", 4001))
    with pytest.raises(WrongUser):
        applying.apply(host, signer.grant())


@pytest.mark.parametrize("changes", [{"run_as_user": "nobody-here"}, {"run_as_user": "#0"}, {"run_as_group": "#4"}])
def test_a_run_as_that_is_no_account_is_refused(host: Host, signer: Signer, changes: dict[str, str]) -> None:
    with pytest.raises(Unsafe):
        applying.apply(host, signer.grant(**changes))
    assert (rules(host.paths), host.ledger.entries) == (set(), {})


def test_root_by_another_name_is_refused(host: Host, people: list[Person], signer: Signer) -> None:
    """The policy, its approvers and its lint speak of root by that name only."""
    people.append(Person("toor", 0))
    with pytest.raises(Unsafe, match="'toor' is root by another name"):
        applying.apply(host, signer.grant(run_as_user="toor"))
    applying.apply(host, signer.grant())


def test_a_time_that_is_over_or_too_short_is_refused(host: Host, signer: Signer) -> None:
    for changes in ({"not_after": NOW + SECOND}, {"remaining_s": 1}):
        with pytest.raises(Expired):
            applying.apply(host, signer.grant(**changes))
    assert (rules(host.paths), host.ledger.entries) == (set(), {})


def test_a_grant_that_cannot_be_put_in_force_leaves_no_trace_and_may_be_tried_again(
    host: Host, scopes: FakeScopes, signer: Signer
) -> None:
    scopes.broken = True
    with pytest.raises(Unsafe):
        applying.apply(host, signer.grant())
    assert (rules(host.paths), marker(host.paths), host.ledger.entries) == (set(), None, {})
    assert list(host.paths.ledger.iterdir()) == []
    scopes.broken = False
    applying.apply(host, signer.grant())
    assert rules(host.paths) == {ONE, "uid-4001"}


def test_sudoers_that_would_override_us_refuse_the_grant(host: Host, signer: Signer) -> None:
    good = host.paths.sudoers.read_text()
    for bad in (good + "Defaults ignore_logfile_errors\n", "root ALL=(ALL:ALL) ALL\n"):
        host.paths.sudoers.write_text(bad)
        with pytest.raises(Unsuitable):
            applying.apply(host, signer.grant())
        assert rules(host.paths) == set()
    host.paths.sudoers.write_text(good)
    applying.apply(host, signer.grant())


def test_an_end_goes_on_until_the_proof_holds(host: Host, clock: FakeClock, scopes: FakeScopes, signer: Signer) -> None:
    applying.apply(host, signer.grant())
    scopes.immortal = True
    clock.pass_s(3600)
    ending.tick(host)
    assert rules(host.paths) == set()
    assert host.ledger.entries[ONE].proof is None
    assert 0 < ending.wait_s(host) <= 0.1
    clock.pass_s(2)
    scopes.immortal = False
    ending.tick(host)
    assert proof(host, ONE)["late_us"] == 2 * SECOND


def test_rights_go_without_room_on_any_disk(
    host: Host, clock: FakeClock, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    applying.apply(host, signer.grant())

    def no_room(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("os.fsync", no_room)
        clock.pass_s(3600)
        ending.tick(host)
        assert rules(host.paths) == set()
        assert proof(host, ONE)["reason"] == "expired"


def test_the_first_reason_stays(host: Host, scopes: FakeScopes, signer: Signer) -> None:
    entry = applying.apply(host, signer.grant())
    scopes.immortal = True
    pending = ending.end(host, [entry], "dropped")
    scopes.immortal = False
    assert ending.end(host, pending, "revoked")[0].proof == proof(host, ONE)
    assert proof(host, ONE)["reason"] == "dropped"


def test_tickets_go_by_name_and_by_uid_and_never_outside_their_folder(paths: Paths) -> None:
    paths.tickets.mkdir(parents=True)
    outside = paths.tickets.parent / "outside"
    for path in (paths.tickets / "alice", paths.tickets / "4001", paths.tickets / "bob", outside):
        path.touch()
    tickets.remove(paths, "alice", 4001)
    tickets.remove(paths, "../outside", 4002)
    assert {path.name for path in paths.tickets.iterdir()} == {"bob"}
    assert outside.exists()


def test_a_ceiling_lowered_later_binds_the_next_grant(host: Host, signer: Signer) -> None:
    applying.apply(host, signer.grant())
    host.paths.ceiling.write_text("max_duration_s = 60")
    with pytest.raises(Denied) as refusal:
        applying.apply(host, signer.grant(grant=TWO))
    assert refusal.value.code == "beyond_ceiling"
    assert ceiling.load(host.paths).max_duration_s == 60
