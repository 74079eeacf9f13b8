"""The local socket (SPEC 4): real processes of other users at the real agent."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

import grpc
import pytest

from jit_agent import keys
from jit_protos.v1 import common_pb2, host_pb2
from jit_testing.fake_enforcer import envelope
from jit_testing.fake_server import ScriptedError, grant, pending

from .conftest import NOBODY, Person, World, as_user
from .test_agent_stream import GRANT, OTHER, connected, settled

ASK = {
    "argv": ["/usr/bin/id"],
    "run_as_user": "root",
    "run_as_group": "",
    "shell": False,
    "login": False,
    "exact": False,
}


async def give(world: World, grant_id: str = GRANT, **changes: Any) -> None:
    """Put a grant of `nobody` in force."""
    mine: dict[str, Any] = {"uid": NOBODY.pw_uid, "user": "nobody"} | changes
    await connected(world)
    others = list(world.server.desired.grants)
    await world.server.push(
        *others, host_pb2.SignedGrant(grant_id=grant_id, revision=1, envelope=envelope(grant_id, **mine))
    )
    await settled(world)


async def test_plan_names_the_person_by_the_kernels_word(world: World) -> None:
    await connected(world)
    answer = await world.ask(op="plan", ask=ASK, role="")
    assert answer["live"] is None
    assert [choice["role"] for choice in answer["choices"]] == ["web-operator"]
    asked = world.server.asked[-1]
    assert (asked.user.uid, asked.user.name, list(asked.ask.argv)) == (NOBODY.pw_uid, "nobody", ["/usr/bin/id"])


async def test_a_live_grant_is_decided_on_the_host_without_the_server(world: World) -> None:
    await give(world)
    await world.server.stop()
    answer = await world.ask(op="plan", ask=ASK, role="")
    assert (answer["live"]["grant"], answer["choices"]) == (GRANT, [])
    other_target = await world.ask(op="plan", ask=ASK | {"run_as_user": "postgres"}, role="")
    assert other_target["error"]["code"] == "unavailable"


async def test_a_live_grant_of_somebody_else_is_nobodys(world: World) -> None:
    await give(world, uid=1001, user="alice")
    answer = await world.ask(op="plan", ask=ASK, role="")
    assert answer["live"] is None
    assert (await world.ask(op="status", all=False))["live"] == []
    refused = await world.ask(op="drop", grant=GRANT)
    assert refused["error"]["code"] == "not_found"
    assert GRANT in world.enforcer.live


async def test_a_request_carries_what_was_asked(world: World) -> None:
    await connected(world)
    answer = await world.ask(
        op="request", role="web-operator", ask=ASK, duration_s=600, reason="nginx", ticket="T-1", otp="123456"
    )
    assert (answer["request"]["state"], answer["request"]["grant"]) == ("pending", None)
    asked = world.server.asked[-1]
    assert (asked.duration_s, asked.reason, asked.ticket, asked.otp) == (600, "nginx", "T-1", "123456")


async def test_wait_goes_on_over_a_server_restart_until_the_enforcer_has_it(world: World) -> None:
    await connected(world)
    await world.server.decide(pending())
    person = await Person.connect(world, NOBODY.pw_uid)
    try:
        await person.send(json.dumps({"op": "wait", "request": "req-0"}).encode() + b"\n")
        answers = person.answers()
        first = await anext(answers)
        assert (first["request"]["state"], first["in_force"]) == ("pending", False)
        await world.server.stop()
        await world.server.start()
        # Approved and signed, and yet not in force: the enforcer has not got it.
        await world.server.decide(pending(state=common_pb2.REQUEST_STATE_APPROVED, grant=grant(GRANT)))
        second = await anext(answers)
        assert (second["request"]["grant"]["state"], second["in_force"]) == ("issued", False)
        await give(world)
        third = await anext(answers)
        assert third["in_force"] is True
        assert [answer async for answer in answers] == []
    finally:
        await person.leave()


@pytest.mark.parametrize(
    "change",
    [
        {"state": common_pb2.REQUEST_STATE_DENIED},
        {"state": common_pb2.REQUEST_STATE_LAPSED},
        {"state": common_pb2.REQUEST_STATE_APPROVED, "grant": grant(GRANT, common_pb2.GRANT_STATE_REFUSED)},
    ],
    ids=["denied", "lapsed", "refused by the host"],
)
async def test_wait_ends_when_it_never_can_be(world: World, change: dict[str, Any]) -> None:
    await connected(world)
    await world.server.decide(pending(**change))
    lines = await world.talk(b'{"op":"wait","request":"req-0000000000000001"}\n')
    assert [line["in_force"] for line in lines] == [False]


async def test_waiting_for_a_request_that_is_none_of_mine_says_so(world: World) -> None:
    await connected(world)
    world.server.fail = ScriptedError(grpc.StatusCode.NOT_FOUND, "no request req-9", "not_found", "jit status --all")
    [answer] = await world.talk(b'{"op":"wait","request":"req-9"}\n')
    assert answer["error"] == {"code": "not_found", "message": "no request req-9", "hint": "jit status --all"}


async def test_drop_needs_no_server_and_its_proof_and_asker_are_reported_later(world: World) -> None:
    await give(world)
    await world.server.stop()
    answer = await world.ask(op="drop", grant="")
    assert [(p["grant"], p["reason"], p["scope_empty"]) for p in answer["dropped"]] == [(GRANT, "dropped", True)]
    assert world.enforcer.live == {}
    await world.server.start()
    await world.server.until(lambda: bool(world.server.told("drop_asked")) and bool(world.server.told("ended")))
    [asked] = world.server.told("drop_asked")
    assert (asked.user.uid, asked.user.name) == (NOBODY.pw_uid, "nobody")


async def test_drop_takes_a_prefix_that_names_one_grant_and_no_other(world: World) -> None:
    await give(world)
    await give(world, OTHER)
    ambiguous = await world.ask(op="drop", grant="gnt-000000000000000")
    assert ambiguous["error"]["code"] == "usage"
    assert len(world.enforcer.live) == 2
    answer = await world.ask(op="drop", grant="0000000000000002")
    assert [proof["grant"] for proof in answer["dropped"]] == [OTHER]
    assert set(world.enforcer.live) == {GRANT}


async def test_status_tells_what_it_can_without_the_server_and_without_the_enforcer(world: World) -> None:
    await give(world)
    await world.server.decide(pending())
    whole = await world.ask(op="status", all=False)
    assert (whole["host"], whole["server"]["connected"], whole["enforcer"]["connected"]) == ("web1", True, True)
    assert ([g["grant"] for g in whole["live"]], len(whole["requests"])) == ([GRANT], 1)
    await world.server.stop()
    alone = await world.ask(op="status", all=False)
    assert ([g["grant"] for g in alone["live"]], alone["requests"]) == ([GRANT], [])
    assert (alone["server"]["connected"], alone["server"]["error"] != "") == (False, True)
    await world.enforcer.__aexit__(None, None, None)
    blind = await world.ask(op="status", all=False)
    assert (blind["ok"], blind["enforcer"]["connected"], blind["live"]) == (True, False, [])


async def test_no_word_of_the_server_hides_what_is_in_force_from_its_owner(world: World) -> None:
    """S6: `jit drop` looks for the grant first, also of a person who was disabled or a host that was removed."""
    world.server.fail = ScriptedError(grpc.StatusCode.PERMISSION_DENIED, "nobody is disabled", "denied", "")
    await connected(world)
    assert (await world.ask(op="status", all=False))["error"]["code"] == "denied"
    await give(world)
    status = await world.ask(op="status", all=False)
    assert ([g["grant"] for g in status["live"]], status["requests"]) == ([GRANT], [])
    assert (status["server"]["connected"], status["server"]["error"]) == (True, "nobody is disabled")


async def test_the_certificate_of_another_host_is_not_used_and_everybody_hears_why(world: World) -> None:
    await world.stop()
    key, csr = keys.new_key_and_csr()
    (world.directory / "pki" / "host.key").write_bytes(key)
    (world.directory / "pki" / "host.crt").write_bytes(world.server.authority.host(csr, "hst-0000000000000009"))
    await world.start()
    refused = (await world.ask(op="plan", ask=ASK, role=""))["error"]
    assert (refused["code"], "certificate is not for hst-" in refused["message"]) == ("unavailable", True)
    status = await world.ask(op="status", all=False)
    assert (status["server"]["connected"], status["server"]["error"]) == (False, refused["message"])


async def test_requests_beyond_one_answer_are_refused_by_the_limit_and_hide_no_grant(world: World) -> None:
    await connected(world)
    long = common_pb2.Ask(argv=["/bin/echo", *["a" * 4_000] * 15], run_as_user="root")
    for number in range(14):
        await world.server.decide(pending(f"req-00000000000000{number:02}", ask=long))
    refused = (await world.ask(op="status", all=False))["error"]
    assert (refused["code"], "the limit is 786432" in refused["message"]) == ("invalid", True)
    await give(world)
    status = await world.ask(op="status", all=False)
    assert ([g["grant"] for g in status["live"]], status["requests"]) == ([GRANT], [])
    assert "the limit is 786432" in status["server"]["error"]


async def test_second_factor_enrolment_and_cancel_reach_the_server(world: World) -> None:
    await connected(world)
    begun = await world.ask(op="mfa_begin", token="t" * 20)
    assert begun["uri"].startswith("otpauth://")
    assert begun["qr"] == ["█▀▄ "]
    assert (await world.ask(op="mfa_confirm", token="t" * 20, otp="123456")) == {"ok": True}
    await world.server.decide(pending())
    assert (await world.ask(op="cancel", request="req-0"))["request"]["state"] == "cancelled"


async def test_root_outside_a_scope_may_ask_the_doctor_and_nothing_else(world: World) -> None:
    await give(world, uid=1001, user="alice")
    for op in (b'{"op":"status","all":false}', b'{"op":"drop","grant":""}', b'{"op":"ls"}'):
        [answer] = await world.talk(op + b"\n", uid=0)
        assert answer["error"]["code"] == "denied"
    assert GRANT in world.enforcer.live
    [answer] = await world.talk(b'{"op":"doctor"}\n', uid=0)
    assert answer["ok"] is True


@pytest.mark.parametrize(
    "line",
    [
        b"\n", b"{}\n", b"null\n", b"[1]\n", b'"x"\n', b"\xff\xfe\n", b"{\n", b"[" * 5000 + b"\n",
        b'{"op":"doctor","uid":0}\n', b'{"op":"drop","grant":7}\n', b'{"op":"plan","ask":{"argv":["id"]},"role":""}\n',
        b'{"op":"plan","ask":{"argv":["/x\\u0000"]},"role":""}\n', b'{"op":"wait","request":"\\ud800"}\n',
        b'{"op":"status","all":1}\n', b'{"op":"apply","grant":"AA=="}\n',
        b'{"op":"plan","ask":{"argv":' + json.dumps(["/x"] * 1001).encode() + b'},"role":""}\n',
    ],
)  # fmt: skip
async def test_a_line_that_was_not_agreed_gets_one_error_and_does_nothing(world: World, line: bytes) -> None:
    await connected(world)
    [answer] = await world.talk(line)
    assert answer["ok"] is False
    assert answer["error"]["code"] in {"invalid", "usage"}
    assert "\x1b" not in answer["error"]["message"]
    assert (await world.ask(op="ls"))["ok"] is True


async def test_a_line_over_the_limit_is_refused_and_names_it(world: World) -> None:
    [answer] = await world.talk(b'{"op":"doctor","x":"' + b"a" * 70_000 + b'"}\n')
    assert answer["error"] == {"code": "invalid", "message": "the request is longer than 65536 bytes", "hint": ""}


FLOOD = """
import socket, sys
held = [socket.socket(socket.AF_UNIX) for _ in range(40)]
for one in held:
    one.connect(sys.argv[1])
print(sum(b"too many" in one.recv(4096) for one in held[-3:]), flush=True)
sys.stdin.read()
"""


async def test_one_person_cannot_take_all_connections(world: World) -> None:
    held = [await Person.connect(world, NOBODY.pw_uid) for _ in range(4)]
    try:
        # Many from one process are as good as many processes.
        flood = subprocess.Popen(
            [
                *as_user(NOBODY.pw_uid), "/usr/bin/python3", "-I", "-S", "-c",
                FLOOD,
                str(world.directory / "agent.sock"),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert flood.stdout is not None
        assert await asyncio.to_thread(flood.stdout.readline) == b"3\n"
        # Somebody else is served all the same.
        [answer] = await world.talk(b'{"op":"doctor"}\n', uid=0)
        assert answer["ok"] is True
        await asyncio.to_thread(flood.communicate, b"")
    finally:
        for person in held:
            await person.leave()
