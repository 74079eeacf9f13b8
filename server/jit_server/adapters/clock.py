"""The wall clock, in the only unit the server knows: microseconds UTC (SPEC 1.2)."""

import time


class SystemClock:
    """The operating system's clock."""

    def now(self) -> int:
        """Microseconds UTC since the epoch."""
        return time.time_ns() // 1_000
