"""Records that cannot go on (S5, SPEC 8.1): the session is ended and its person told, or it is marked and drained."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jit_agent import room, stopping
from jit_agent.errors import SpoolUnavailable
from jit_agent.recorder import Recorder
from jit_agent.spool import Spool
from jit_protos.sudo import log_server_pb2 as pb
from jit_testing import sudo_iolog

from .conftest import World
from .recorded import OUTPUT, frames_of, sessions
from .test_agent_gate import ALICE, Sudo, accept, frame
from .test_agent_real_sudo import outcome, rules, sudo
from .test_agent_sessions import became, begun, finished, session_of, typed
from .test_agent_stream import connected

__all__ = ["rules"]
BLOCK = frame(pb.ClientMessage(ttyout_buf=typed(b"y" * 500_000)))
BEST_EFFORT = OUTPUT | {"required": False}


def full(_: room.Room, size: int) -> None:
    raise SpoolUnavailable("no room in the test")


class FullSpool:
    """What sudo tells is not stored until `room` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = False
        append, close = Spool.append_session, Spool.close_session

        def append_or_not(spool: Spool, *words: object) -> object:
            self._look()
            return append(spool, *words)  # type: ignore[arg-type]

        def close_or_not(spool: Spool, *words: object) -> object:
            self._look()
            return close(spool, *words)  # type: ignore[arg-type]

        monkeypatch.setattr(Spool, "append_session", append_or_not)
        monkeypatch.setattr(Spool, "close_session", close_or_not)

    def _look(self) -> None:
        if not self.room:
            raise SpoolUnavailable("the spool is full")


async def filling(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Sudo, asyncio.Task[None]]:
    """A session that has to be recorded, on a disk that fills up while its command writes."""
    sudo = await begun(world, OUTPUT)
    await sudo.send(ttyout_buf=typed(b"before"))
    await world.server.until(lambda: bool(world.server.told("session_started")))
    monkeypatch.setattr(room.Room, "take", full)
    return sudo, asyncio.create_task(sudo.raw(BLOCK * 20))


async def test_a_full_disk_refuses_what_must_be_recorded_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S5: "A role that requires recording never runs a command before its record is open"."""
    await connected(world)
    world.enforcer.admission = OUTPUT
    monkeypatch.setattr(room.Room, "take", full)
    sudo = await Sudo.connect(world)
    assert (await sudo.hello()).error == "jit: this host cannot record commands now: no room in the test"
    sudo.leave()
    marked = await begun(world, BEST_EFFORT)
    await marked.send(ttyout_buf=typed(b"x" * 100_000))
    await finished(marked, 2)
    [ended] = await sessions(world, 1)
    assert (ended.exit_value, ended.chunks, ended.incomplete) == (2, 0, "no room in the test")
    assert ended.output_bytes == 100_000


@pytest.mark.parametrize("required", [True, False])
async def test_a_disk_that_fills_in_the_middle_ends_the_session_or_marks_it(
    world: World, monkeypatch: pytest.MonkeyPatch, required: bool
) -> None:
    """S5: "a lost record ends the session"."""
    sudo = await begun(world, OUTPUT | {"required": required})
    await sudo.send(ttyout_buf=typed(b"before"))
    await world.server.until(lambda: bool(world.server.told("session_started")))
    monkeypatch.setattr(room.Room, "take", full)
    session = session_of(world)
    sending = asyncio.create_task(sudo.raw(BLOCK * 20))
    if required:
        answer = await sudo.hear()
        assert "no room in the test" in answer.abort
        await became(world, session, "killed")
    else:
        await sending
        await finished(sudo, 1)
    await asyncio.gather(sending, return_exceptions=True)
    sudo.leave()
    [ended] = await sessions(world, 1)
    assert (ended.lost, ended.incomplete) == (required, "no room in the test")
    log = sudo_iolog.log_of(sudo_iolog.events_of(frames_of(world, ended)))
    assert log["ttyout"].startswith(b"beforey")
    assert len(log["ttyout"]) < 10_000_000


async def test_sudo_may_say_why_before_its_session_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "SAY_WHY_S", 20.0)
    sudo, sending = await filling(world, monkeypatch)
    session = session_of(world)
    assert "no room in the test" in (await sudo.hear()).abort
    assert world.enforcer.sessions[session] == "running"
    sending.cancel()
    sudo.leave()
    await became(world, session, "killed")
    assert world.enforcer.told[-1] == (session, "no room in the test")


async def test_whoever_has_no_terminal_reads_why_the_command_was_ended(
    world: World, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All they would read else is "Killed"."""
    monkeypatch.setattr(stopping, "SAY_WHY_S", 20.0)
    await connected(world)
    world.enforcer.admission = ALICE | {"record": "output"}
    with Path("/dev/null").open("wb") as nowhere:
        process = await sudo(rules, "/bin/sh", "-c", "sleep 1; exec yes", to=nowhere)
    await world.server.until(lambda: bool(world.server.told("session_started")))
    order = world.enforcer._order

    def killing(op: str, session: str, message: str) -> dict[str, Any]:
        if op == "kill":
            process.kill()
        return order(op, session, message)

    monkeypatch.setattr(world.enforcer, "_order", killing)
    monkeypatch.setattr(room.Room, "take", full)
    status, _, errors = await outcome(process)
    assert status != 0
    assert "jit: no room in the test" in errors


