"""What can go wrong, and the exit status each kind has (SPEC 4.3).

One class and one table: every failure of `jitctl` is a `CtlError` with a code
word of SPEC 4.3; `main` alone turns it into a line on stderr and a status.
"""

from __future__ import annotations

EXIT_STATUS = {
    "failed": 1,
    "usage": 2,
    "pending": 3,
    "unauthenticated": 4,
    "denied": 5,
    "not_found": 6,
    "conflict": 7,
    "invalid": 65,
    "unavailable": 69,
    "try_again": 75,
    "config": 78,
}

INTERRUPTED = 130
"""Status after Ctrl-C: 128 + SIGINT."""


class CtlError(Exception):
    """A failure to tell a person: what happened, and what to do next.

    `code` is a word of SPEC 4.3, or "failed".  The texts may hold text from
    outside; they are made safe where they are shown (S12).
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code if code in EXIT_STATUS else "failed"
        self.message = message
        self.hint = hint

    @property
    def exit_status(self) -> int:
        return EXIT_STATUS[self.code]
