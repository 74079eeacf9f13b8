"""Grants that the enforcer finds when it starts, after its own end or the machine's (S1, S2), on real files."""

from collections.abc import Callable

import pytest

from jit_enforcer import applying, dropin, ending, reconciling
from jit_enforcer.errors import Denied, Replayed
from jit_enforcer.host import Host
from unit.enforcer.conftest import BOOT, NOW, SECOND, FakeClock, FakeScopes, Signer, proof, rules

ONE, TWO = "gnt-0000000000000001", "gnt-0000000000000002"
OTHER_BOOT = BOOT.replace("8", "9")


def test_a_restart_takes_up_what_lives_and_only_that(
    boot: Callable[..., Host], clock: FakeClock, scopes: FakeScopes, signer: Signer
) -> None:
    host = boot()
    entry = applying.apply(host, signer.grant())
    over = applying.apply(host, signer.grant(grant=TWO, uid=4002, user="bob", not_after=NOW + 60 * SECOND))
    clock.pass_s(60)
    dropin.remove(host.paths.dropins / ONE)
    (host.paths.dropins / "gnt-000000000000000z").write_text("bob ALL=ALL\n")
    (host.paths.dropins / "uid-4009").write_text("Defaults:#4009 !log_output\n")
    (host.paths.dropins / ".gnt-0000000000000003.new").write_text("half")
    (host.paths.markers / "carol").write_text("root\n")
    scopes.held[scopes.place("jit-gnt-000000000000000z.scope", 4009)] = {5}
    host = boot()
    reconciling.reconcile(host)
    assert {path.name for path in host.paths.dropins.iterdir()} == {ONE, "uid-4001"}
    assert {path.name for path in host.paths.markers.iterdir()} == {"alice"}
    assert set(scopes.held) == {entry.scope}
    assert proof(host, over.grant.grant)["reason"] == "expired"


def test_a_restart_finishes_an_end_that_was_under_way(
    boot: Callable[..., Host], scopes: FakeScopes, signer: Signer
) -> None:
    host = boot()
    entry = applying.apply(host, signer.grant())
    scopes.immortal = True
    ending.end(host, [entry], "revoked")
    scopes.immortal = False
    host = boot()
    reconciling.reconcile(host)
    assert proof(host, ONE)["reason"] == "revoked"
    assert (rules(host.paths), scopes.held) == (set(), {})


def test_a_restart_gives_no_new_time(boot: Callable[..., Host], clock: FakeClock, signer: Signer) -> None:
    applying.apply(boot(), signer.grant())
    clock.pass_s(3000)
    clock.wall -= 3000 * SECOND
    host = boot()
    reconciling.reconcile(host)
    assert applying.apply(host, signer.grant()).deadline - clock.boot == 600 * SECOND


def test_a_reboot_ends_everything_until_the_server_signs_for_the_new_boot(
    boot: Callable[..., Host], scopes: FakeScopes, signer: Signer
) -> None:
    applying.apply(boot(), signer.grant())
    scopes.held.clear()
    host = boot(OTHER_BOOT)
    reconciling.reconcile(host)
    assert rules(host.paths) == set()
    assert proof(host, ONE)["reason"] == "rebooted"
    with pytest.raises(Denied):
        applying.apply(host, signer.grant())
    with pytest.raises(Replayed):
        applying.apply(host, signer.grant(boot=OTHER_BOOT))
    assert applying.apply(host, signer.grant(boot=OTHER_BOOT, revision=2)).scope.name == f"jit-{ONE}.scope"
    assert rules(host.paths) == {ONE, "uid-4001"}


def test_a_grant_that_cannot_be_taken_up_is_ended(boot: Callable[..., Host], signer: Signer) -> None:
    host = boot()
    applying.apply(host, signer.grant())
    host.paths.sudoers.write_text("root ALL=(ALL:ALL) ALL\n")
    dropin.remove(host.paths.dropins / ONE)
    host = boot()
    reconciling.reconcile(host)
    assert rules(host.paths) == set()
    assert host.ledger.entries[ONE].state == "ended"
