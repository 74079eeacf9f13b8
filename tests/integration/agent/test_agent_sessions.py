"""Sessions at the gate and after it (SPEC 8.1, 8.2, 8.5): what is kept of them, and what is done to them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from jit_agent import session_orders
from jit_protos.sudo import log_server_pb2 as pb
from jit_protos.v1 import host_pb2
from jit_testing import sudo_iolog

from .conftest import World
from .recorded import INPUT, OUTPUT, chunks_of, frames_of, sessions
from .test_agent_gate import ALICE, ID, Sudo, accept, frame
from .test_agent_stream import connected


async def begun(world: World, admission: dict[str, Any], first: pb.AcceptMessage = ID) -> Sudo:
    await connected(world)
    world.enforcer.admission = admission
    sudo = await Sudo.connect(world)
    hello = (await sudo.hello()).hello
    assert hello.subcommands == admission.get("subcommands", False)
    await sudo.send(accept_msg=first)
    return sudo


async def finished(sudo: Sudo, status: int = 0) -> None:
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=status))
    assert (await sudo.hear()).HasField("commit_point")
    sudo.leave()


def typed(data: bytes) -> pb.IoBuffer:
    return pb.IoBuffer(delay=pb.TimeSpec(tv_nsec=500), data=data)


async def order(world: World, session: str, **what: Any) -> None:
    """The server's orders from now on, all of them."""
    orders = host_pb2.SessionOrders(orders=[host_pb2.SessionOrder(session_id=session, **what)] if what else [])
    world.server.streams[-1].outgoing.put_nowait(host_pb2.ServerMessage(orders=orders))


def session_of(world: World) -> str:
    [session] = world.enforcer.sessions
    return session


async def became(world: World, session: str, state: str) -> None:
    await world.server.until(lambda: world.enforcer.sessions[session] == state, within_s=20)


@pytest.mark.parametrize(("record", "kept"), [("none", b""), ("events", b""), ("output", b"$ "), ("input", b"$ ")])
async def test_so_much_is_kept_as_the_role_says(world: World, record: str, kept: bytes) -> None:
    sudo = await begun(world, ALICE | {"record": record})
    await sudo.send(ttyout_buf=typed(b"$ "))
    await sudo.send(ttyin_buf=typed(b"ls\n"))
    await finished(sudo)
    [ended] = await sessions(world, 1)
    [started] = world.server.told("session_started")
    assert list(started.argv) == ([] if record == "none" else ["id", "-u"])
    assert started.record == record
    assert (ended.output_bytes, ended.input_bytes) == (2, 3)
    if not kept:
        assert (ended.chunks, ended.digest) == (0, b"")
        return
    log = sudo_iolog.log_of(sudo_iolog.events_of(frames_of(world, ended)))
    assert (log["ttyout"], log["ttyin"]) == (kept, b"ls\n" if record == "input" else b"")


async def test_what_a_command_starts_is_told_where_the_role_wants_it(world: World) -> None:
    sudo = await begun(world, OUTPUT | {"subcommands": True})
    await sudo.send(accept_msg=accept(b"cc", b"-c", b"x.c", command=b"/usr/bin/cc", runuser=b"root", runcwd=b"/src"))
    infos = accept(b"reboot", command=b"/sbin/reboot", runuser=b"root").info_msgs
    await sudo.send(reject_msg=pb.RejectMessage(reason=b"not allowed", info_msgs=infos))
    await finished(sudo)
    [ended] = await sessions(world, 1)
    told = world.server.told("subcommand")
    assert [(list(one.argv), one.cwd, one.rejected) for one in told] == [
        (["cc", "-c", "x.c"], "/src", ""), (["reboot"], "", "not allowed"),
    ]  # fmt: skip
    assert {one.session_id for one in told} == {ended.session_id}
    assert len(world.server.told("session_started")) == 1


async def test_only_so_many_programs_are_listed_and_the_session_goes_on(world: World) -> None:
    sudo = await begun(world, OUTPUT | {"subcommands": True})
    one = frame(pb.ClientMessage(accept_msg=accept(b"true", command=b"/usr/bin/true", runuser=b"root")))
    await sudo.raw(one * 5_100)
    await sudo.send(ttyout_buf=typed(b"done"))
    await finished(sudo, 3)
    [ended] = await sessions(world, 1)
    told = world.server.told("subcommand")
    assert len(told) == 5_000
    assert "more than 5000 programs" in told[-1].command
    assert (ended.exit_value, ended.lost) == (3, False)


async def test_what_is_watched_is_sealed_at_once(world: World) -> None:
    sudo = await begun(world, OUTPUT)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    session = session_of(world)
    await sudo.send(ttyout_buf=typed(b"unseen"))
    await order(world, session, watched=True)
    await world.server.until(lambda: len(world.server.recordings.chunks.get(session, [])) == 1, 5)
    await sudo.send(ttyout_buf=typed(b"seen"))
    await world.server.until(lambda: len(world.server.recordings.chunks[session]) == 2, 5)
    await finished(sudo)
    [ended] = await sessions(world, 1)
    assert b"seen" in chunks_of(world, ended)[1][1]


