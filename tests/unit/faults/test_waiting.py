"""How long the fault table waits: not for ever, and not too short where there is much to be done before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from faults import rig
from faults.rig import Trouble, wait_for


@dataclass(slots=True)
class Time:
    """`time` for whoever sleeps: what it would have taken is over at once."""

    now: float = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(rig, "time", clock)
    return clock


def test_what_comes_in_time_is_waited_for_and_what_does_not_is_named(time: Time) -> None:
    wait_for("the end", lambda: time.now >= 109, patience_s=10)
    assert time.now < 110
    with pytest.raises(Trouble, match="the end did not come within 10 s"):
        wait_for("the end", lambda: time.now >= 130, patience_s=10)
    assert time.now < 121


def test_what_is_on_its_way_is_waited_for_however_long_it_takes(time: Time) -> None:
    wait_for("the end", lambda: time.now >= 300, patience_s=10, ahead=lambda: 300 - time.now)
    assert time.now < 301


@pytest.mark.parametrize("waiting", [[math.inf], [7, 7], [0, 0], [7, 3, 3], [7, 3, 5], [7, math.inf]])
def test_what_goes_no_further_is_given_up(time: Time, waiting: list[float]) -> None:
    told = iter(waiting)
    with pytest.raises(Trouble):
        wait_for("the end", lambda: False, patience_s=10, ahead=lambda: next(told))
    assert next(told, None) is None
