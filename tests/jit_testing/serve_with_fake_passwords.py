"""A server process like `jit-server run`, but for passwords and clock:
`python -m jit_testing.serve_with_fake_passwords CONFIG CLOCK`.

It prints its two ports once it serves; a test then kills it as it likes.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jit_server import config as configuration
from jit_server.app import App
from jit_testing.server_world import FakePasswords, SteppingClock


async def serve(file: Path, clock: Path) -> None:
    config = configuration.load(file, required=True)
    app = App(config, passwords=FakePasswords(), clock=SteppingClock(clock))
    await app.start()
    print(app.port, app.bootstrap_port, flush=True)
    await asyncio.Event().wait()


asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
