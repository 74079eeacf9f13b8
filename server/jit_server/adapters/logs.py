"""The server's log: lines on standard error, where journald takes them.

Nothing that came from outside can add a line or move a cursor: all but printable characters is escaped (S12).
"""

from __future__ import annotations

import logging
import os
import sys

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class EscapingFormatter(logging.Formatter):
    """One line for a message, one for each line of a traceback; with `priorities`, as sd-daemon(3) wants them."""

    def __init__(self, *, priorities: bool) -> None:
        super().__init__()
        self._priorities = priorities

    def format(self, record: logging.LogRecord) -> str:
        lines = [escape(f"{record.levelname.lower()}: {record.name}: {record.getMessage()}")]
        if record.exc_info:
            lines += [f"  {escape(line)}" for line in self.formatException(record.exc_info).splitlines()]
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>" if self._priorities else ""
        return "\n".join(prefix + line for line in lines)


def escape(text: str) -> str:
    """The text with everything that is not printable written as Python would escape it."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def configure() -> None:
    """Log to standard error from `info` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EscapingFormatter(priorities="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Migrations tell every step at `info`; only what went wrong is of interest.
    logging.getLogger("alembic").setLevel(logging.WARNING)
