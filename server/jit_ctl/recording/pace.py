"""How fast a recording is shown."""

from __future__ import annotations

from dataclasses import dataclass

SECOND_NS = 1_000_000_000
SLOWEST, FASTEST = 1 / 16, 64.0


@dataclass(slots=True)
class Pace:
    speed: float
    """Seconds of the recording in one of the viewer's."""
    idle_limit_s: float | None
    """No pause is longer than this, in seconds of the recording."""
    following: bool
    """Show at once whatever comes."""

    def pause_s(self, ns: int) -> float:
        """How long the viewer waits for what comes `ns` later in the recording."""
        if self.following:
            return 0.0
        seconds = max(0, ns) / SECOND_NS
        if self.idle_limit_s is not None:
            seconds = min(seconds, self.idle_limit_s)
        return seconds / self.speed

    def passed_ns(self, seconds: float) -> int:
        """How far the recording goes on in the viewer's `seconds`, when there is no pause to shorten."""
        return int(max(0.0, seconds) * self.speed * SECOND_NS)

    def change(self, factor: float) -> None:
        self.speed = min(max(self.speed * factor, SLOWEST), FASTEST)
