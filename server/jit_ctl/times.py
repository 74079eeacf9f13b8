"""Instants and durations as people write and read them.

The server speaks microseconds UTC and whole seconds (SPEC 1.2); inside
`jitctl` an instant is an aware `datetime` in UTC.  Nothing here reads a clock
except `now`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from .errors import CtlError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+", re.ASCII)
_PART = re.compile(r"([0-9]+)([smhdw])", re.ASCII)
_LAST = datetime(9999, 12, 31, tzinfo=UTC)


def now() -> datetime:
    return datetime.now(UTC)


def from_us(us: int) -> datetime:
    """The instant `us` microseconds after the epoch; raise `ValueError` when no calendar has it."""
    try:
        return _EPOCH + timedelta(microseconds=us)
    except OverflowError:
        raise ValueError(f"{us} µs is no instant") from None


def to_us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def rfc3339(moment: datetime) -> str:
    """UTC with a Z, microseconds when there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def zoned(moment: datetime, *, utc: bool) -> datetime:
    """In the reader's own time zone, or in UTC; far ends of the calendar stay in UTC."""
    if utc:
        return moment
    try:
        return moment.astimezone()
    except (OverflowError, ValueError, OSError):
        return moment


def clock_time(moment: datetime, *, utc: bool) -> str:
    """Date and time to the second: local without a zone, UTC with a Z."""
    return f"{zoned(moment, utc=utc):%Y-%m-%d %H:%M:%S}" + ("Z" if utc else "")


def relative(moment: datetime, seen_from: datetime) -> str:
    """How far away: "3m ago", "in 25m", "now"."""
    seconds = round((moment - seen_from).total_seconds())
    if seconds == 0:
        return "now"
    distance = _coarse(abs(seconds))
    return f"in {distance}" if seconds > 0 else f"{distance} ago"


def _coarse(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600)):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            below = rest * 24 // 86400 if unit == "d" else rest // 60
            return f"{whole}{unit}" + (f"{below}{'h' if unit == 'd' else 'm'}" if below else "")
    return f"{seconds // 60}m" if seconds >= 60 else f"{seconds}s"


def duration(seconds: int) -> str:
    """Exactly, in the units people type: 5400 is "1h30m"."""
    if seconds <= 0:
        return f"{seconds}s"
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_duration(text: str) -> int:
    """Seconds in "90s", "30m", "1h30m", "7d"; raise `CtlError` (usage) for anything else."""
    if _DURATION.fullmatch(text):
        seconds = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(text))
        if seconds > 0:
            return seconds
    raise CtlError("usage", f"not a duration: {text}", "write it like 30m, 1h30m or 7d")


def parse_moment(text: str, seen_from: datetime, *, utc: bool) -> datetime:
    """An instant: "2h" (ago), a date, a date and a time, or RFC 3339.

    Without a zone it is local time, or UTC when `utc` is set.  Raises
    `CtlError` (usage) for anything else.
    """
    wrong = CtlError(
        "usage", f"not a time: {text}", "write it like 2h (ago), 2026-11-23, 2026-11-23T10:30 or with a zone, …Z"
    )
    try:
        if _DURATION.fullmatch(text):
            return seen_from - timedelta(seconds=parse_duration(text))
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and utc:
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise wrong from None
    if not _EPOCH < moment < _LAST:
        raise wrong
    return moment
