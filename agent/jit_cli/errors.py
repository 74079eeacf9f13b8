"""Every way `jit` fails, and the exit status that goes with it (SPEC 4.3).

A `Failure` is for the person: one line that says what happened on which input,
and a hint that says what to do next.
"""

EXIT_STATUS = {
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


class Failure(Exception):
    """`code` is one of SPEC 4.3; `message` and `hint` may hold text from outside."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    @property
    def status(self) -> int:
        """The exit status; an unknown code is a plain failure."""
        return EXIT_STATUS.get(self.code, 1)


class Interrupted(Failure):
    """Ctrl-C, with something to say about what was left behind."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("interrupted", message, hint)

    @property
    def status(self) -> int:
        return INTERRUPTED


def usage(message: str, hint: str = "") -> Failure:
    """A mistake on the command line."""
    return Failure("usage", message, hint)
