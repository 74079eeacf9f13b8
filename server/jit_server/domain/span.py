"""Lengths of time in messages, as people type them: what a hint says can be given back with -d."""

from __future__ import annotations

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
