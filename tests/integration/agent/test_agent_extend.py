"""`extend`, one sudo, one login session and a later start, over the local socket (SPEC 2.6, 4.2, REVIEW 14)."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from jit_agent import peer
from jit_protos.v1 import common_pb2, host_pb2
from jit_testing.fake_enforcer import envelope
from jit_testing.fake_server import ScriptedError, grant, pending

from .conftest import LOG_IN, LOG_OUT, NOBODY, Json, Person, World
from .test_agent_people import ASK, give
from .test_agent_stream import GRANT, OTHER, connected, settled

EXTENSION = "req-0000000000000008"
NOON, EVENING = 4_000_000_000_000_000, 4_000_010_000_000_000
ROLE = {"op": "request", "role": "web-operator", "ask": {"argv": []}}


def encoded(**request: Any) -> bytes:
    return json.dumps(request).encode() + b"\n"


async def push(world: World, *, revision: int, **changes: Any) -> None:
    """The whole set is this revision of one grant of nobody's."""
    mine: dict[str, Any] = {"uid": NOBODY.pw_uid, "user": "nobody"} | changes
    signed = envelope(GRANT, revision=revision, **mine)
    await world.server.push(host_pb2.SignedGrant(grant_id=GRANT, revision=revision, envelope=signed))
    await settled(world)


async def test_the_only_grant_is_extended_without_naming_it(world: World) -> None:
    await give(world)
    answer = await world.ask(op="extend", grant="", duration_s=600, reason="slow", ticket="T-1", otp="123456")
    assert (answer["request"]["extends"], answer["request"]["state"]) == (GRANT, "pending")
    asked = world.server.asked[-1]
    assert (asked.grant_id, asked.duration_s, asked.reason, asked.ticket, asked.otp) == (
        GRANT, 600, "slow", "T-1", "123456",
    )  # fmt: skip
    assert (asked.user.uid, asked.user.name) == (NOBODY.pw_uid, "nobody")


async def test_of_several_grants_one_is_extended_by_a_start_of_its_id(world: World) -> None:
    await give(world)
    await give(world, OTHER)
    unnamed = await world.ask(op="extend", grant="")
    assert (unnamed["error"]["code"], "2 live grants" in unnamed["error"]["message"]) == ("usage", True)
    assert (await world.ask(op="extend", grant="0000000000000002"))["request"]["extends"] == OTHER


async def test_a_grant_of_somebody_else_cannot_be_extended(world: World) -> None:
    await give(world, uid=1001, user="alice")
    for wanted in (GRANT, ""):
        answer = await world.ask(op="extend", grant=wanted)
        assert answer["error"]["code"] == "not_found"
    assert world.server.asked == []


async def test_what_the_server_wants_to_hear_past_the_maximum_reaches_the_person(world: World) -> None:
    await give(world)
    world.server.fail = ScriptedError(grpc.StatusCode.INVALID_ARGUMENT, "a reason is needed", "invalid", "add -m")
    answer = await world.ask(op="extend", grant="")
    assert answer["error"] == {"code": "invalid", "message": "a reason is needed", "hint": "add -m"}


async def test_an_extension_is_in_force_when_the_host_promises_the_new_end(world: World) -> None:
    """SPEC 4.2: "until in force on this host (of an extension: with the new end)"."""
    await connected(world)
    await push(world, revision=1, not_after=NOON, until=NOON)
    await world.server.decide(pending(EXTENSION, extends=GRANT))
    person = await Person.connect(world, NOBODY.pw_uid)
    try:
        await person.send(encoded(op="wait", request=EXTENSION))
        answers = person.answers()
        first = await anext(answers)
        assert (first["request"]["extends"], first["in_force"]) == (GRANT, False)
        active = common_pb2.GRANT_STATE_ACTIVE
        longer = grant(GRANT, active, not_after=EVENING, extensions=1)
        approved = common_pb2.REQUEST_STATE_APPROVED
        await world.server.decide(pending(EXTENSION, extends=GRANT, state=approved, grant=longer))
        # The grant lives, but only to its old end: the server's word alone is not enough.
        second = await anext(answers)
        assert (second["request"]["grant"]["not_after"], second["in_force"]) == (EVENING, False)
        # A lease ends earlier by itself; what counts is what was promised.
        await push(world, revision=2, not_after=NOON, until=EVENING)
        third = await anext(answers)
        assert third["in_force"] is True
        assert [answer async for answer in answers] == []
    finally:
        await person.leave()


