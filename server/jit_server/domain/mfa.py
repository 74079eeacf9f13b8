"""The arithmetic of one-time codes and of attempts (S9, SPEC 7).

A code is six ASCII digits (never `str.isdigit`, which takes digits of every script) and counts for one 30-second time
step; a step at or before the last one used is spent.  Five wrong attempts within 15 minutes lock the factor for 15.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

STEP_S = 30
MAX_FAILURES = 5
FAILURE_WINDOW_US = 15 * 60 * 1_000_000
LOCK_US = 15 * 60 * 1_000_000

_CODE = re.compile(r"[0-9]{6}", re.ASCII)


class Factor(StrEnum):
    """What attempts are counted against; a wrong password never locks the one-time codes."""

    CODE = "code"
    PASSWORD = "password"  # noqa: S105 (a name)


def is_code(untrusted_text: str) -> bool:
    return _CODE.fullmatch(untrusted_text) is not None


def is_spent(step: int, last_step: int) -> bool:
    """Whether a code of this time step may no longer be used."""
    return step <= last_step


def counted(failures: Sequence[int], now: int) -> int:
    """How many of the failures (µs UTC) still count at `now`."""
    return sum(1 for at in failures if at > now - FAILURE_WINDOW_US)
