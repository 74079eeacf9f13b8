"""The model of the randomised run: at any instant it allows what may be, and nothing else."""

from __future__ import annotations

import pytest

from jit_testing.rights import LATE, RECONNECTING, REVOKED, SECOND, HostState, Right, Rights

END = 100 * SECOND


@pytest.fixture
def rights() -> Rights:
    return Rights({"web1": HostState(), "web2": HostState()})


def given(rights: Rights, *, person: str = "alice", everything: bool = True, grant: str = "gnt-1") -> Right:
    right = Right(person, "web1", "admin", everything, END, grant)
    rights.all.append(right)
    return right


def may(rights: Rights, at: int, *, person: str = "alice", host: str = "web1", everything: bool = True) -> bool:
    return rights.may_run(person, host, at, everything=everything)


def test_a_right_is_one_persons_on_one_host_until_its_end(rights: Rights) -> None:
    given(rights)
    assert may(rights, END - 1)
    assert not may(rights, END)
    assert not may(rights, 0, person="bob")
    assert not may(rights, 0, host="web2")


def test_a_role_of_one_command_allows_that_one(rights: Rights) -> None:
    given(rights, everything=False)
    assert may(rights, 0, everything=False)
    assert not may(rights, 0, everything=True)


def test_rights_add_up_and_the_end_of_one_takes_nothing_from_another(rights: Rights) -> None:
    given(rights).ends = SECOND
    given(rights, grant="gnt-2")
    assert may(rights, 2 * SECOND)


def test_a_revocation_has_two_seconds_unless_the_host_cannot_hear_of_it(rights: Rights) -> None:
    given(rights)
    rights.revoke(SECOND, person="alice")
    assert may(rights, SECOND + REVOKED - 1)
    assert not may(rights, SECOND + REVOKED)
    rights.hosts["web1"].cut = True
    assert may(rights, SECOND + REVOKED)
    rights.hosts["web1"].cut = False
    rights.fault("web1", 10 * SECOND)
    assert may(rights, 10 * SECOND + RECONNECTING - 1)
    assert not may(rights, 10 * SECOND + RECONNECTING)
    rights.settled()
    assert not may(rights, 10 * SECOND)


def test_nothing_excuses_a_right_after_its_end(rights: Rights) -> None:
    given(rights)
    rights.revoke(0, grant="gnt-1")
    rights.hosts["web1"].cut = True
    assert may(rights, END - 1)
    assert not may(rights, END)


def test_what_was_given_back_is_gone_at_once_and_only_that(rights: Rights) -> None:
    given(rights)
    given(rights, person="bob", grant="gnt-2")
    rights.drop(SECOND, {"gnt-1"})
    assert may(rights, SECOND - 1)
    assert not may(rights, SECOND)
    assert may(rights, SECOND, person="bob")


def test_without_the_enforcer_no_sudo_starts(rights: Rights) -> None:
    given(rights)
    assert may(rights, 0)
    rights.hosts["web1"].enforcer_dead = True
    assert not may(rights, 0)


def test_a_program_may_live_as_long_as_a_right_it_may_have_been_started_by(rights: Rights) -> None:
    given(rights)
    rights.started("mark", "alice", "web1", 0)
    given(rights, grant="gnt-2").ends = 2 * END
    assert rights.may_live("mark", END + LATE - 1)
    assert not rights.may_live("mark", END + LATE)
