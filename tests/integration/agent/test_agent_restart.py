"""An agent that is killed in the middle of a session (SPEC 8.3): sudo does not notice, and the record has no seam.

The agent is a program here, and systemd is played: it passes the sockets, and keeps what it is asked to keep.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jit_agent.segment_file import CAPACITY
from jit_protos.sudo import log_server_pb2 as pb
from jit_testing import sudo_iolog
from jit_testing.fake_systemd import FakeSystemd

from .conftest import World
from .recorded import OUTPUT, frames_of, sessions
from .test_agent_gate import ID, Sudo, frame
from .test_agent_sessions import became, order
from .test_agent_stream import connected


@pytest.fixture
async def systemd(world: World) -> AsyncIterator[FakeSystemd]:
    await connected(world)
    await world.stop()
    world.enforcer.admission = OUTPUT
    made = FakeSystemd(world.directory, world.config, world.directory / "agent.sock", world.log_port)
    await made.start()
    yield made
    await made.stop()


def line(number: int) -> bytes:
    delay = pb.TimeSpec(tv_nsec=1_000_000)
    return frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(delay=delay, data=b"line %d\n" % number)))


def shown(world: World, ended: object) -> bytes:
    return sudo_iolog.log_of(sudo_iolog.events_of(frames_of(world, ended)))["ttyout"]  # type: ignore[arg-type]


async def gone(path: Path) -> None:
    async with asyncio.timeout(20):
        while path.exists():
            await asyncio.sleep(0.01)


async def begun(world: World) -> Sudo:
    sudo = await Sudo.connect(world)
    assert (await sudo.hello()).HasField("hello")
    await sudo.send(accept_msg=ID)
    return sudo


async def test_no_line_is_lost_or_doubled_however_often_the_agent_is_killed(world: World, systemd: FakeSystemd) -> None:
    sudo = await begun(world)
    whole = b"".join(line(number) for number in range(3_000))
    told = 0
    for kill in range(4):
        # Cut anywhere, also within a message and within its length.
        upto = (kill + 1) * len(whole) // 5 + kill
        await sudo.raw(whole[told:upto])
        told = upto
        await systemd.kill()
        assert len(systemd.kept) == 1
        # sudo goes on while nobody listens.
        await sudo.raw(whole[told : told + 777])
        told += 777
        await systemd.start()
    await sudo.raw(whole[told:])
    await sudo.send(exit_msg=pb.ExitMessage(run_time=pb.TimeSpec(tv_sec=3), exit_value=5))
    assert (await sudo.hear()).commit_point == pb.TimeSpec(tv_sec=3)
    sudo.leave()
    [ended] = await sessions(world, 1)
    assert (ended.exit_value, ended.lost, ended.incomplete) == (5, False, "")
    assert shown(world, ended) == b"".join(b"line %d\n" % number for number in range(3_000))
    assert len(world.server.told("session_started")) == 1
    assert ended.output_bytes == len(shown(world, ended))


async def test_a_sudo_that_ends_while_the_agent_is_away_has_ended_as_it_said(
    world: World, systemd: FakeSystemd
) -> None:
    """What it said last waits in the kernel, and its closing counts as a byte there (tcp_info)."""
    sudo = await begun(world)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    await systemd.kill()
    await sudo.raw(line(1) + line(2))
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=9))
    sudo.leave()
    await systemd.start()
    [ended] = await sessions(world, 1)
    assert (ended.exit_value, ended.lost, ended.incomplete) == (9, False, "")
    assert shown(world, ended) == b"line 1\nline 2\n"


async def test_a_stop_that_may_be_a_restart_ends_no_session(world: World, systemd: FakeSystemd) -> None:
    sudo = await begun(world)
    await sudo.raw(line(1))
    await world.server.until(lambda: bool(world.server.told("session_started")))
    await systemd.kill(signal.SIGTERM)
    assert world.server.told("session_ended") == []
    await systemd.start()
    await sudo.raw(line(2))
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=0))
    assert (await sudo.hear()).HasField("commit_point")
    sudo.leave()
    [ended] = await sessions(world, 1)
    assert shown(world, ended) == b"line 1\nline 2\n"


async def test_a_session_whose_connection_is_gone_is_kept_as_far_as_it_goes(world: World, systemd: FakeSystemd) -> None:
    sudo = await begun(world)
    await sudo.raw(line(1) + line(2)[:-3])
    await world.server.until(lambda: bool(world.server.told("session_started")))
    await systemd.kill()
    [name] = systemd.kept
    systemd.forget()
    sudo.leave()
    await systemd.start()
    [ended] = await sessions(world, 1)
    assert (ended.session_id, ended.lost) == (name, True)
    assert "stopped before sudo had told all" in ended.incomplete
    assert shown(world, ended) == b"line 1\n"
    # Reported once, however often the agent starts again.
    await systemd.kill()
    await systemd.start()
    again = await begun(world)
    await again.send(exit_msg=pb.ExitMessage(exit_value=0))
    again.leave()
    assert len({one.session_id for one in await sessions(world, 2)}) == 2


async def test_sudo_is_not_taken_up_that_was_never_let_in(world: World, systemd: FakeSystemd) -> None:
    world.enforcer.may_admit.clear()
    sudo = await Sudo.connect(world)
    await sudo.send(hello_msg=pb.ClientHello(client_id=b"sudo"))
    async with asyncio.timeout(10):
        while not any(one["op"] == "admit" for one in world.enforcer.requests):
            await asyncio.sleep(0.01)
    await systemd.kill()
    assert systemd.kept == {}
    world.enforcer.may_admit.set()
    assert await sudo.closed()
    sudo.leave()
    await systemd.start()
    done = await begun(world)
    await done.send(exit_msg=pb.ExitMessage(exit_value=4))
    assert (await done.hear()).HasField("commit_point")
    done.leave()
    [ended] = await sessions(world, 1)
    assert (ended.exit_value, ended.lost) == (4, False)
    assert world.server.told("session_rejected") == []


async def test_a_sudo_that_waited_for_a_watcher_is_reported_as_not_let_in_once(
    world: World, systemd: FakeSystemd
) -> None:
    world.enforcer.admission = OUTPUT | {"watch_s": 60}
    sudo = await Sudo.connect(world)
    await sudo.send(hello_msg=pb.ClientHello(client_id=b"sudo"))
    await world.server.until(lambda: bool(world.server.told("session_waiting")))
    [waiting] = world.server.told("session_waiting")
    # sudo is told of it after that; killed before, it would not be known as one that waits yet.
    await world.server.until(lambda: bool(world.enforcer.told))
    await systemd.kill()
    assert await sudo.closed()
    sudo.leave()
    await systemd.start()
    await world.server.until(lambda: bool(world.server.told("session_rejected")))
    await systemd.kill()
    await systemd.start()
    world.enforcer.admission = OUTPUT
    done = await begun(world)
    await done.send(exit_msg=pb.ExitMessage(exit_value=0))
    assert (await done.hear()).HasField("commit_point")
    done.leave()
    await sessions(world, 1)
    [rejected] = world.server.told("session_rejected")
    assert rejected.session_id == waiting.session_id
    assert "stopped while sudo waited for a watcher" in rejected.reason


async def test_a_chunk_that_is_lost_while_the_agent_is_away_is_said_at_the_end(
    world: World, systemd: FakeSystemd
) -> None:
    """Its segments are gone: what follows it is kept all the same, and nobody takes the record for whole."""
    sudo = await begun(world)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    await world.server.stop()
    [folder] = (world.directory / "recordings").iterdir()
    block = frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(data=b"x" * 65_536)))
    await sudo.raw(block * 80)
    await gone(folder / "000000.raw")
    await systemd.kill()
    os.truncate(folder / "000001.chunk", 5_000)
    await world.server.start()
    await systemd.start()
    await sudo.raw(line(1))
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=0))
    sudo.leave()
    [ended] = await sessions(world, 1)
    assert (ended.exit_value, ended.lost, ended.incomplete) == (0, False, "a part of it was lost on this host")
    assert shown(world, ended).endswith(b"x" * 65_536 + b"line 1\n")
    assert 65 * 65_536 <= len(shown(world, ended)) - len(b"line 1\n") < 80 * 65_536
    assert ended.output_bytes == 80 * 65_536 + len(b"line 1\n")


def orders_since(world: World, session: str, seen: int) -> list[str]:
    """What the enforcer was asked to do about the session after so many requests."""
    return [
        one["op"]
        for one in world.enforcer.requests[seen:]
        if one.get("session") == session and one["op"] in {"freeze", "thaw", "kill"}
    ]


async def test_a_session_that_was_stopped_stays_so_until_the_server_is_heard_again(
    world: World, systemd: FakeSystemd
) -> None:
    """A new run knows no orders: that nobody has spoken yet is not the word that it may go on."""
    sudo = await begun(world)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    [session] = world.enforcer.sessions
    await order(world, session, frozen=True)
    await became(world, session, "frozen")
    await world.server.until(lambda: bool(world.server.told("session_frozen")))
    await world.server.stop()
    await systemd.kill()
    seen = len(world.enforcer.requests)
    await systemd.start()
    await world.server.until(lambda: bool(orders_since(world, session, seen)))
    assert orders_since(world, session, seen) == ["freeze"]
    await world.server.start()
    await connected(world)
    await order(world, session)
    await became(world, session, "running")
    sudo.leave()


async def test_a_session_that_nobody_watched_is_not_watched_because_the_agent_starts(
    world: World, systemd: FakeSystemd
) -> None:
    world.enforcer.admission = OUTPUT | {"watch_s": 600}
    sudo = await Sudo.connect(world)
    await sudo.send(hello_msg=pb.ClientHello(client_id=b"sudo"))
    await world.server.until(lambda: bool(world.server.told("session_waiting")))
    [session] = world.enforcer.sessions
    await order(world, session, watched=True)
    assert (await sudo.hear()).HasField("hello")
    await sudo.send(accept_msg=ID)
    await order(world, session)
    await became(world, session, "frozen")
    await world.server.until(lambda: bool(world.server.told("session_frozen")))
    await world.server.stop()
    await systemd.kill()
    seen = len(world.enforcer.requests)
    await systemd.start()
    await world.server.until(lambda: bool(orders_since(world, session, seen)))
    assert orders_since(world, session, seen) == ["freeze"]
    await world.server.start()
    await connected(world)
    await order(world, session, watched=True)
    await became(world, session, "running")
    sudo.leave()


async def test_what_is_sealed_counts_though_the_machine_lost_the_stream_it_came_from(
    world: World, systemd: FakeSystemd
) -> None:
    """Chunks are on the disk at once, and of the stream what the last commit point covers: all chunks are named."""
    sudo = await begun(world)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    [folder] = (world.directory / "recordings").iterdir()
    block = frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(data=b"x" * 65_536)))
    await sudo.raw(block * 40)
    await world.server.until(lambda: len(world.server.recordings.chunks.get(folder.name, [])) == 2)
    await systemd.kill()
    systemd.forget()
    sudo.leave()
    # As after a power cut: another boot, and a state that was never written.
    with (folder / "000000.raw").open("r+b") as segment:
        segment.seek(8)
        segment.write(bytes(16))
    (folder / "session").unlink()
    await systemd.start()
    [ended] = await sessions(world, 1)
    assert (ended.lost, ended.chunks) == (True, 2)
    assert shown(world, ended).startswith(b"x" * 65_536)


async def test_a_session_whose_state_is_lost_with_its_begin_names_the_chunks_it_has(
    world: World, systemd: FakeSystemd
) -> None:
    sudo = await begun(world)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    [folder] = (world.directory / "recordings").iterdir()
    block = frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(data=b"x" * 65_536)))
    await sudo.raw(block * 80)
    await gone(folder / "000000.raw")
    await systemd.kill()
    systemd.forget()
    sudo.leave()
    (folder / "session").write_bytes(b"")
    await systemd.start()
    [ended] = await sessions(world, 1)
    assert ended.lost
    assert ended.chunks >= 4
    assert "cannot be read" in ended.incomplete


async def test_an_agent_that_is_killed_between_two_segments_goes_on_in_the_next(
    world: World, systemd: FakeSystemd
) -> None:
    sudo = await begun(world)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    [folder] = (world.directory / "recordings").iterdir()
    first = folder / "000000.raw"

    def received() -> int:
        return int.from_bytes(first.read_bytes()[64:68], "big")

    left = CAPACITY - received()
    blocks = [frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(data=b"x" * 65_536)))] * (left // 70_000)
    left -= sum(map(len, blocks))
    around = len(frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(data=b"y" * (left - 100))))) - (left - 100)
    blocks.append(frame(pb.ClientMessage(ttyout_buf=pb.IoBuffer(data=b"y" * (left - around)))))
    await sudo.raw(b"".join(blocks))
    await world.server.until(lambda: received() == CAPACITY)
    await systemd.kill()
    # It died before it had made room for what comes next.
    (folder / "000001.raw").unlink(missing_ok=True)
    await systemd.start()
    await sudo.raw(line(1))
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=0))
    assert (await sudo.hear()).HasField("commit_point")
    sudo.leave()
    [ended] = await sessions(world, 1)
    assert (ended.lost, ended.incomplete) == (False, "")
    assert shown(world, ended).endswith(b"yline 1\n")
