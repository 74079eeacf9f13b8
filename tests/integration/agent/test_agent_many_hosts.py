"""Requests for several hosts, dry runs, renewals, and whose an account is, at a real agent (SPEC 4.2, 9.7)."""

from __future__ import annotations

import pwd

import pytest

from jit_agent.account_queries import owner
from jit_agent.model import Person as LocalPerson
from jit_protos.v1 import common_pb2, host_pb2
from jit_testing.fake_eligibility_calls import END, a_batch
from jit_testing.fake_server import pending

from .conftest import NOBODY, Json, Person, World
from .test_agent_people import ASK
from .test_agent_stream import connected

REQUEST: Json = {"op": "request", "role": "web-operator", "ask": ASK, "reason": "look"}


async def test_the_hosts_and_how_each_stands_go_through(world: World) -> None:
    await connected(world)
    answer = await world.ask(**REQUEST, hosts=["tier=web", "web2"])
    made = answer["request"]
    assert list(world.server.asked[-1].hosts) == ["tier=web", "web2"]
    assert made["batch_id"] == "bat-0000000000000001"
    assert made["batch"][0] == {
        "host": "tier=web",
        "request_id": "req-0000000000000001",
        "state": "pending",
        "grant_state": "",
        "why": "",
    }
    assert made["batch"][-1] == {
        "host": "web9",
        "request_id": "",
        "state": "",
        "grant_state": "",
        "why": "web9: it is not connected",
    }


async def test_a_dry_run_has_no_id_and_is_told_apart(world: World) -> None:
    await connected(world)
    answer = await world.ask(**REQUEST, dry_run=True)
    assert (answer["request"]["request_id"], world.server.asked[-1].dry_run) == ("", True)
    assert not (await world.ask(**REQUEST))["request"]["batch"]
    assert not world.server.asked[-1].dry_run


@pytest.mark.parametrize(
    "wrong",
    [{"hosts": "tier=web"}, {"hosts": ["x" * 257]}, {"hosts": ["a"] * 101}, {"hosts": [1]}, {"dry_run": 1}],
)
async def test_hosts_that_are_none_are_refused_before_the_server(world: World, wrong: Json) -> None:
    await connected(world)
    refused = await world.ask(**(REQUEST | wrong))
    assert refused["error"]["code"] == "invalid"
    assert world.server.asked == []


async def test_the_wait_goes_on_until_each_host_has_it_in_force(world: World) -> None:
    await connected(world)
    await world.ask(**REQUEST, hosts=["web1", "web2"])
    approved = pending(state=common_pb2.REQUEST_STATE_APPROVED)
    person = await Person.connect(world, NOBODY.pw_uid)
    try:
        await person.send(b'{"op": "wait", "request": "req-0000000000000001"}\n')
        lines = person.answers()
        first = await anext(lines)
        assert (first["in_force"], first["request"]["state"]) == (False, "pending")
        half = a_batch("web1", "web2", state=common_pb2.REQUEST_STATE_APPROVED, grants=common_pb2.GRANT_STATE_ACTIVE)
        half.batch[1].grant_state = common_pb2.GRANT_STATE_ISSUED
        half.MergeFrom(approved)
        await world.server.decide(half)
        while not (line := await anext(lines)):
            pass
        assert (line["in_force"], [host["grant_state"] for host in line["request"]["batch"]]) == (
            False,
            ["active", "issued", ""],
        )
        whole = common_pb2.Request()
        whole.CopyFrom(half)
        whole.batch[1].grant_state = common_pb2.GRANT_STATE_REFUSED
        await world.server.decide(whole)
        rest = [line async for line in lines if line]
        assert [line["in_force"] for line in rest] == [True]
    finally:
        await person.leave()


async def test_the_wait_ends_when_no_host_will_have_it(world: World) -> None:
    await connected(world)
    await world.ask(**REQUEST, hosts=["web1", "web2"])
    denied = a_batch("web1", "web2", state=common_pb2.REQUEST_STATE_DENIED)
    denied.MergeFrom(pending(state=common_pb2.REQUEST_STATE_DENIED))
    await world.server.decide(denied)
    lines = await world.talk(b'{"op": "wait", "request": "req-0000000000000001"}\n')
    assert [(line["in_force"], line["request"]["state"]) for line in lines if line] == [(False, "denied")]


async def test_a_person_sees_and_renews_their_eligibilities(world: World) -> None:
    await connected(world)
    listed = await world.ask(op="eligibilities")
    assert [(one["role"], one["groups"], one["until"]) for one in listed["eligibilities"]] == [
        ("web-operator", ["ops"], END)
    ]
    assert listed["renewals"][0]["state"] == "pending"
    renewed = await world.ask(op="renew", role="db", reason="on the team")
    assert (renewed["renewal"]["role"], renewed["renewal"]["decision"]) == ("db", None)
    asked = world.server.asked[-1]
    assert (asked.user.name, asked.role, asked.reason) == ("nobody", "db", "on the team")
    assert (await world.ask(op="renew", role="db"))["error"]["code"] == "invalid"


async def test_root_renews_nothing(world: World) -> None:
    await connected(world)
    for line in (b'{"op": "eligibilities"}\n', b'{"op": "renew", "role": "db", "reason": "x"}\n'):
        (answer,) = await world.talk(line, uid=0)
        assert answer["error"]["code"] == "denied"
    assert world.server.asked == []


async def test_the_agent_says_whose_an_account_is(world: World) -> None:
    await connected(world)
    (stream,) = world.server.streams
    for number, account in enumerate(("nobody", "root", "no-such-account", "NOBODY"), 1):
        query = host_pb2.AccountQuery(query=number, account=account)
        stream.outgoing.put_nowait(host_pb2.ServerMessage(account=query))
    await world.server.until(lambda: len(stream.accounts) == 4)
    answers = {answer.query: answer for answer in stream.accounts}
    assert (answers[1].user.uid, answers[1].user.name) == (NOBODY.pw_uid, "nobody")
    assert [answers[number].HasField("user") for number in (2, 3, 4)] == [False] * 3


def test_an_account_whose_uid_goes_by_another_name_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry(name: str, uid: int) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh"))

    by_name = {"alice": entry("alice", 1001), "toor": entry("toor", 0), "twin": entry("twin", 1001)}
    monkeypatch.setattr(pwd, "getpwnam", by_name.__getitem__)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: by_name["alice" if uid == 1001 else "toor"])
    assert owner("alice") == LocalPerson(1001, "alice")
    assert [owner(name) for name in ("twin", "toor", "nobody-else")] == [None, None, None]
