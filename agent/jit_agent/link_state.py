"""What is known of the connection to the server, for `jit status` and `jit doctor`."""

from __future__ import annotations

from dataclasses import dataclass

MAX_SKEW_US = 300 * 1_000_000
"""Beyond this the server gives the host no new grants (SPEC 5.1)."""


@dataclass(slots=True)
class LinkState:
    """`since` is when the state last changed, µs UTC; `skew_us` is our clock minus the server's, once it said."""

    connected: bool = False
    since: int = 0
    error: str = "not connected yet"
    skew_us: int | None = None

    def up(self, now: int) -> None:
        if not self.connected:
            self.connected, self.since, self.error = True, now, ""

    def down(self, now: int, error: str) -> None:
        if self.connected or not self.since:
            self.since = now
        self.connected, self.error = False, error
