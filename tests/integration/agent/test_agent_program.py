"""`jit-agent run` as systemd starts it: sockets from outside, readiness told, SIGTERM obeyed."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

from .conftest import World, free_port
from .test_agent_stream import connected

PATIENCE_S = 60.0
"""A program that starts on a busy machine takes its time."""


async def ask(path: Path) -> dict[str, object]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b'{"op":"doctor"}\n')
    answer: dict[str, object] = json.loads(await asyncio.wait_for(reader.read(), PATIENCE_S))
    writer.close()
    return answer


async def test_the_sockets_of_systemd_are_used_and_left_behind(world: World) -> None:
    """Python 3.13 would remove the path of a Unix socket it serves; this path is systemd's."""
    await world.stop()
    path, port = world.directory / "given.sock", free_port()
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    notices.bind(str(world.directory / "notify"))
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/systemd-socket-activate", "--listen", str(path), "--listen", f"127.0.0.1:{port}",
        "--fdname=agent:sudolog",
        f"--setenv=NOTIFY_SOCKET={world.directory / 'notify'}", "--setenv=WATCHDOG_USEC=200000",
        sys.executable, "-m", "jit_agent.main", "run", "--config", str(world.config),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not path.exists():
                await asyncio.sleep(0.01)
        checks = (await ask(path))["checks"]
        assert isinstance(checks, list)
        assert next(check for check in checks if check["name"] == "sockets")["ok"] is True
        await connected(world)
        loop = asyncio.get_running_loop()
        told = [await asyncio.wait_for(loop.sock_recv(notices, 4_096), PATIENCE_S) for _ in range(3)]
        assert b"READY=1" in told[0]
        assert b"WATCHDOG=1" in told
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        notices.close()
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors
    assert path.exists()


async def test_a_configuration_that_cannot_be_listened_on_is_one_line(world: World) -> None:
    await world.stop()
    taken = socket.create_server(("127.0.0.1", 0))
    world.write_config(
        server=world.server.address, host_id="hst-0000000000000001", host_name="web1",
        sudo_log_address=f"127.0.0.1:{taken.getsockname()[1]}",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jit_agent.main", "run", "--config", str(world.config), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    taken.close()
    assert process.returncode == 78
    assert errors.decode().startswith("jit-agent: cannot listen on 127.0.0.1:")
    assert b"Traceback" not in errors