async def test_waiting_for_an_extension_ends_when_the_grant_is_over_first(world: World) -> None:
    await connected(world)
    over = grant(GRANT, common_pb2.GRANT_STATE_ENDED)
    await world.server.decide(
        pending(EXTENSION, extends=GRANT, state=common_pb2.REQUEST_STATE_CANCELLED, grant=over)
    )  # fmt: skip
    lines = await world.talk(encoded(op="wait", request=EXTENSION))
    assert [line["in_force"] for line in lines] == [False]


async def test_root_inside_a_grant_extends_that_grant_in_its_owners_name(world: World, scope: tuple[str, str]) -> None:
    """REVIEW 14."""
    mine, enter = scope
    await give(world, mine)
    await give(world, OTHER)
    [answer] = await world.talk(encoded(op="extend", grant=""), uid=0, first=enter)
    assert answer["request"]["extends"] == mine
    assert (world.server.asked[-1].user.uid, world.server.asked[-1].user.name) == (NOBODY.pw_uid, "nobody")
    [refused] = await world.talk(encoded(op="extend", grant=OTHER), uid=0, first=enter)
    assert refused["error"]["code"] == "not_found"
    [refused] = await world.talk(encoded(op="ls"), uid=0, first=enter)
    assert refused["error"]["code"] == "denied"
    [outside] = await world.talk(encoded(op="extend", grant=mine), uid=0)
    assert outside["error"]["code"] == "denied"


async def test_root_inside_a_grant_waits_for_what_extends_it_and_hears_of_nothing_else(
    world: World, scope: tuple[str, str]
) -> None:
    mine, enter = scope
    await give(world, mine)
    denied = common_pb2.REQUEST_STATE_DENIED
    await world.server.decide(pending(EXTENSION, extends=mine, state=denied))
    await world.server.decide(pending("req-0000000000000009", state=denied, reason="a secret plan"))
    [line] = await world.talk(encoded(op="wait", request=EXTENSION), uid=0, first=enter)
    assert line["request"]["state"] == "denied"
    [refused] = await world.talk(encoded(op="wait", request="req-0000000000000009"), uid=0, first=enter)
    assert (refused["error"]["code"], "secret" in json.dumps(refused)) == ("denied", False)


async def test_this_session_is_the_one_the_kernel_names(world: World) -> None:
    await connected(world)
    report = f'{LOG_IN} && cat /proc/self/sessionid >"{world.directory}/session"'
    [answer] = await world.talk(encoded(**ROLE, this_session=True, once=True), first=report)
    asked = world.server.asked[-1]
    assert asked.session == int((world.directory / "session").read_text())
    assert (asked.once, answer["request"]["once"], answer["request"]["this_session"]) == (True, True, True)
    [answer] = await world.talk(encoded(**ROLE), first=LOG_IN)
    assert (world.server.asked[-1].session, world.server.asked[-1].once) == (0, False)


async def test_a_session_that_no_login_started_is_refused(world: World) -> None:
    await connected(world)
    [refused] = await world.talk(encoded(**ROLE, this_session=True), first=LOG_OUT)
    assert refused["error"]["code"] == "config"
    assert "does not track login sessions" in refused["error"]["message"]
    assert world.server.asked == []


