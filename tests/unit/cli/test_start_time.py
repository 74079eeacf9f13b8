"""`--at`: local times as people write them, over the changes of the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from jit_cli import duration, start_time
from jit_cli.errors import Failure

# Tue 2026-03-03 12:00:00 +0100, four weeks before the clocks of Berlin are put forward.
NOON = 1_772_535_600


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "in_full"),
    [
        ("14:00", "Tue 2026-03-03 14:00:00 +0100 (CET)"),
        ("12:00:30", "Tue 2026-03-03 12:00:30 +0100 (CET)"),
        ("2026-03-04T09:00", "Wed 2026-03-04 09:00:00 +0100 (CET)"),
        ("2026-03-04 09:00", "Wed 2026-03-04 09:00:00 +0100 (CET)"),
        ("2026-03-29T09:00", "Sun 2026-03-29 09:00:00 +0200 (CEST)"),
        ("+2h", "Tue 2026-03-03 14:00:00 +0100 (CET)"),
        ("+1h30m", "Tue 2026-03-03 13:30:00 +0100 (CET)"),
        ("+30d", "Thu 2026-04-02 13:00:00 +0200 (CEST)"),
    ],
)
def test_a_start_is_said_back_in_full(text: str, in_full: str) -> None:
    assert duration.in_full(start_time.parse(text, NOON)) == in_full


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("11:59", "11:59 is past: it was Tue 2026-03-03 11:59:00"),
        ("12:00", "12:00 is past"),
        ("2025-12-24T18:00", "is past"),
        ("+31d", "more than 30 days ahead"),
        ("2026-04-03T12:00", "more than 30 days ahead"),
        ("2026-03-29T02:30", "does not exist"),
        ("25:00", "is not a time"),
        ("2026-02-30T09:00", "is not a time"),
        ("2026-03-04", "is not a time"),
        ("9", "is not a time"),
        ("", "is not a time"),
        ("+", "is not a duration"),
        ("+0s", "is not a duration"),
        ("99999-01-01T00:00", "is not a time"),
    ],
)
def test_what_is_no_start_is_refused_and_says_why(text: str, why: str) -> None:
    with pytest.raises(Failure, match=why) as refusal:
        start_time.parse(text, NOON)
    assert refusal.value.status == 65


def test_an_hour_that_comes_twice_is_said_back_so_that_it_can_be_told() -> None:
    october = NOON + 236 * 86_400
    assert "2026-10-25 02:30:00 +0" in duration.in_full(start_time.parse("2026-10-25T02:30", october - 86_400))
