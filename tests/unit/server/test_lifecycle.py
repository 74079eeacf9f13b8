"""The tables of `domain/lifecycle.py` are the whole truth."""

from __future__ import annotations

import itertools

import pytest

from jit_server.domain.lifecycle import (
    GRANT_START,
    GRANT_TRANSITIONS,
    LIVE,
    OVER,
    REQUEST_START,
    REQUEST_TRANSITIONS,
    REVOCABLE,
    GrantMove,
    GrantState,
    RequestMove,
    RequestState,
    advance_grant,
    advance_request,
)
from jit_server.errors import Conflict


@pytest.mark.parametrize(("state", "move"), list(itertools.product(RequestState, RequestMove)))
def test_a_request_moves_as_the_table_says_and_not_otherwise(state: RequestState, move: RequestMove) -> None:
    if (state, move) in REQUEST_TRANSITIONS:
        assert advance_request(state, move) is REQUEST_TRANSITIONS[state, move]
    else:
        with pytest.raises(Conflict, match=state.value):
            advance_request(state, move)


@pytest.mark.parametrize(("state", "move"), list(itertools.product(GrantState, GrantMove)))
def test_a_grant_moves_as_the_table_says_and_not_otherwise(state: GrantState, move: GrantMove) -> None:
    if (state, move) in GRANT_TRANSITIONS:
        assert advance_grant(state, move) is GRANT_TRANSITIONS[state, move]
    else:
        with pytest.raises(Conflict, match=state.value):
            advance_grant(state, move)


def test_a_decided_request_never_changes() -> None:
    assert {state for state, _ in REQUEST_TRANSITIONS} == {RequestState.PENDING}


def test_what_is_over_stays_over() -> None:
    assert OVER.isdisjoint(state for state, _ in GRANT_TRANSITIONS)


def test_every_grant_that_is_not_over_can_be_ended_by_the_host_and_every_live_one_by_people_and_time() -> None:
    """S6: removing a right is never blocked."""
    for state in set(GrantState) - OVER:
        assert (state, GrantMove.END) in GRANT_TRANSITIONS
    for state in LIVE:
        assert (state, GrantMove.REVOKE) in GRANT_TRANSITIONS
        assert (state, GrantMove.SILENCE) in GRANT_TRANSITIONS


def test_nothing_that_was_ending_comes_to_life_again() -> None:
    for (old, _), new in GRANT_TRANSITIONS.items():
        assert new not in REVOCABLE or old in REVOCABLE


def test_a_host_never_hears_of_what_is_scheduled() -> None:
    """So nothing but its start leads from there to a state in which a host may hold it."""
    moves = {move: new for (old, move), new in GRANT_TRANSITIONS.items() if old is GrantState.SCHEDULED}
    assert moves == {
        GrantMove.START: GrantState.ISSUED,
        GrantMove.REFUSE: GrantState.REFUSED,
        GrantMove.END: GrantState.ENDED,
    }


def test_every_state_can_be_reached() -> None:
    assert set(REQUEST_START) | set(REQUEST_TRANSITIONS.values()) == set(RequestState)
    assert set(GRANT_START) | set(GRANT_TRANSITIONS.values()) == set(GrantState)
