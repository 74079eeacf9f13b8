"""What sudo waits for: to be let in, for the enforcer's word; to end (S7), for its bytes on the disk; nothing else."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jit_agent.errors import SpoolUnavailable
from jit_agent.segments import Segments
from jit_agent.spool import Spool
from jit_protos.sudo import log_server_pb2 as pb

from .conftest import World
from .recorded import OUTPUT, sessions
from .test_agent_gate import ALICE, ID, Sudo
from .test_agent_stream import GRANT, connected, signed

LATE_S = 0.3


async def begun(world: World, record: str = "output") -> Sudo:
    await connected(world)
    world.enforcer.admission = ALICE | OUTPUT | {"record": record}
    sudo = await Sudo.connect(world)
    assert (await sudo.hello()).HasField("hello")
    await sudo.send(accept_msg=ID)
    return sudo


@pytest.mark.parametrize("record", ["output", "events"])
async def test_sudo_does_not_wait_for_reports(world: World, monkeypatch: pytest.MonkeyPatch, record: str) -> None:
    """They follow from what is on the disk, and come when the spool takes them."""
    slow = threading.Event()
    close, append = Spool.close_session, Spool.append_session

    def closes_late(self: Spool, *words: object) -> object:
        slow.wait(20)
        return close(self, *words)  # type: ignore[arg-type]

    def appends_late(self: Spool, *words: object) -> object:
        slow.wait(20)
        return append(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(Spool, "close_session", closes_late)
    monkeypatch.setattr(Spool, "append_session", appends_late)
    sudo = await begun(world, record)
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=3))
    assert (await sudo.hear()).HasField("commit_point")
    sudo.leave()
    assert world.server.told("session_ended") == []
    slow.set()
    [ended] = await sessions(world, 1)
    assert ended.exit_value == 3
    assert len(world.server.told("session_started")) == 1


async def test_no_commit_point_comes_before_the_bytes_are_on_the_disk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, full = Segments.sync, threading.Event()
    full.set()

    def to_a_full_disk(self: Segments, start: int, end: int) -> None:
        if full.is_set():
            raise SpoolUnavailable("the disk is full")
        sync(self, start, end)

    sudo = await begun(world)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    monkeypatch.setattr(Segments, "sync", to_a_full_disk)
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=0))
    hearing = asyncio.create_task(sudo.hear())
    done, _ = await asyncio.wait([hearing], timeout=LATE_S)
    assert not done
    full.clear()
    assert (await hearing).HasField("commit_point")
    sudo.leave()
    await sessions(world, 1)


async def test_an_exit_that_waits_for_nothing_ends_the_connection(world: World) -> None:
    """sudo_sendlog -A waits for the other side to close."""
    await connected(world)
    world.enforcer.admission = OUTPUT
    sudo = await Sudo.connect(world)
    assert (await sudo.hello()).HasField("hello")
    told = pb.AcceptMessage()
    told.CopyFrom(ID)
    told.expect_iobufs = False
    await sudo.send(accept_msg=told)
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=6))
    assert await sudo.closed()
    sudo.leave()
    [ended] = await sessions(world, 1)
    assert ended.exit_value == 6


async def test_sudo_is_let_in_while_a_grant_is_being_applied(world: World) -> None:
    """Whoever is at the gate waits behind no other request of the enforcer."""
    await connected(world)
    world.enforcer.admission = OUTPUT
    world.enforcer.may_apply.clear()
    await world.server.push(signed(GRANT))
    await world.server.until(lambda: any(one["op"] == "apply" for one in world.enforcer.requests))
    sudo = await Sudo.connect(world)
    assert (await sudo.hello()).HasField("hello")
    world.enforcer.may_apply.set()
    sudo.leave()
    await sessions(world, 1)