async def test_on_an_older_kernel_the_session_is_found_by_the_process_number(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian 12 has Linux 6.1, SO_PEERPIDFD came with 6.5."""

    def missing(connection: Any) -> int:
        raise OSError("not that kernel")

    monkeypatch.setattr(peer, "_peer_pidfd", missing)
    await connected(world)
    [answer] = await world.talk(encoded(**ROLE, this_session=True), first=LOG_IN)
    assert answer["request"]["this_session"] is True
    assert world.server.asked[-1].session > 0
    # Whose number it is by now is checked: of another person's process nothing is believed.
    monkeypatch.setattr(peer._Process, "_uid", lambda process: 4711)
    [refused] = await world.talk(encoded(**ROLE, this_session=True), first=LOG_IN)
    assert refused["error"]["code"] == "config"


async def test_a_grant_for_one_session_is_used_only_in_it(world: World) -> None:
    await connected(world)
    report = f'{LOG_IN} && cat /proc/self/sessionid >"{world.directory}/session"'
    person = await Person.connect(world, NOBODY.pw_uid, report)
    try:
        while not (world.directory / "session").exists() or not (world.directory / "session").read_text():
            await world.ask(op="doctor")
        session = int((world.directory / "session").read_text())
        await push(world, revision=1, session=session)
        await person.send(encoded(op="plan", ask=ASK, role=""))
        here = [answer async for answer in person.answers()][-1]
        assert (here["live"]["grant"], here["live"]["session"]) == (GRANT, session)
    finally:
        await person.leave()
    elsewhere: Json = (await world.talk(encoded(op="plan", ask=ASK, role=""), first=LOG_IN))[-1]
    assert elsewhere["live"] is None


async def test_a_grant_for_one_sudo_covers_nothing_once_it_is_used(world: World) -> None:
    await connected(world)
    await push(world, revision=1, once=True)
    assert (await world.ask(op="plan", ask=ASK, role=""))["live"]["grant"] == GRANT
    world.enforcer.live[GRANT]["used"] = True
    assert (await world.ask(op="plan", ask=ASK, role=""))["live"] is None
    [live] = (await world.ask(op="status", all=False))["live"]
    assert (live["once"], live["used"]) == (True, True)


async def test_a_scheduled_request_is_waited_for_through_to_its_start(world: World) -> None:
    await connected(world)
    await world.server.decide(pending(starts_at=NOON))
    person = await Person.connect(world, NOBODY.pw_uid)
    try:
        await person.send(encoded(op="wait", request="req-0"))
        answers = person.answers()
        assert (await anext(answers))["request"]["starts_at"] == NOON
        scheduled = grant(GRANT, common_pb2.GRANT_STATE_SCHEDULED, not_before=NOON)
        approved = common_pb2.REQUEST_STATE_APPROVED
        await world.server.decide(pending(state=approved, grant=scheduled, starts_at=NOON))
        second = await anext(answers)
        assert (second["request"]["grant"]["state"], second["in_force"]) == ("scheduled", False)
        await world.server.decide(pending(state=approved, grant=grant(GRANT), starts_at=NOON))
        assert (await anext(answers))["request"]["grant"]["state"] == "issued"
        await give(world)
        assert [answer["in_force"] async for answer in answers] == [True]
    finally:
        await person.leave()


async def test_a_later_start_is_asked_for_as_it_was_given(world: World) -> None:
    await connected(world)
    answer = await world.ask(**ROLE, starts_at=NOON)
    assert (world.server.asked[-1].starts_at, answer["request"]["starts_at"]) == (NOON, NOON)
    assert (await world.ask(**ROLE, starts_at=-1))["error"]["code"] == "invalid"


async def test_status_says_since_when_the_server_is_away(world: World) -> None:
    await give(world)
    there = (await world.ask(op="status", all=False))["server"]
    assert there["connected"] is True
    await world.server.stop()
    await world.server.until(lambda: not world.server.streams)
    away = (await world.ask(op="status", all=False))["server"]
    assert (away["connected"], away["since"] > there["since"]) == (False, True)
