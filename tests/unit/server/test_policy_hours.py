"""Windows of time in which a role is given: over midnight, over weeks, and when clocks are set (SPEC 9.2)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from jit_server.domain.policy.circumstances import Circumstances
from jit_server.domain.policy.conditions import AnyOf, Facts, Live
from jit_server.domain.policy.hours import DAY_MINUTES, Hours, Window
from jit_testing.server_fakes import a_host, a_user

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")
WEEKDAYS = frozenset(range(5))
DAILY = frozenset(range(7))
ALICE, WEB = a_user(), a_host()


def at(text: str, zone: ZoneInfo = BERLIN, *, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()) * 1_000_000


def facts(moment: int, *, begins_at: int = 0) -> Facts:
    return Facts(ALICE, (), WEB, "web", None, Circumstances(at=moment, begins_at=begins_at))


def window(days: frozenset[int], begin: int, end: int, zone: ZoneInfo = BERLIN) -> Window:
    """From and to in hours."""
    return Window(days, begin * 60, end * 60, zone)


OFFICE = Hours((window(WEEKDAYS, 8, 18),))
NIGHT = Hours((window(frozenset({4}), 22, 6),))


@pytest.mark.parametrize(
    ("moment", "met"),
    [
        ("2026-11-23 07:59:59", False),
        ("2026-11-23 08:00", True),
        ("2026-11-23 17:59:59", True),
        ("2026-11-23 18:00", False),
        ("2026-11-22 12:00", False),
        ("2026-11-28 12:00", False),
    ],
)
def test_a_window_holds_from_its_first_instant_to_before_its_last(moment: str, met: bool) -> None:
    assert OFFICE.check(facts(at(moment))).passed is met


def test_a_grant_ends_with_the_window_and_the_refusal_says_when_the_next_one_is() -> None:
    assert OFFICE.holds_until(facts(at("2026-11-23 12:00"))) == at("2026-11-23 18:00")
    check = OFFICE.check(facts(at("2026-11-20 18:30")))
    assert check.why == "Fri 18:30 Europe/Berlin is outside of Mon-Fri 08:00-18:00 Europe/Berlin"
    assert check.hint == "again from Mon 08:00 Europe/Berlin"
    assert str(OFFICE) == "Mon-Fri 08:00-18:00 Europe/Berlin"


@pytest.mark.parametrize(
    ("moment", "met"),
    [
        ("2026-11-27 21:59", False),
        ("2026-11-27 22:00", True),
        ("2026-11-28 05:59", True),
        ("2026-11-28 06:00", False),
        # Thursday's night was not asked for.
        ("2026-11-27 05:00", False),
        ("2026-11-28 22:30", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_begins_on(moment: str, met: bool) -> None:
    assert NIGHT.check(facts(at(moment))).passed is met


def test_the_end_of_a_night_is_on_the_next_day() -> None:
    assert NIGHT.holds_until(facts(at("2026-11-27 23:00"))) == at("2026-11-28 06:00")


def test_the_zone_of_the_window_counts_not_that_of_the_server() -> None:
    tokyo = Hours((window(DAILY, 9, 17, ZoneInfo("Asia/Tokyo")),))
    assert tokyo.check(facts(at("2026-11-23 00:30", UTC))).passed
    assert not tokyo.check(facts(at("2026-11-23 12:00", UTC))).passed
    assert str(tokyo) == "daily 09:00-17:00 Asia/Tokyo"


def test_windows_that_follow_on_each_other_are_one_and_end_with_the_last() -> None:
    shifts = Hours((window(WEEKDAYS, 6, 14), window(WEEKDAYS, 14, 22)))
    assert shifts.holds_until(facts(at("2026-11-23 07:00"))) == at("2026-11-23 22:00")
    whole_days = Hours((Window(WEEKDAYS, 0, DAY_MINUTES, BERLIN),))
    assert whole_days.holds_until(facts(at("2026-11-23 07:00"))) == at("2026-11-28 00:00")


def test_windows_without_a_gap_in_the_week_never_end() -> None:
    always = Hours((Window(DAILY, 0, DAY_MINUTES, BERLIN),))
    for moment in ("2026-11-23 07:00", "2026-03-28 23:00", "2026-10-24 23:00"):
        assert always.check(facts(at(moment))).passed
        assert always.holds_until(facts(at(moment))) == 0


@pytest.mark.parametrize(
    ("moment", "fold", "met"),
    [
        # 2026-10-25: at 03:00 the clocks go back to 02:00, and show 02:15 and 02:45 twice.
        ("2026-10-25 02:15", 0, True),
        ("2026-10-25 02:44", 0, True),
        ("2026-10-25 02:45", 0, False),
        ("2026-10-25 02:20", 1, False),
    ],
)
def test_a_window_in_the_hour_that_comes_twice_is_open_once(moment: str, fold: int, met: bool) -> None:
    early = Hours((Window(DAILY, 2 * 60 + 15, 2 * 60 + 45, BERLIN),))
    assert early.check(facts(at(moment, fold=fold))).passed is met


def test_a_window_over_the_hour_that_comes_twice_is_an_hour_longer() -> None:
    night = Hours((window(DAILY, 1, 5),))
    assert night.holds_until(facts(at("2026-10-25 01:30"))) - at("2026-10-25 01:00") == 5 * 3_600_000_000
    assert night.check(facts(at("2026-10-25 02:30", fold=1))).passed


def test_the_hour_that_is_left_out_begins_and_ends_nothing() -> None:
    """2026-03-29: at 02:00 the clocks go to 03:00."""
    jump = at("2026-03-29 03:00")
    late = Hours((Window(DAILY, 2 * 60 + 30, 6 * 60, BERLIN),))
    assert not late.check(facts(jump - 1_000_000)).passed
    assert late.check(facts(jump)).passed
    early = Hours((Window(DAILY, 60, 2 * 60 + 30, BERLIN),))
    assert early.holds_until(facts(at("2026-03-29 01:30"))) == jump
    assert not early.check(facts(jump)).passed
    within = Hours((Window(frozenset({6}), 2 * 60 + 10, 2 * 60 + 50, BERLIN),))
    assert not any(within.check(facts(jump + minutes * 60_000_000)).passed for minutes in range(-90, 90))
    assert within.check(facts(jump)).hint == "again from Sun 02:10 Europe/Berlin"


def test_a_grant_that_is_to_start_later_is_held_against_the_hour_of_its_start() -> None:
    now, start = at("2026-11-23 20:00"), at("2026-11-24 09:00")
    assert not OFFICE.check(facts(now)).passed
    assert OFFICE.check(facts(now, begins_at=start)).passed
    assert OFFICE.holds_until(facts(now, begins_at=start)) == at("2026-11-24 18:00")
    assert not OFFICE.check(facts(at("2026-11-23 09:00"), begins_at=at("2026-11-24 19:00"))).passed


def test_of_several_ways_the_last_to_end_bounds_the_grant() -> None:
    noon = facts(at("2026-11-23 12:00"))
    assert AnyOf((OFFICE, Hours((window(DAILY, 10, 20),)))).holds_until(noon) == at("2026-11-23 20:00")
    assert AnyOf((OFFICE, Live(5))).holds_until(noon) == 0
    assert AnyOf((OFFICE, NIGHT)).holds_until(noon) == at("2026-11-23 18:00")


@pytest.mark.parametrize(
    ("days", "shown"),
    [({0, 1, 2, 3, 4}, "Mon-Fri"), ({5, 6}, "Sat,Sun"), ({0, 2, 3, 4}, "Mon,Wed-Fri"), ({0}, "Mon"), (DAILY, "daily")],
)
def test_days_are_written_as_people_write_them(days: set[int], shown: str) -> None:
    assert str(window(frozenset(days), 8, 18, UTC)) == f"{shown} 08:00-18:00 UTC"
