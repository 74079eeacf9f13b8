"""Times in messages: spans as people type them, so that what a hint says can be given back with -d; and instants."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def typed(seconds: int) -> str:
    """Exactly, in the units people type: 3435 is "57m15s"."""
    parts: list[str] = []
    rest = abs(seconds)
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if seconds < 0 else "") + ("".join(parts) or "0s")


def instant(at: int) -> str:
    """An instant (µs UTC) to the minute: `2026-11-23 14:00 UTC`."""
    return f"{datetime.fromtimestamp(at // 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"
