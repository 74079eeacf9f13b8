"""Files of sudo and of the ledger: whole or not there, and always removable (S1, S6)."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jit_enforcer import applying, dropin
from jit_enforcer.errors import Unsafe
from jit_enforcer.host import Host
from jit_enforcer.ledger import Ledger
from jit_enforcer.paths import Paths
from unit.enforcer.conftest import Signer


def no_room(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def everything(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_a_file_is_written_for_its_readers_only(paths: Paths) -> None:
    final = paths.dropins / "gnt-1"
    dropin.install(paths, final, "rule\n", mode=0o440)
    assert everything(paths.dropins) == {"gnt-1": "rule\n"}
    assert final.stat().st_mode & 0o777 == 0o440


@pytest.mark.parametrize("call", ["os.fsync", "os.fchmod", "pathlib.Path.rename"])
@pytest.mark.parametrize("before", [{}, {"gnt-1": "former\n"}])
def test_a_failing_disk_leaves_what_was_there(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, call: str, before: dict[str, str]
) -> None:
    for name, text in before.items():
        dropin.install(paths, paths.dropins / name, text, mode=0o440)
    with monkeypatch.context() as broken:
        broken.setattr(call, no_room)
        with pytest.raises(Unsafe):
            dropin.install(paths, paths.dropins / "gnt-1", "rule\n", mode=0o440)
    assert everything(paths.dropins) == before


def test_until_it_is_whole_sudo_cannot_read_it(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr("os.fsync", lambda _: seen.extend(everything(paths.dropins)))
    dropin.install(paths, paths.dropins / "gnt-1", "rule\n", mode=0o440)
    draft, *_ = seen
    assert "." in draft  # sudoers(5), "includedir": names with a dot are skipped


def test_a_planted_link_is_not_followed(paths: Paths, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (paths.dropins / ".gnt-1.new").symlink_to(victim)
    (paths.dropins / ".gnt-1.end").symlink_to(victim)
    dropin.install(paths, paths.dropins / "gnt-1", "rule\n", mode=0o440)
    dropin.remove(paths.dropins / "gnt-1")
    assert victim.read_text() == "precious"
    assert dropin.gone(paths.dropins / "gnt-1")


@pytest.mark.parametrize("folder", ["run/jit/sudoers.d", "run/jit", "run"])
def test_nothing_is_written_below_a_folder_that_others_may_write(paths: Paths, folder: str) -> None:
    final = paths.dropins / "gnt-1"
    dropin.install(paths, final, "rule\n", mode=0o440)
    (paths.root / folder).chmod(0o777)
    with pytest.raises(Unsafe):
        dropin.install(paths, final, "other\n", mode=0o440)
    dropin.remove(final)
    assert dropin.gone(final)


def test_a_folder_that_is_a_link_is_not_used(paths: Paths) -> None:
    paths.dropins.rmdir()
    (paths.run / "elsewhere").mkdir()
    paths.dropins.symlink_to("elsewhere")
    with pytest.raises(Unsafe):
        dropin.install(paths, paths.dropins / "gnt-1", "rule\n", mode=0o440)


def test_removal_needs_no_room_and_is_harmless_twice(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    final = paths.dropins / "gnt-1"
    dropin.install(paths, final, "rule\n", mode=0o440)
    monkeypatch.setattr("os.open", no_room)
    dropin.remove(final)
    dropin.remove(final)
    assert dropin.gone(final)


def test_what_is_left_of_a_removed_rule_keeps_the_mode_that_visudo_wants(paths: Paths) -> None:
    """visudo -c is what an administrator and the package's installation ask whether sudoers is in order."""
    final = paths.dropins / "gnt-1"
    dropin.install(paths, final, "rule\n", mode=0o440)
    dropin.remove(final)
    assert (final.stat().st_size, final.stat().st_mode & 0o777) == (0, 0o440)


def test_a_removed_file_is_emptied_first_and_unlinked_by_a_later_sweep(paths: Paths) -> None:
    for name in ("gnt-1", "gnt-2"):
        dropin.install(paths, paths.dropins / name, "rule\n", mode=0o440)
    dropin.remove(paths.dropins / "gnt-1")
    now = (paths.dropins / "gnt-1").stat().st_ctime
    dropin.sweep(paths.dropins, older_than_s=60, now_s=now + 59)
    assert everything(paths.dropins) == {"gnt-1": "", "gnt-2": "rule\n"}
    dropin.sweep(paths.dropins, older_than_s=60, now_s=now + 61)
    assert everything(paths.dropins) == {"gnt-2": "rule\n"}


def test_the_ledger_remembers_across_a_restart(host: Host, signer: Signer) -> None:
    entry = applying.apply(host, signer.grant())
    host.ledger.save(replace(entry, standing=((5, 77),), proof={"late_us": 1}))
    found = Ledger(host.paths).entries
    assert found == {entry.grant.grant: replace(entry, standing=((5, 77),), proof={"late_us": 1})}


@pytest.mark.parametrize("call", ["os.fsync", "os.fchmod", "pathlib.Path.rename"])
def test_a_full_disk_refuses_new_promises_and_keeps_the_old(
    host: Host, signer: Signer, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    entry = applying.apply(host, signer.grant())
    with monkeypatch.context() as broken:
        broken.setattr(call, no_room)
        with pytest.raises(Unsafe):
            host.ledger.save(replace(entry, deadline=entry.deadline + 1))
    assert host.ledger.entries == Ledger(host.paths).entries == {entry.grant.grant: entry}
    assert os.listdir(host.paths.ledger) == [f"{entry.grant.grant}.json"]


def test_an_end_is_remembered_even_on_a_full_disk(host: Host, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = applying.apply(host, signer.grant())
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", no_room)
        host.ledger.save_end(replace(entry, state="ended", reason="revoked"))
    assert Ledger(host.paths).entries[entry.grant.grant].state != "live"


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"\xff", b'{"envelope": ""}'])
def test_a_damaged_entry_gives_no_right_and_cannot_be_replayed(
    boot: Callable[[], Host], signer: Signer, damage: bytes
) -> None:
    entry = applying.apply(boot(), signer.grant())
    host = boot()
    path = host.paths.ledger / f"{entry.grant.grant}.json"
    path.write_bytes(damage)
    (host.paths.ledger / "gnt-0000000000000009.new").write_text("half")
    ledger = Ledger(host.paths)
    assert (ledger.entries, ledger.spoilt) == ({}, {entry.grant.grant})
    assert os.listdir(host.paths.ledger) == [path.name]


def test_an_entry_under_another_name_is_not_believed(host: Host, signer: Signer) -> None:
    applying.apply(host, signer.grant())
    path = host.paths.ledger / "gnt-0000000000000001.json"
    path.rename(path.with_name("gnt-0000000000000002.json"))
    assert Ledger(host.paths).entries == {}
