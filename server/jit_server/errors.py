"""What can go wrong, as people should hear it.

JitError            one line for a person; `code` is the word of SPEC 4.3, `hint` says what to do next
  Invalid           the input itself is wrong
    LimitExceeded   over a limit of SPEC 7; the message names the limit
  NotFound          nothing by that name, or nothing the caller may see
  Conflict          true a moment ago, or already done
  Denied            the policy or the caller's duties say no
  Unauthenticated   who is asking is not proved
    FactorLocked    too many wrong attempts; even a right one is refused for a while
  Unavailable       something we need does not answer; the caller may try again

The edge turns these into statuses by one table; anything else is a bug and shows no text.
"""

from __future__ import annotations

from typing import ClassVar


class JitError(Exception):
    """Base of all expected failures; `str()` is one line, fit for a person once escaped for a terminal."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Invalid(JitError):
    code = "invalid"


class LimitExceeded(Invalid):
    pass


class NotFound(JitError):
    code = "not_found"


class Conflict(JitError):
    code = "conflict"


class Denied(JitError):
    code = "denied"


class Unauthenticated(JitError):
    code = "unauthenticated"


class FactorLocked(Unauthenticated):
    pass


class Unavailable(JitError):
    code = "unavailable"
