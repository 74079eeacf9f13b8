"""`log` on the local socket (SPEC 4.2): a person's own sessions, by the kernel's word, in one answer."""

from __future__ import annotations

import json

import pytest

from jit_protos.v1 import sessions_pb2
from jit_testing.fake_session_calls import session

from .conftest import NOBODY, World
from .test_agent_people import give
from .test_agent_stream import GRANT, connected


def session_id(number: int) -> str:
    return f"ses-{number:016}"


def details(number: int = 1, **changes: object) -> sessions_pb2.SessionDetails:
    return sessions_pb2.SessionDetails(session=session(session_id(number), **changes))


async def test_log_asks_for_the_person_by_the_kernels_word(world: World) -> None:
    await connected(world)
    world.server.sessions = [details(number) for number in range(1, 40)]
    answer = await world.ask(op="log", session="", limit=3)
    assert [one["session_id"] for one in answer["sessions"]] == [session_id(number) for number in (1, 2, 3)]
    assert (answer["truncated"], answer["sessions"][0]["state"], answer["sessions"][0]["recording"]) == (
        True, "ended", "whole",
    )  # fmt: skip
    asked = world.server.asked[-1]
    assert (asked.user.uid, asked.user.name, asked.limit) == (NOBODY.pw_uid, "nobody", 3)
    assert len((await world.ask(op="log"))["sessions"]) == 20
    everything = await world.ask(op="log", limit=1000)
    assert (len(everything["sessions"]), everything["truncated"]) == (39, False)


async def test_log_of_one_session_has_its_environment_and_commands(world: World) -> None:
    await connected(world)
    one = details(7, rows=24, columns=80)
    one.environment.append("TERM=xterm")
    one.commands.add(at=1_700_000_000_500_000, command="/bin/sh", argv=["/bin/sh"], cwd="/", run_as_user="root")
    world.server.sessions = [one]
    answer = await world.ask(op="log", session=session_id(7), limit=0)
    assert (answer["session"]["session_id"], answer["session"]["columns"]) == (session_id(7), 80)
    assert (answer["environment"], answer["truncated"]) == (["TERM=xterm"], False)
    assert answer["commands"] == [
        {"at": 1_700_000_000_500_000, "command": "/bin/sh", "argv": ["/bin/sh"], "cwd": "/", "run_as_user": "root",
         "rejected": ""}
    ]  # fmt: skip
    missing = await world.ask(op="log", session="ses-9")
    assert missing["error"] == {"code": "not_found", "message": "no such session", "hint": "jit log"}


async def test_more_than_one_answer_holds_is_left_out_and_said(world: World) -> None:
    await connected(world)
    long = ["x" * 60_000]
    world.server.sessions = [details(number, argv=long) for number in range(1, 31)]
    answer = await world.ask(op="log", limit=30)
    listed = [one["session_id"] for one in answer["sessions"]]
    assert listed == [session_id(number) for number in range(1, len(listed) + 1)]
    assert (10 < len(listed) < 30, answer["truncated"]) == (True, True)
    one = details(1)
    for number in range(30):
        one.commands.add(at=1_700_000_000_000_000 + number, command="/bin/echo", argv=long)
    world.server.sessions = [one]
    shown = await world.ask(op="log", session=session_id(1))
    assert (10 < len(shown["commands"]) < 30, shown["truncated"]) == (True, True)
    assert shown["commands"][0]["at"] == 1_700_000_000_000_000


async def test_a_session_longer_than_an_answer_is_refused_with_what_else_shows_it(world: World) -> None:
    await connected(world)
    one = details(1)
    one.environment.extend(["X=" + "\u00e4" * 100_000, "Y=" + "\u00e4" * 100_000])
    world.server.sessions = [one]
    error = (await world.ask(op="log", session=session_id(1)))["error"]
    assert (error["code"], error["hint"]) == ("invalid", f"jitctl sessions show {session_id(1)}")


@pytest.mark.parametrize(
    "broken",
    [
        session("ses-x"),
        session(state=sessions_pb2.SESSION_STATE_UNSPECIFIED),
        session(state=99),
        session(recording=sessions_pb2.RECORDING_STATE_UNSPECIFIED),
    ],
    ids=["no id", "no state", "an unknown state", "no recording"],
)
async def test_a_session_that_none_can_be_is_refused_as_a_whole(world: World, broken: sessions_pb2.Session) -> None:
    await connected(world)
    world.server.sessions = [sessions_pb2.SessionDetails(session=broken)]
    assert (await world.ask(op="log"))["error"]["code"] == "unavailable"
    world.server.sessions = [details()]
    assert len((await world.ask(op="log"))["sessions"]) == 1


async def test_without_the_server_log_says_so(world: World) -> None:
    await connected(world)
    await world.server.stop()
    assert (await world.ask(op="log"))["error"]["code"] == "unavailable"


async def test_root_inside_a_grant_reads_no_log(world: World, scope: tuple[str, str]) -> None:
    grant_id, enter = scope
    await give(world, grant_id)
    (refused,) = await world.talk(json.dumps({"op": "log"}).encode() + b"\n", uid=0, first=enter)
    assert refused["error"]["code"] == "denied"
    assert (await world.ask(op="log"))["ok"] is True
    assert grant_id != GRANT


@pytest.mark.parametrize(
    "keys", [{"limit": 1001}, {"limit": -1}, {"limit": True}, {"session": 7}, {"session": "x" * 300}, {"host": "web1"}],
    ids=str,
)  # fmt: skip
async def test_a_log_request_that_breaks_its_contract_is_refused(world: World, keys: dict[str, object]) -> None:
    await connected(world)
    assert (await world.ask(op="log", **keys))["error"]["code"] == "invalid"
    assert world.server.asked == []
