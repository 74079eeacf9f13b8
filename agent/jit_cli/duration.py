"""Durations as people write and read them, and instants beside the time that is left until them."""

from __future__ import annotations

import time

from jit_cli.errors import Failure

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST = 366 * 86400


def parse(text: str) -> int:
    """Return whole seconds for `90s`, `30m`, `1h30m`, `2d`; raise `Failure` for anything else."""
    total = 0
    number = ""
    order: list[int] = []
    for character in text:
        if character in "0123456789" and len(number) < 9:
            number += character
        elif character in _UNITS and number:
            order.append(_UNITS[character])
            total += int(number) * _UNITS[character]
            number = ""
        else:
            raise _refusal(text)
    if number or total == 0 or total > _MOST or order != sorted(set(order), reverse=True):
        raise _refusal(text)
    return total


def _refusal(text: str) -> Failure:
    return Failure("invalid", f"{text!r} is not a duration", "write it like 30m, 2h, 1h30m or 1d")


def words(seconds: int) -> str:
    """Return two units at most: `45 s`, `30 min`, `1 h 30 min`, `2 d 3 h`."""
    seconds = max(0, seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        rest = seconds % 60
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def short(seconds: int) -> str:
    """Return one unit for a shell prompt, rounded up: `12m`, `45s`, `3h`."""
    seconds = max(0, seconds)
    for unit, size in (("s", 1), ("m", 60), ("h", 3600)):
        if seconds < size * 100:
            return f"{-(-seconds // size)}{unit}"
    return f"{-(-seconds // 86400)}d"


def clock(seconds: int) -> str:
    """Return time that has passed, as a stop watch shows it: `0:42`, `1:02:03`."""
    minutes, seconds = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def instant(at_us: int) -> str:
    """Return microseconds UTC as local time with its zone; the date only when it is not today."""
    local = time.localtime(at_us // 1_000_000)
    today = time.localtime()[:3] == local[:3]
    return time.strftime("%H:%M:%S %Z" if today else "%Y-%m-%d %H:%M:%S %Z", local)


def brief(at_us: int) -> str:
    """Return microseconds UTC as local time for a table, to the minute: `14:32` if it is today, else the date too."""
    local = time.localtime(at_us // 1_000_000)
    today = time.localtime()[:3] == local[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", local)


def in_full(at_us: int) -> str:
    """Return microseconds UTC as local time that leaves no doubt: `Tue 2026-11-24 09:00:00 +0100 (CET)`."""
    return time.strftime("%a %Y-%m-%d %H:%M:%S %z (%Z)", time.localtime(at_us // 1_000_000))


def left(at_us: int) -> int:
    """Return the whole seconds until an instant, rounded up; never negative."""
    return max(0, -(-(at_us - time.time_ns() // 1000) // 1_000_000))


def until(at_us: int) -> str:
    """Return an instant to come and the time left: `14:32:10 CET (in 12 min)`."""
    return f"{instant(at_us)} (in {words(left(at_us))})"


def since(at_us: int) -> str:
    """Return an instant past and how long ago: `14:02:11 CET (18 min ago)`."""
    passed = max(0, (time.time_ns() // 1000 - at_us) // 1_000_000)
    return f"{instant(at_us)} ({words(passed)} ago)"
