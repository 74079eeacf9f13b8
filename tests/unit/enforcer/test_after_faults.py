"""What the fault table found once (tests/faults): small proofs that it stays mended."""

from collections.abc import Callable

import pytest

from jit_enforcer import applying, ending, reconciling
from jit_enforcer.errors import Unsafe
from jit_enforcer.host import Host
from jit_enforcer.rules import Rules
from unit.enforcer.conftest import NOW, SECOND, SESSION, FakeScopes, Signer

ONE = "gnt-0000000000000001"


def test_a_rule_that_cannot_be_taken_away_stays_behind_the_gate(
    host: Host, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S6: the person's Defaults are what leads their sudo to the gate; they go with the last rule, never before."""

    def stays(_: Rules, grant_id: str) -> None:
        raise Unsafe(f"cannot remove {grant_id}")

    entry = applying.apply(host, signer.grant())
    with monkeypatch.context() as broken:
        broken.setattr(Rules, "take", stays)
        assert ending.end(host, [entry], "revoked")[0].state == "ending"
        assert (host.paths.dropins / "uid-4001").stat().st_size > 0
    ending.tick(host)
    assert host.ledger.entries[ONE].state == "ended"
    assert (host.paths.dropins / "uid-4001").stat().st_size == 0


def test_a_crash_in_the_middle_of_an_extension_ends_no_program(
    boot: Callable[..., Host], scopes: FakeScopes, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REVIEW 5: the next start moves over what the extension had not."""
    host = boot()
    old = applying.apply(host, signer.grant())
    scopes.admit(old.scope, SESSION, 77)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    longer = signer.grant(revision=2, not_after=NOW + 7200 * SECOND, until=NOW + 7200 * SECOND, remaining_s=7200)
    with monkeypatch.context() as crashing, pytest.raises(KeyboardInterrupt):
        crashing.setattr(scopes, "move", crash)
        applying.apply(host, longer)
    host = boot()
    reconciling.reconcile(host)
    new = host.ledger.entries[ONE].scope
    assert new != old.scope
    assert 77 in scopes.held[new]
    assert old.scope not in scopes.held
