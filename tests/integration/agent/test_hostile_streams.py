"""Streams that no sudo sends, made of what real ones sent, at the port of a running agent (SPEC 8.1, S11).

However they are bent, they end their own connection and nothing else: the agent lives, holds no more memory than before
and says no traceback, and who is recorded beside them loses nothing.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from jit_protos.sudo import log_server_pb2 as pb
from jit_testing import sudo_iolog
from jit_testing.mutation import hostile, kept
from jit_testing.sudo_iolog import Passed

from .conftest import World
from .recorded import INPUT
from .test_agent_gate import Sudo, accept
from .test_agent_stream import connected

AT_ONCE = 8
PART_S = 15.0
MAY_GROW_MB = 64


@asynccontextmanager
async def program(world: World) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent in a process of its own, in the place of the world's."""
    await world.stop()
    said = (world.directory / "journal").open("wb")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jit_agent.main", "run", "--config", str(world.config), stderr=said
    )
    try:
        async with asyncio.timeout(60):
            while not (world.directory / "agent.sock").exists():
                assert process.returncode is None, (world.directory / "journal").read_text()
                await asyncio.sleep(0.01)
        yield process
    finally:
        said.close()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def test_hostile_streams_end_themselves_and_nothing_else(world: World) -> None:
    world.enforcer.admission = INPUT
    async with program(world) as agent:
        await connected(world)
        beside = await Sudo.connect(world)
        assert (await beside.hello()).WhichOneof("type") == "hello"
        await beside.send(accept_msg=accept(b"beside", command=b"/usr/bin/cat", runuser=b"root"))
        said: list[Passed] = []
        turns = asyncio.Semaphore(AT_ONCE)
        tries: set[asyncio.Task[None]] = set()
        before = 0.0
        for number, stream in enumerate(hostile("sudo_log")):
            await turns.acquire()
            task = asyncio.create_task(offer(world, agent, stream))
            tries.add(task)
            task.add_done_callback(lambda _: turns.release())
            if number % 20 == 0:
                said.append(Passed("ttyout", b"%d\n" % number, number))
                await beside.send(ttyout_buf=pb.IoBuffer(delay=pb.TimeSpec(tv_nsec=number), data=said[-1].data))
            if number == 200:
                # By now everything has been imported and every pool has its threads.
                before = resident_mb(agent)
        await asyncio.gather(*tries)
        await beside.send(exit_msg=pb.ExitMessage(exit_value=0))
        after = resident_mb(agent)
        assert sudo_iolog.events_of(await recording_of(world, "beside")) == said
        beside.leave()
    journal = (world.directory / "journal").read_text()
    assert "Traceback" not in journal
    assert before > 0, "too few were tried"
    assert after - before < MAY_GROW_MB


async def offer(world: World, agent: asyncio.subprocess.Process, stream: bytes) -> None:
    """Send it all and hang up; the agent must do so too, and go on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.log_port)
    try:
        async with asyncio.timeout(PART_S):
            with suppress(ConnectionError):
                writer.write(stream)
                await writer.drain()
                writer.write_eof()
                while await reader.read(65_536):
                    pass
    except TimeoutError:
        raise AssertionError(f"the agent does not hang up on {kept('sudo_log', stream)}") from None
    finally:
        writer.close()
    assert agent.returncode is None, f"the agent died of {kept('sudo_log', stream)}"


async def recording_of(world: World, command: str) -> bytes:
    """Of the one session of this command, once it is over and the server has all of it."""
    [started] = [one for one in world.server.told("session_started") if list(one.argv) == [command]]

    def there() -> bool:
        kept = len(world.server.recordings.chunks.get(started.session_id, []))
        ended = [one for one in world.server.told("session_ended") if one.session_id == started.session_id]
        return [(one.chunks, one.lost) for one in ended] == [(kept, False)]

    await world.server.until(there, 30)
    return world.server.recordings.frames(started.session_id)


def resident_mb(process: asyncio.subprocess.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found
    return int(found.group(1)) / 1_000
