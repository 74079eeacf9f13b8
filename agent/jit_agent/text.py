"""Text from outside, made safe to print and to log (S12)."""

from __future__ import annotations


def safe(text: str, limit: int = 2_000) -> str:
    r"""Return `text` with every control, format, odd space and unassigned character written as `\x..`, on one line.

    What is longer than `limit` characters ends in a note of how many were left out.
    """
    shown = "".join(c if c.isprintable() else _visible(ord(c)) for c in text[:limit])
    return shown if len(text) <= limit else f"{shown}… ({len(text) - limit} more characters)"


def _visible(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
