"""`jit-server run`: one process under systemd (Type=notify), until a signal ends it.

SIGTERM and SIGINT drain; SIGHUP reads the server's certificate again.  The watchdog is fed from the event loop, so that
a loop that is stuck is restarted.
"""

from __future__ import annotations

import asyncio
import os
import signal

from systemd import daemon

from jit_server.adapters.clock import SystemClock
from jit_server.adapters.pam import PamPasswordChecker
from jit_server.app import App
from jit_server.config import Config


async def serve(config: Config) -> None:
    """Serve until told to stop; raises what keeps the server from starting."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    passwords = PamPasswordChecker()
    app = App(config, passwords=passwords, clock=SystemClock())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await app.start()
    loop.add_signal_handler(signal.SIGHUP, app.reload)
    daemon.notify("READY=1\nSTATUS=Serving")
    try:
        await _feed_watchdog_until(stopping)
    finally:
        daemon.notify("STOPPING=1\nSTATUS=Letting calls finish")
        await app.stop()
        passwords.close()


async def _feed_watchdog_until(stopping: asyncio.Event) -> None:
    interval_s = _watchdog_s()
    while True:
        try:
            async with asyncio.timeout(interval_s):
                await stopping.wait()
                return
        except TimeoutError:
            daemon.notify("WATCHDOG=1")


def _watchdog_s() -> float | None:
    """Half of what systemd asks for, in seconds; None when it asks for nothing."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2_000_000 if microseconds.isascii() and microseconds.isdecimal() else None
