"""`--at`: when a grant shall start, as people write it, in the local time zone."""

from __future__ import annotations

import time

from jit_cli import duration
from jit_cli.errors import Failure

_LATEST_S = 30 * 86_400
_HINT = "write it like 14:00, 2026-11-24T09:00 or +2h, in local time"


def parse(text: str, now_s: float) -> int:
    """Return µs UTC for `14:00` (today), `2026-11-24T09:00` or `+2h`; raise `Failure` for anything else.

    Refuses what is past, what is more than 30 days ahead, and an hour that the change to summer time leaves out.
    """
    at_s = int(now_s) + duration.parse(text[1:]) if text.startswith("+") else _local(text, now_s)
    if at_s <= now_s:
        raise Failure("invalid", f"{text} is past: it was {duration.in_full(at_s * 1_000_000)}", _HINT)
    if at_s > now_s + _LATEST_S:
        raise Failure("invalid", f"{text} is more than 30 days ahead", "ask again when it is nearer")
    return at_s * 1_000_000


def _local(text: str, now_s: float) -> int:
    """Seconds UTC of a local clock time today, or of a local date and time."""
    today = time.strftime("%Y-%m-%d", time.localtime(now_s))
    written = text.replace(" ", "T") if "-" in text else f"{today}T{text}"
    for form in ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"):
        try:
            # Whether it is summer time then is for the time zone to say: -1.
            wanted = (*time.strptime(written, form)[:8], -1)
            at_s = int(time.mktime(wanted))
        except (ValueError, OverflowError):
            continue
        if time.localtime(at_s)[:6] != wanted[:6]:
            raise Failure("invalid", f"{text} does not exist: the clocks are put forward then", _HINT)
        return at_s
    raise Failure("invalid", f"{text!r} is not a time to start at", _HINT)
