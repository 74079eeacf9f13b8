"""Windows of time: on which days of the week, from when to when, in which zone (SPEC 9.2).

A window belongs to the day it begins on, and may go on over midnight.  It begins once the clocks of the zone first show
its beginning or something later, and ends once they first show its end or something later: so a window has one
beginning and one end on days, too, on which the clocks are set forward or back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from jit_server.domain.policy.check import Check
from jit_server.domain.policy.conditions import Facts

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MINUTES = 24 * 60
_SECOND_US = 1_000_000
_MINUTE = timedelta(minutes=1)
_WEEK_US = 7 * 86_400 * _SECOND_US


@dataclass(frozen=True, slots=True)
class Window:
    """`days` count from Monday, 0; `begin` and `end` are minutes of the day.

    An `end` that is not after `begin` is on the day after; 1440 is the end of the day itself.
    """

    days: frozenset[int]
    begin: int
    end: int
    zone: ZoneInfo

    def spans(self, around: int, ahead: int = 1) -> Iterator[tuple[int, int]]:
        """(begin, end) in µs UTC, in order, of those of two days before `around` to `ahead` days after it."""
        today = datetime.fromtimestamp(around // _SECOND_US, self.zone).date()
        for offset in range(-2, ahead + 1):
            day = today + timedelta(days=offset)
            if day.weekday() not in self.days:
                continue
            begin = _first_shown(day, self.begin, self.zone)
            end = _first_shown(day, self.end if self.end > self.begin else self.end + DAY_MINUTES, self.zone)
            if begin < end:
                yield begin, end

    def open_until(self, at: int) -> int:
        """The end of the window that is open then; zero: none is."""
        return max((end for begin, end in self.spans(at) if begin <= at < end), default=0)

    def __str__(self) -> str:
        days = _days(self.days)
        return f"{days} {_clock(self.begin)}-{_clock(self.end)} {self.zone.key}"


@dataclass(frozen=True, slots=True)
class Hours:
    """The grant begins within one of the windows, and ends with it."""

    windows: tuple[Window, ...]

    def check(self, facts: Facts) -> Check:
        begin = facts.circumstances.begin
        for window in self.windows:
            if window.open_until(begin):
                return Check("when.hours", True, f"{_shown(begin, window.zone)} is within {window}")
        coming = [
            (first, window.zone)
            for window in self.windows
            for first, _ in window.spans(begin, len(DAYS) + 1)
            if first > begin
        ]
        why = f"{_shown(begin, self.windows[0].zone)} is outside of {self}"
        if not coming:
            return Check("when.hours", False, why)
        first, zone = min(coming, key=lambda one: one[0])
        return Check("when.hours", False, why, f"again from {_shown(first, zone)}")

    def holds_until(self, facts: Facts) -> int:
        """The end of the window, or of the last of those that follow on each other without a gap; zero: of all time."""
        begin = until = facts.circumstances.begin
        while (end := max(window.open_until(until) for window in self.windows)) and until - begin < _WEEK_US:
            until = end
        # Windows repeat by the week: those that leave no gap for a whole one never do.
        return 0 if until == begin or end else until

    def __str__(self) -> str:
        return ", ".join(map(str, self.windows))


def _first_shown(day: date, minutes: int, zone: ZoneInfo) -> int:
    """The first instant (µs UTC) at which the clocks of the zone show this of that day, or something later."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
    before = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if after < before:
        # The clocks were set forward over it, somewhere between the two: when they were is what counts.
        while before - after > _MINUTE:
            middle = after + (before - after) // 2 // _MINUTE * _MINUTE
            if middle.astimezone(zone).replace(tzinfo=None) < wall:
                after = max(middle, after + _MINUTE)
            else:
                before = middle
    return int(before.timestamp()) * _SECOND_US


def _shown(at: int, zone: ZoneInfo) -> str:
    local = datetime.fromtimestamp(at // _SECOND_US, zone)
    return f"{DAYS[local.weekday()]} {local:%H:%M} {zone.key}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _days(days: frozenset[int]) -> str:
    """`Mon-Fri`, `Sat,Sun`, `daily`: runs of three days and more are written as such."""
    if len(days) == len(DAYS):
        return "daily"
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(
        f"{DAYS[run[0]]}-{DAYS[run[-1]]}" if len(run) > 2 else ",".join(DAYS[day] for day in run) for run in runs
    )
