"""Runs of the program: once, in turn, killed half-way, too early, too late (SPEC 3.6)."""

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jit_footprint import looking, main, walking
from jit_footprint.looking import Host
from jit_footprint.snapshot import Snapshot
from jit_footprint.store import Store
from unit.footprint.conftest import GRANT, OTHER, World

SUDOERS = ("/etc/sudoers.d/backdoor", "sudoers", "added")


class Killed(BaseException):
    """What a kill leaves behind: nothing more is done."""


def killed(*_: object) -> None:
    raise Killed


def names(world: World) -> set[str]:
    return {path.name for path in world.folder.iterdir()}


def test_the_baseline_is_taken_once_and_gone_when_it_has_been_compared(world: World) -> None:
    world.before()
    taken = (world.folder / f"{GRANT}.before").read_bytes()
    world.write(SUDOERS[0])
    world.before()
    assert (world.folder / f"{GRANT}.before").read_bytes() == taken
    assert world.changes() == {SUDOERS}
    assert names(world) == {"all.lock", "key", "latest", f"{GRANT}.json"}


def test_who_may_read_what(world: World) -> None:
    world.before()
    assert (world.folder / f"{GRANT}.before").stat().st_mode & 0o777 == 0o600
    world.after()
    assert {name: (world.folder / name).stat().st_mode & 0o777 for name in names(world)} == {
        "all.lock": 0o600,
        "key": 0o600,
        "latest": 0o600,
        f"{GRANT}.json": 0o640,
    }


def test_the_comparison_is_made_once(world: World) -> None:
    world.before()
    first = world.after()
    world.write(SUDOERS[0])
    assert world.after() == first


def test_a_grant_that_lives_on_after_a_reboot_is_looked_at_again(world: World) -> None:
    """SPEC 5.2: it ends with the boot, and is signed anew, under the same id, for the next."""
    world.before()
    world.write(SUDOERS[0])
    assert world.changes() == {SUDOERS}
    world.tick()
    world.before()
    world.write("/etc/cron.d/me")
    assert world.changes() == {("/etc/cron.d/me", "cron", "added")}


def test_a_clock_set_back_meanwhile_makes_no_nonsense_of_the_times(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.before()
    monkeypatch.setattr(looking, "wall_time_us", lambda: 1)
    world.write(SUDOERS[0])
    found = world.after()
    assert found["before_at"] == found["after_at"]
    assert world.changes() == {SUDOERS}


def test_what_is_done_before_the_baseline_is_taken_is_not_lost(world: World) -> None:
    """The person can be at work before the first look is over; the time of the rule decides."""
    world.write("/etc/cron.d/older")
    world.write("/etc/sudoers.d/restriction")
    world.rule()
    world.write(SUDOERS[0])
    world.write("/home/alice/.ssh/authorized_keys", "ssh-ed25519 BBBB\n")
    world.at("/etc/sudoers").chmod(0o444)
    world.write("/usr/bin/ls", mode=0o4755)
    world.before()
    assert world.changes() == {
        (SUDOERS[0], "sudoers", "changed"),
        ("/etc/sudoers", "sudoers", "changed"),
        ("/home/alice/.ssh/authorized_keys", "keys", "changed"),
        ("/usr/bin/ls", "setuid", "changed"),
    }


def test_what_everybody_does_in_these_folders_all_day_is_nothing_of_the_grants(world: World) -> None:
    world.at("/run/systemd/transient").mkdir(parents=True)
    world.rule()
    world.write("/home/alice/.ssh/known_hosts")
    world.write("/run/systemd/transient/session-7.scope")
    world.write("/var/tmp/notes")
    world.before()
    assert world.after()["changes"] == []


def test_a_file_removed_before_the_baseline_is_taken_shows_in_its_folder(world: World) -> None:
    world.write("/etc/sudoers.d/restriction")
    world.rule()
    world.at("/etc/sudoers.d/restriction").unlink()
    world.before()
    assert world.changes() == {("/etc/sudoers.d", "sudoers", "changed")}


def test_a_run_that_is_killed_in_the_walk_leaves_what_it_had_and_judges_the_rest_by_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.rule()
    with monkeypatch.context() as mortal, pytest.raises(Killed):
        mortal.setattr(walking.Walk, "walk", killed)
        world.before()
    world.tick()
    world.write(SUDOERS[0])
    world.write("/var/tmp/sh", mode=0o4755)
    assert world.changes() == {SUDOERS, ("/var/tmp/sh", "setuid", "changed")}
    assert world.after()["truncated"] is True


def test_a_run_that_was_killed_is_completed_by_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as mortal, pytest.raises(Killed):
        mortal.setattr(walking.Walk, "walk", killed)
        world.before()
    world.tick()
    world.write(SUDOERS[0])
    world.before()
    world.write("/var/tmp/sh", mode=0o4755)
    assert world.changes() == {SUDOERS, ("/var/tmp/sh", "setuid", "added")}
    assert world.after()["truncated"] is False


def test_a_run_that_is_killed_at_once_leaves_the_time_of_the_grant(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.rule()
    world.write(SUDOERS[0])
    with monkeypatch.context() as mortal, pytest.raises(Killed):
        mortal.setattr(looking, "look", killed)
        world.before()
    found = world.after()
    assert found["changes"] == [
        {"path": "/etc/sudoers.d", "kind": "sudoers", "what": "changed"},
        {"path": SUDOERS[0], "kind": "sudoers", "what": "changed"},
    ]
    assert (found["before_at"], found["truncated"]) == (0, True)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b'{"format": 1, "grant": "gnt-0000000000000001", "began": 1e999}']
)
def test_without_a_baseline_nothing_is_claimed(world: World, damage: bytes) -> None:
    world.before()
    (world.folder / f"{GRANT}.before").write_bytes(damage)
    world.write(SUDOERS[0])
    found = world.after()
    assert (found["before_at"], found["changes"], found["truncated"]) == (0, [], True)


