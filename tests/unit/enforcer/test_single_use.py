"""Grants for one command or for one login session (SPEC 2.2, S1, S7)."""

import errno
from collections.abc import Callable
from typing import Any

import pytest

from jit_enforcer import applying, commands, ending, reconciling
from jit_enforcer.errors import NotAdmitted, Unsafe
from jit_enforcer.host import Host
from unit.enforcer.conftest import NOW, SECOND, AtTheGate, FakeClock, FakeScopes, Signer

ONE, TWO = "gnt-0000000000000001", "gnt-0000000000000002"


def shown(host: Host) -> dict[str, Any]:
    act = commands.parse(b'{"op": "status"}')
    assert act is not None
    (live,) = act(host)["live"]
    return {name: live[name] for name in ("until", "once", "used", "session")}


def test_a_single_use_grant_lets_one_sudo_in_and_ends_with_it(
    host: Host, clock: FakeClock, scopes: FakeScopes, signer: Signer, at_the_gate: AtTheGate
) -> None:
    applying.apply(host, signer.grant(once=True))
    assert shown(host) == {"until": NOW + 3600 * SECOND, "once": True, "used": False, "session": 0}
    assert at_the_gate("sudo id") == ONE
    assert shown(host)["used"]
    with pytest.raises(NotAdmitted, match="one command"):
        at_the_gate("sudo id")
    clock.pass_s(60)
    ending.end_used(host)
    assert host.ledger.entries[ONE].state == "live"
    assert 0 < ending.wait_s(host) <= 0.5
    at_the_gate.leave(scopes)
    ending.end_used(host)
    ended = host.ledger.entries[ONE]
    assert ended.proof is not None
    assert (ended.state, ended.proof["reason"], ended.proof["killed"]) == ("ended", "used", 0)
    assert not (host.paths.dropins / ONE).stat().st_size


def test_a_grant_for_any_number_of_commands_lives_on_when_nothing_runs(
    host: Host, scopes: FakeScopes, signer: Signer, at_the_gate: AtTheGate
) -> None:
    applying.apply(host, signer.grant())
    for _ in range(2):
        assert at_the_gate("sudo id") == ONE
        at_the_gate.leave(scopes)
        ending.end_used(host)
    assert not shown(host)["used"]


def test_that_a_grant_is_used_outlives_the_enforcer(
    boot: Callable[..., Host], host: Host, signer: Signer, at_the_gate: AtTheGate
) -> None:
    applying.apply(host, signer.grant(once=True))
    at_the_gate("sudo id")
    again = boot()
    reconciling.reconcile(again)
    assert again.ledger.entries[ONE].used
    with pytest.raises(NotAdmitted):
        AtTheGate(again)("sudo id")


def test_a_use_that_cannot_be_written_down_is_refused_and_any_other_sudo_needs_no_disk(
    host: Host, signer: Signer, at_the_gate: AtTheGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    applying.apply(host, signer.grant(once=True, run_as_user="postgres"))
    applying.apply(host, signer.grant(grant=TWO))

    def no_room(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("os.fsync", no_room)
        with pytest.raises(Unsafe):
            at_the_gate("sudo -u postgres id")
        assert at_the_gate("sudo id") == TWO
    assert host.ledger.entries[TWO].sessions == (7,)
    assert at_the_gate("sudo -u postgres id") == ONE


def test_an_extension_does_not_give_a_used_grant_back(
    host: Host, scopes: FakeScopes, signer: Signer, at_the_gate: AtTheGate
) -> None:
    applying.apply(host, signer.grant(once=True))
    at_the_gate("sudo sleep 1000")
    entry = applying.apply(host, signer.grant(once=True, revision=2, not_after=NOW + 7200 * SECOND, remaining_s=7200))
    assert scopes.processes(entry.scope) == [100]
    with pytest.raises(NotAdmitted, match="one command"):
        at_the_gate("sudo id")


def test_a_single_use_grant_is_not_spent_where_another_covers_the_command(
    host: Host, signer: Signer, at_the_gate: AtTheGate
) -> None:
    applying.apply(host, signer.grant(once=True))
    applying.apply(host, signer.grant(grant=TWO, not_after=NOW + 60 * SECOND))
    assert at_the_gate("sudo id") == TWO
    assert not host.ledger.entries[ONE].used


def test_a_grant_for_one_session_lets_no_other_in(host: Host, signer: Signer, at_the_gate: AtTheGate) -> None:
    applying.apply(host, signer.grant(session=7))
    assert shown(host)["session"] == 7
    for other in (8, 2**32 - 1):
        with pytest.raises(NotAdmitted, match="another login session"):
            at_the_gate("sudo id", session=other)
    assert at_the_gate("sudo id", session=7) == ONE


def test_where_a_grant_is_for_another_session_one_for_any_covers(
    host: Host, signer: Signer, at_the_gate: AtTheGate
) -> None:
    applying.apply(host, signer.grant(session=7, record="input"))
    applying.apply(host, signer.grant(grant=TWO))
    assert at_the_gate("sudo id", session=8) == TWO
    assert at_the_gate("sudo id", session=7) == ONE


@pytest.mark.parametrize("changes", [{"once": True}, {"session": 8}])
def test_what_a_grant_shut_to_it_allows_never_passes_as_the_hosts_own(
    host: Host, signer: Signer, at_the_gate: AtTheGate, changes: dict[str, Any]
) -> None:
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    applying.apply(host, signer.grant(commands=[{"path": "/usr/bin/id", "args": None, "sha256": ""}], **changes))
    if "once" in changes:
        assert at_the_gate("sudo id") == ONE
    with pytest.raises(NotAdmitted):
        at_the_gate("sudo id")
    assert at_the_gate("sudo who") is None


def test_nothing_starts_in_the_seconds_in_which_programs_are_ended(
    host: Host, clock: FakeClock, signer: Signer, at_the_gate: AtTheGate
) -> None:
    applying.apply(host, signer.grant())
    clock.pass_s(3597.4)
    assert at_the_gate("sudo id") == ONE
    clock.pass_s(0.1)
    with pytest.raises(NotAdmitted, match="about to end"):
        at_the_gate("sudo id")


@pytest.mark.parametrize("changes", [{"once": True}, {"session": 7}])
def test_a_grant_that_does_not_let_every_sudo_in_leaves_no_marker(
    host: Host, signer: Signer, changes: dict[str, Any]
) -> None:
    applying.apply(host, signer.grant(**changes))
    assert list(host.paths.markers.iterdir()) == []


def test_the_sessions_a_grant_was_used_from_go_to_the_one_that_outlives_it(
    host: Host, signer: Signer, at_the_gate: AtTheGate
) -> None:
    applying.apply(host, signer.grant())
    at_the_gate("sudo id", session=7)
    at_the_gate("sudo id", session=8)
    other = applying.apply(host, signer.grant(grant=TWO, run_as_user="postgres"))
    ending.end(host, [host.ledger.entries[ONE]], "dropped")
    assert host.ledger.entries[TWO].sessions == (7, 8)
    assert other.sessions == ()
