"""The two clocks a deadline has: the wall, and CLOCK_BOOTTIME, which nobody can set and which runs in suspend (S2)."""

import contextlib
import ctypes
import os
import time
from typing import Protocol

from jit_enforcer.errors import Unsafe
from jit_enforcer.paths import Paths


class Clock(Protocol):
    def wall_us(self) -> int:
        """Microseconds UTC since the epoch."""

    def boot_us(self) -> int:
        """Microseconds since the boot, suspend included."""


class SystemClock:
    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def boot_us(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def boot_id(paths: Paths) -> str:
    """The boot as PID 1 sees it: in a container our own sandbox would show us the machine's instead."""
    try:
        return (paths.proc / "1/root/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError) as e:
        raise Unsafe(f"the boot id cannot be read: {e}") from e


_TFD_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_TFD_ABSTIME_CANCEL_ON_SET = 1 | 2


class Steps:
    """A descriptor that becomes readable when somebody sets the wall clock, and after a suspend."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(time.CLOCK_REALTIME, _TFD_NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise Unsafe(f"timerfd_create: {os.strerror(ctypes.get_errno())}")
        self._arm()

    def fileno(self) -> int:
        return int(self._fd)

    def acknowledge(self) -> None:
        """Take note of a step and wait for the next."""
        with contextlib.suppress(OSError):  # ECANCELED is how a step is told
            os.read(self._fd, 8)
        self._arm()

    def close(self) -> None:
        os.close(self._fd)

    def _arm(self) -> None:
        # interval 0, first expiry 2**40 s after the epoch: only the cancellation ever wakes us
        when = (ctypes.c_long * 4)(0, 0, 1 << 40, 0)
        if self._libc.timerfd_settime(self._fd, _TFD_ABSTIME_CANCEL_ON_SET, when, None) != 0:
            raise Unsafe(f"timerfd_settime: {os.strerror(ctypes.get_errno())}")
