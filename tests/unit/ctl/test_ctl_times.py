"""Times and durations as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_ctl import times
from jit_ctl.errors import CtlError

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("7d", 604_800), ("2w", 1_209_600), ("1d1h1m1s", 90_061)],
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert times.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "m", "1.5h", "-1h", "1h ", " 1h", "0s", "0m0s", "1H", "१h", "9999999999s", "1h30"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(CtlError) as refused:
        times.parse_duration(text)
    assert refused.value.code == "usage"


@given(st.integers(1, 10**9))
def test_a_duration_reads_back_as_it_was_written(seconds: int) -> None:
    assert times.parse_duration(times.duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (timedelta(), "now"),
        (timedelta(seconds=-5), "5s ago"),
        (timedelta(minutes=25), "in 25m"),
        (timedelta(minutes=-90), "1h30m ago"),
        (timedelta(hours=2), "in 2h"),
        (timedelta(days=-3, hours=-4), "3d4h ago"),
    ],
)
def test_distances_are_said_in_the_two_largest_units(distance: timedelta, said: str) -> None:
    assert times.relative(NOON + distance, NOON) == said


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_microseconds_survive_the_way_to_the_server_and_back(moment: datetime) -> None:
    assert times.from_us(times.to_us(moment)) == moment
    assert datetime.fromisoformat(times.rfc3339(moment)) == moment
    assert times.rfc3339(moment).endswith("Z")


@given(st.integers())
def test_no_number_of_the_server_is_a_surprise(us: int) -> None:
    try:
        moment = times.from_us(us)
    except ValueError:
        return
    assert times.zoned(moment, utc=False).tzinfo is not None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", NOON - timedelta(hours=2)),
        ("2026-11-23", NOON - timedelta(hours=12)),
        ("2026-11-23T11:30", NOON - timedelta(minutes=30)),
        ("2026-11-23 11:30:00Z", NOON - timedelta(minutes=30)),
        ("2026-11-23T12:30:00+01:00", NOON - timedelta(minutes=30)),
    ],
)
def test_moments_are_read(text: str, moment: datetime) -> None:
    assert times.parse_moment(text, NOON, utc=True) == moment


@pytest.mark.parametrize(
    "text", ["", "now", "2026-02-30", "12:00", "0001-01-01", "9999-12-31T23:59-12:00", "999999999w"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(CtlError) as refused:
        times.parse_moment(text, NOON, utc=True)
    assert refused.value.code == "usage"