def test_another_key_makes_an_older_baseline_useless_instead_of_everything_changed(world: World) -> None:
    world.rule()
    world.tick()
    world.before()
    (world.folder / "key").write_bytes(b"short")
    world.tick()
    world.write(SUDOERS[0])
    found = world.after()
    assert [c["path"] for c in found["changes"]] == ["/etc/sudoers.d", SUDOERS[0]]  # type: ignore[attr-defined]
    assert found["truncated"] is True


def test_two_grants_at_the_same_time_both_tell_what_was_done_meanwhile(world: World) -> None:
    world.before()
    world.write(SUDOERS[0])
    world.tick()
    world.before(OTHER)
    world.write("/etc/cron.d/me")
    assert world.changes() == {SUDOERS, ("/etc/cron.d/me", "cron", "added")}
    assert world.changes(OTHER) == {("/etc/cron.d/me", "cron", "added")}


def test_who_waited_takes_the_look_that_was_taken_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty grants that start together cost two looks, not fifty."""
    looks = list[int]()
    look = looking.look

    def counting(host: Host, key: bytes) -> Snapshot:
        looks.append(looking.boot_time_us())
        return look(host, key)

    monkeypatch.setattr(looking, "look", counting)
    grants = [f"gnt-00000000000000{number}" for number in range(10, 20)]
    runs = [threading.Thread(target=world.before, args=(grant,)) for grant in grants]
    with world.store.alone():
        for run in runs:
            run.start()
        # All are there and wait: each has left its first word.
        while not {f"{grant}.before" for grant in grants} <= names(world):
            time.sleep(0.001)
    for run in runs:
        run.join()
    assert len(looks) == 1
    world.write(SUDOERS[0])
    assert all(world.changes(grant) == {SUDOERS} for grant in grants)


def test_a_look_that_began_before_one_was_asked_is_not_taken(world: World) -> None:
    world.before()
    world.write(SUDOERS[0])
    assert world.changes() == {SUDOERS}
    stale = world.store.latest()
    assert stale is not None
    world.before(OTHER)
    world.store.save_latest(replace(stale, boot="another boot", boot_us=2**62))
    world.write("/etc/cron.d/me")
    assert world.changes(OTHER) == {("/etc/cron.d/me", "cron", "added")}


def test_the_end_waits_for_a_baseline_that_is_still_being_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    walking_now, go_on = threading.Event(), threading.Event()
    walk = walking.Walk.walk

    def held(self: walking.Walk) -> None:
        walking_now.set()
        go_on.wait(20)
        walk(self)

    monkeypatch.setattr(walking.Walk, "walk", held)
    first = threading.Thread(target=world.before)
    first.start()
    walking_now.wait(20)
    second = threading.Thread(target=world.after)
    second.start()
    second.join(0.05)
    assert second.is_alive()
    go_on.set()
    first.join()
    second.join()
    assert world.after()["truncated"] is False
    assert world.after()["before_at"] != 0


def test_old_files_go(world: World) -> None:
    ages = {
        "gnt-000000000000000a.json": 31,
        "gnt-000000000000000b.json": 29,
        "gnt-000000000000000a.before": 31,
        "gnt-000000000000000b.before": 400,
        ".gnt-000000000000000c.json.new": 2,
        "all.lock": 400,
        "key": 400,
    }
    world.before()
    for name, days in ages.items():
        file = world.folder / name
        file.touch()
        os.utime(file, (time.time() - days * 86_400,) * 2)
    world.after()
    assert names(world) & ages.keys() == {"gnt-000000000000000b.json", "gnt-000000000000000a.before", "all.lock", "key"}


def test_a_folder_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(OSError, match="nobody else may write"):
        Store(tmp_path)
    tmp_path.chmod(0o750)
    Store(tmp_path)


def test_a_planted_link_is_not_followed(world: World, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (f".{GRANT}.before.new", f".{GRANT}.json.new", ".latest.new"):
        (world.folder / name).symlink_to(victim)
    world.before()
    world.after()
    assert victim.read_text() == "precious"


def test_what_the_agent_reads_is_what_the_contract_says(world: World) -> None:
    """SPEC 3.6."""
    world.before()
    world.write(SUDOERS[0])
    found = world.after()
    assert set(found) == {"grant", "before_at", "after_at", "changes", "truncated"}
    assert found["grant"] == GRANT
    assert json.dumps(found["changes"]) == ('[{"path": "/etc/sudoers.d/backdoor", "kind": "sudoers", "what": "added"}]')
    before_at, after_at = found["before_at"], found["after_at"]
    assert isinstance(before_at, int)
    assert isinstance(after_at, int)
    assert 0 < before_at < after_at < time.time_ns() // 1000


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["before"],
        ["before", GRANT],
        ["before-gnt-000000000000000"],
        ["before-gnt-000000000000000u"],
        ["before-gnt-../../../../etc/x"],
        [f"during-{GRANT}"],
        [f"before-{GRANT}\n"],
        [f"before-{GRANT}", "x"],
        ["before-gnt-٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠"],
    ],
)
def test_words_that_name_no_run_are_refused_in_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