async def test_an_enforcer_that_is_away_for_a_moment_still_ends_the_session(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sudo, sending = await filling(world, monkeypatch)
    session = session_of(world)
    await world.enforcer.__aexit__(None, None, None)
    assert (await sudo.hear()).HasField("abort")
    sending.cancel()
    sudo.leave()
    await world.server.until(lambda: "is not ended yet" in caplog.text)
    await world.enforcer.__aenter__()
    await became(world, session, "killed")


async def test_a_spool_that_is_full_for_a_moment_holds_up_the_end_of_a_command_no_longer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing else is kept of a session its report has to be stored before sudo may end."""
    spool = FullSpool(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(room.Room, "take", full)
        sudo = await begun(world, BEST_EFFORT)
    await sudo.send(exit_msg=pb.ExitMessage(exit_value=3))
    hearing = asyncio.create_task(sudo.hear())
    done, _ = await asyncio.wait([hearing], timeout=1.5)
    assert not done
    spool.room = True
    assert (await hearing).HasField("commit_point")
    sudo.leave()
    [ended] = await sessions(world, 1)
    assert ended.exit_value == 3
    assert len(world.server.told("session_started")) == 1


async def test_what_is_not_recorded_any_more_does_not_wait_for_reports(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = FullSpool(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(room.Room, "take", full)
        sudo = await begun(world, BEST_EFFORT | {"subcommands": True})
    words = [b"x" * 1_000] * 7
    one = frame(pb.ClientMessage(accept_msg=accept(b"cc", *words, command=b"/usr/bin/cc", runuser=b"root")))
    async with asyncio.timeout(20):
        # More than the sockets between them hold.
        await sudo.raw(one * 3_000)
    spool.room = True
    await finished(sudo)
    await sessions(world, 1)


async def test_a_systemd_that_does_not_answer_ends_no_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from systemd import daemon

    def broken(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    # It has to have heard that the agent is there: one that never did starts it anew.
    await connected(world)
    monkeypatch.setattr(daemon, "notify", broken)
    sudo = await begun(world, OUTPUT)
    await sudo.send(ttyout_buf=typed(b"seen"))
    await finished(sudo)
    [ended] = await sessions(world, 1)
    assert b"seen" in frames_of(world, ended)


async def test_a_mistake_of_ours_at_the_gate_lets_nobody_in_and_keeps_nobody_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake")

    await connected(world)
    world.enforcer.admission = OUTPUT
    monkeypatch.setattr(Recorder, "begin", mistaken)
    sudo = await Sudo.connect(world)
    await sudo.send(hello_msg=pb.ClientHello(client_id=b"sudo"))
    assert await sudo.closed()
    sudo.leave()
