"""What systemd, which watches over the enforcer, hears of it: that it serves, and that its loop still turns (S2).

Hung or stopped by a signal it would carry out no revocation and prove no end: systemd kills and restarts it instead.
"""

import contextlib
import os
import socket
import time


def notify(state: str, *, patience_s: float | None = None) -> None:
    """Tell systemd, if it started us (sd_notify(3)).  Raises `OSError` if it does not take it in time."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.settimeout(patience_s)
            systemd.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            systemd.send(state.encode())


class Heartbeat:
    """Four signs of life in the time after which systemd loses patience (`WatchdogSec=`)."""

    def __init__(self) -> None:
        self._every_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 4_000_000
        self._due = 0.0

    def beat(self) -> None:
        """To be called in each round of the loop.  It never waits for systemd."""
        if self._every_s and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every_s
            with contextlib.suppress(OSError):  # systemd is busy: it still waits for the next three
                notify("WATCHDOG=1", patience_s=0)

    def wait_s(self) -> float:
        """How long the loop may sleep before the next one, in seconds."""
        return max(0.0, self._due - time.monotonic()) if self._every_s else 60.0