async def test_freeze_thaw_and_kill_are_done_and_told(world: World) -> None:
    sudo = await begun(world, OUTPUT)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    session = session_of(world)
    await order(world, session, frozen=True, message="frozen by carol: what is this?\x1b[2J")
    await became(world, session, "frozen")
    assert world.enforcer.told[-1] == (session, "frozen by carol: what is this?\\x1b[2J")
    await order(world, session)
    await became(world, session, "running")
    await order(world, session, killed=True, message="ended by carol: enough")
    await became(world, session, "killed")
    await world.server.until(lambda: len(world.server.told("session_frozen")) == 2)
    assert [(one.frozen, one.why) for one in world.server.told("session_frozen")] == [(True, "order"), (False, "order")]
    sudo.leave()
    [ended] = await sessions(world, 1)
    assert ended.lost


async def test_a_watched_role_waits_for_its_watcher_and_stops_without_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_orders, "SILENCE_S", 2.0)
    await connected(world)
    world.enforcer.admission = OUTPUT | {"watch_s": 600}
    sudo = await Sudo.connect(world)
    await sudo.send(hello_msg=pb.ClientHello(client_id=b"sudo"))
    await world.server.until(lambda: bool(world.server.told("session_waiting")))
    session = session_of(world)
    assert list(world.server.told("session_waiting")[0].argv) == ["sudo", "id"]
    await world.server.until(lambda: bool(world.enforcer.told))
    assert f"jitctl sessions watch {session}" in world.enforcer.told[0][1]
    await order(world, session, watched=True)
    assert (await sudo.hear()).HasField("hello")
    await sudo.send(accept_msg=ID)
    await order(world, session)
    await became(world, session, "frozen")
    assert "nobody watches" in world.enforcer.told[-1][1]
    await order(world, session, watched=True)
    await became(world, session, "running")
    # Who watches is known to the server alone: one that is not heard might as well say nobody.
    # Its connection may live on, as over a cable that was cut.
    await became(world, session, "frozen")
    assert "not heard" in world.enforcer.told[-1][1]
    await order(world, session, watched=True)
    await became(world, session, "running")
    await finished(sudo)
    await sessions(world, 1)
    assert [one.why for one in world.server.told("session_frozen")] == ["unwatched"] * 4


async def test_nobody_watching_for_too_long_ends_the_session(world: World) -> None:
    await connected(world)
    world.enforcer.admission = OUTPUT | {"watch_s": 1}
    sudo = await Sudo.connect(world)
    await sudo.send(hello_msg=pb.ClientHello(client_id=b"sudo"))
    await world.server.until(lambda: bool(world.server.told("session_waiting")))
    session = session_of(world)
    await order(world, session, watched=True)
    assert (await sudo.hear()).HasField("hello")
    await sudo.send(accept_msg=ID)
    await order(world, session)
    await became(world, session, "killed")
    sudo.leave()


async def test_sudo_is_refused_when_nobody_comes_to_watch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_orders, "FIRST_WATCHER_S", 0.2)
    await connected(world)
    world.enforcer.admission = OUTPUT | {"watch_s": 60}
    sudo = await Sudo.connect(world)
    assert "nobody watched this command in time" in (await sudo.hello()).error
    sudo.leave()
    await world.server.until(lambda: bool(world.server.told("session_rejected")))
    assert world.server.told("session_rejected")[0].session_id == session_of(world)
    assert world.server.told("session_started") == []


async def test_a_session_leaves_nothing_behind_but_what_waits(world: World) -> None:
    sudo = await begun(world, INPUT)
    await sudo.raw(frame(pb.ClientMessage(ttyout_buf=typed(os.urandom(60_000)))) * 200)
    await finished(sudo)
    await sessions(world, 1)
    recordings = world.directory / "recordings"
    await world.server.until(lambda: list(recordings.iterdir()) == [])


async def test_an_order_is_done_however_much_is_said_with_it(world: World) -> None:
    """Each character that no terminal may get takes six; the enforcer takes 300 in all (SPEC 3.2)."""
    sudo = await begun(world, OUTPUT)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    session = session_of(world)
    await order(world, session, killed=True, message="\u200b" * 200)
    await became(world, session, "killed")
    assert len(world.enforcer.told[-1][1]) == 300
    sudo.leave()


async def test_what_the_enforcer_is_to_say_does_not_begin_with_its_own_name(world: World) -> None:
    """It puts "jit: ROLE on HOST: " before it."""
    await connected(world)
    world.enforcer.admission = OUTPUT | {"watch_s": 1}
    sudo = await Sudo.connect(world)
    await sudo.send(hello_msg=pb.ClientHello(client_id=b"sudo"))
    await world.server.until(lambda: bool(world.enforcer.told))
    session = session_of(world)
    await order(world, session, watched=True)
    assert (await sudo.hear()).HasField("hello")
    for watched in (False, True, False):
        await order(world, session, watched=watched)
        await became(world, session, "running" if watched else "frozen")
    await became(world, session, "killed")
    said = [message.split(":")[0] for _, message in world.enforcer.told]
    assert said == [
        "this command starts once somebody watches it",
        "this session is stopped",
        "this session goes on",
        "this session is stopped",
        "this session is ended",
    ]
    sudo.leave()
