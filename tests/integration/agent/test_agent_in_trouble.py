"""What the agent still does, and what its doctor says, when something of it or of its host is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jit_agent import daemon
from jit_agent.chunks import Chunks
from jit_agent.config import Config, load_or_explain
from jit_agent.errors import SpoolUnavailable
from jit_agent.spool import Spool
from jit_testing.sealed_chunks import write

from .conftest import Json, World
from .test_agent_people import give
from .test_agent_stream import GRANT, connected, settled


async def test_the_doctor_finds_what_is_wrong_and_says_how_to_mend_it(world: World) -> None:
    await connected(world)
    world.enforcer.problems = ["/etc/sudoers.d/zzz-jit is missing"]
    world.server.clock_ahead_us = 400 * 1_000_000
    await world.server.stop()
    await world.server.start()
    await connected(world)
    await settled(world)
    answer = await world.ask(op="doctor")
    checks = {check["name"]: check for check in answer["checks"]}
    assert checks["enrolment"]["ok"] is True
    assert checks["server"]["ok"] is True
    assert (checks["enforcement"]["ok"], checks["enforcement"]["detail"]) == (
        False,
        "/etc/sudoers.d/zzz-jit is missing",
    )
    assert checks["clock"]["ok"] is False
    assert "behind the server" in checks["clock"]["detail"]
    assert all(check["fix"] for check in checks.values() if not check["ok"])


async def test_the_doctor_shows_recordings_that_the_server_refused_until_they_are_moved_away(world: World) -> None:
    await connected(world)
    await world.stop()
    root, session_id = world.directory / "recordings", "ses-0000000000000001"
    chunks = Chunks(root)
    write(chunks, session_id, 0, b"x" * 2_000_000)
    chunks.put_aside(session_id, "chunk 0 is another than the one that is kept")

    async def recordings() -> Json:
        await world.start()
        answer = await world.ask(op="doctor")
        return next(check for check in answer["checks"] if check["name"] == "recordings")

    found = await recordings()
    assert (found["ok"], found["detail"]) == (False, "1 recording was refused by the server, 1 MiB on this disk")
    assert str(root) in found["fix"]
    await world.stop()
    (root / session_id).rename(world.directory / session_id)
    assert (await recordings())["ok"] is True


async def test_without_enrolment_the_doctor_answers_and_everything_else_says_why(world: World) -> None:
    await world.stop()
    world.config.write_text("server = 7\n")
    await world.start_unenrolled()
    answer = await world.ask(op="doctor")
    enrolment = next(check for check in answer["checks"] if check["name"] == "enrolment")
    assert enrolment["ok"] is False
    assert "enroll" in enrolment["fix"]
    assert (await world.ask(op="ls"))["error"]["code"] == "unavailable"
    assert (await world.ask(op="status", all=False))["server"]["connected"] is False


async def test_the_agent_notices_its_enrolment_by_itself(world: World) -> None:
    await world.stop()
    world.config.unlink()
    await world.start_unenrolled()
    world.enrol()
    assert world.agent is not None
    assert await asyncio.wait_for(world.agent, 20) == 75


async def test_a_spool_that_cannot_be_opened_leaves_drop_and_doctor_working(world: World) -> None:
    await give(world)
    await world.stop()
    spool: Path = world.directory / "spool.db"
    spool.write_bytes(b"this is no database" * 100)
    await world.start()
    checks = {check["name"]: check for check in (await world.ask(op="doctor"))["checks"]}
    assert checks["enrolment"]["ok"] is True, "a new one mends no disk"
    assert (checks["spool"]["ok"], "df" in checks["spool"]["fix"]) == (False, True)
    dropped = await world.ask(op="drop", grant="")
    assert [proof["grant"] for proof in dropped["dropped"]] == [GRANT]


async def test_a_folder_for_recordings_that_cannot_be_used_is_named_until_it_is_mended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connected(world)
    await world.stop()
    looked: list[Path] = []

    def looking(path: Path) -> Config:
        looked.append(path)
        return load_or_explain(path)

    monkeypatch.setattr(daemon, "LOOK_S", 0.02)
    monkeypatch.setattr(daemon, "load_or_explain", looking)
    recordings = world.directory / "recordings"
    for left in recordings.iterdir():
        left.rmdir()
    recordings.rmdir()
    recordings.write_text("a file, where a folder should be")
    await world.start()
    checks = {check["name"]: check for check in (await world.ask(op="doctor"))["checks"]}
    assert checks["enrolment"]["ok"] is True
    assert checks["recordings"]["ok"] is False
    assert str(recordings) in checks["recordings"]["detail"]
    agent = world.agent
    assert agent is not None
    seen = len(looked)
    await world.server.until(lambda: len(looked) > seen + 2 or agent.done())
    assert not agent.done(), "what is missing is not there yet"
    recordings.unlink()
    assert await asyncio.wait_for(agent, 20) == 75


async def test_a_spool_that_takes_nothing_keeps_no_agent_from_starting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SpoolUnavailable("the spool cannot be written: disk full")

    await give(world)
    await world.stop()
    monkeypatch.setattr(Spool, "forget_sessions", full)
    await world.start()
    dropped = await world.ask(op="drop", grant="")
    assert [proof["grant"] for proof in dropped["dropped"]] == [GRANT]
