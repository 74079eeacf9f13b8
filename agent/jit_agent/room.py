"""The disk room of recordings (SPEC 8.3): what stays free for others, and how much all recordings may take.

Asked before a byte of a segment is reserved, so a full disk refuses a session instead of cutting one off (S5).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from jit_agent.errors import SpoolUnavailable


class Room:
    """`reserve` bytes of the file system stay free, and recordings take at most `limit` bytes of it."""

    def __init__(self, folder: Path, *, reserve: int, limit: int, sealed: Callable[[], int]) -> None:
        """`sealed`: bytes of chunks that wait for the server."""
        self._folder = folder
        self._reserve = reserve
        self._limit = limit
        self._sealed = sealed
        self._lock = threading.Lock()
        self._segments = 0

    def take(self, size: int) -> None:
        """Count so many bytes of segments more; raises `SpoolUnavailable` where there is no room for them."""
        try:
            disk = os.statvfs(self._folder)
        except OSError as e:
            raise SpoolUnavailable(f"{self._folder} cannot be looked at: {e.strerror}") from e
        if disk.f_bavail * disk.f_frsize < self._reserve + size:
            raise SpoolUnavailable(f"less than {_mib(self._reserve)} are free for recordings in {self._folder}")
        with self._lock:
            if self._segments + self._sealed() + size > self._limit:
                raise SpoolUnavailable(f"recordings that the server has not taken fill their {_mib(self._limit)}")
            self._segments += size

    def count(self, size: int) -> None:
        """Count segments of an earlier run, whatever the limits are now."""
        with self._lock:
            self._segments += size

    def give_back(self, size: int) -> None:
        with self._lock:
            self._segments -= size


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"
