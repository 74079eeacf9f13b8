"""From a request to a grant on the host and its end (DESIGN 3, steps 2 to 7, as the server sees them)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any, TypeVar

import grpc
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from jit_protos.v1 import audit_pb2, audit_pb2_grpc, common_pb2, host_pb2, people_pb2
from jit_testing.refusals import refused
from jit_testing.server_world import BOOT_ID, Host, Human, World

ALICE = host_pb2.LocalUser(uid=1001, name="alice")
RESTART = common_pb2.Ask(argv=["/usr/bin/systemctl", "restart", "nginx.service"], run_as_user="root")
T = TypeVar("T")
TAG = b"\x00\x0cjit grant v1"


class Cast:
    """Everybody in the story."""

    def __init__(self, world: World, people: dict[str, Human], host: Host) -> None:
        self.world, self.people, self.web1 = world, people, host

    def __getattr__(self, name: str) -> Human:
        return self.people[name]

    def ask(self, **changes: object) -> host_pb2.CreateRequestRequest:
        fields: dict[str, object] = {
            "user": ALICE,
            "role": "web",
            "ask": RESTART,
            "reason": "it hangs",
            "otp": self.world.code(self.people["alice"]),
        }
        return host_pb2.CreateRequestRequest(**fields | changes)  # type: ignore[arg-type]

    async def requested(self) -> common_pb2.Request:
        return await self.world.host(self.web1).CreateRequest(self.ask())


@pytest_asyncio.fixture
async def cast(world: World, policy_text: str) -> Cast:
    admin = await world.first_admin()
    people = {"admin": admin}
    for name in ("alice", "carol"):
        people[name] = await world.add_user(admin, name)
    report = await world.apply_policy(admin, policy_text)
    assert report.version == 1, report.report.findings
    return Cast(world, people, await world.add_host(admin, "web1", tier="web"))


async def test_a_request_approved_by_another_arrives_signed_and_its_reports_are_kept_once(cast: Cast) -> None:
    world = cast.world
    session = world.session(cast.web1)
    await session.hello()
    assert (await session.receive("time")).time.now == pytest.approx(world.clock.now(), abs=60_000_000)
    first = await session.desired()
    assert list(first.grants) == []

    request = await cast.requested()
    assert (request.state, list(request.approvers)) == (common_pb2.REQUEST_STATE_PENDING, ["carol"])
    approved = await world.people(cast.carol).Approve(people_pb2.DecideRequest(request_id=request.request_id[:10]))
    assert approved.state == common_pb2.REQUEST_STATE_APPROVED
    assert approved.grant.state == common_pb2.GRANT_STATE_ISSUED

    desired = await session.desired()
    assert desired.generation > first.generation
    (signed,) = desired.grants
    payload = verified(signed.envelope, cast.web1)
    assert payload == {
        "grant": approved.grant.grant_id,
        "revision": signed.revision,
        "host": cast.web1.host_id,
        "boot": BOOT_ID,
        "uid": 1001,
        "user": "alice",
        "run_as_user": "root",
        "run_as_group": "",
        "commands": [{"path": "/usr/bin/systemctl", "args": ["restart", "nginx.service"], "sha256": ""}],
        "shell": False,
        "record": "output",
        "required": True,
        "subcommands": False,
        "watch_s": 0,
        "directory": "",
        "environment": [],
        "role": "web",
        "not_before": approved.grant.not_before,
        "not_after": approved.grant.not_before + 1_800_000_000,
        "until": approved.grant.not_after,
        "once": False,
        "session": 0,
        "remaining_s": payload["remaining_s"],
    }
    assert 1795 <= int(payload["remaining_s"]) <= 1800

    applied = {"applied": host_pb2.Applied(revision=signed.revision, scope="jit-x.scope")}
    for _ in range(2):
        await session.report(1, signed.grant_id, **applied)
        assert await session.kept() == 1
    grant = people_pb2.GrantRef(grant_id=signed.grant_id)
    assert (await world.people(cast.carol).GetGrant(grant)).state == common_pb2.GRANT_STATE_ACTIVE

    ended = host_pb2.Ended(revision=signed.revision, reason="expired", scope_empty=True, rule_removed=True)
    await session.report(2, signed.grant_id, ended=ended)
    assert await session.kept() == 2
    over = await world.people(cast.carol).GetGrant(grant)
    assert (over.state, over.end_confirmed, over.end_reason) == (common_pb2.GRANT_STATE_ENDED, True, "expired")
    assert [event.kind for event in await audit(cast, grant_id=signed.grant_id)] == [
        "grant.issued",
        "grant.active",
        "grant.ended",
    ]


async def next_of(call: grpc.aio.UnaryStreamCall[Any, T]) -> T:
    """The next answer of a stream, which must not end here."""
    answer = await call.read()
    if answer is grpc.aio.EOF:
        raise AssertionError(f"the stream ended: {await call.code()} {await call.details()}")
    return answer  # type: ignore[return-value]  # not EOF


def verified(envelope: bytes, host: Host) -> dict[str, Any]:
    """The grant in an envelope, read as SPEC 2.1 says and with nothing of the server's code."""
    key_id, signature, message = envelope[:8], envelope[8:72], envelope[72:]
    (key,) = [key for key in host.grant_keys if hashlib.sha256(key).digest()[:8] == key_id]
    Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    assert message.startswith(TAG)
    payload: dict[str, Any] = json.loads(message.removeprefix(TAG))
    return payload


async def audit(cast: Cast, **query: object) -> list[audit_pb2.Event]:
    stub = audit_pb2_grpc.AuditServiceStub(cast.world.channel(cast.admin.identity))
    return [event async for event in stub.Query(audit_pb2.QueryRequest(**query))]  # type: ignore[arg-type]


async def test_nobody_approves_themselves_and_nobody_else_may(cast: Cast) -> None:
    request = await cast.requested()
    decide = people_pb2.DecideRequest(request_id=request.request_id)
    own = await refused(cast.world.people(cast.alice).Approve(decide))
    assert own.code() is grpc.StatusCode.PERMISSION_DENIED
    stranger = await cast.world.add_user(cast.admin, "bob")
    assert (await refused(cast.world.people(stranger).Approve(decide))).code() is grpc.StatusCode.NOT_FOUND
    assert (await cast.world.people(cast.carol).Approve(decide)).state == common_pb2.REQUEST_STATE_APPROVED
    assert (await refused(cast.world.people(cast.carol).Approve(decide))).code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"otp": "000000"}, grpc.StatusCode.UNAUTHENTICATED),
        ({"otp": ""}, grpc.StatusCode.UNAUTHENTICATED),
        ({"otp": "١٢٣٤٥٦"}, grpc.StatusCode.UNAUTHENTICATED),
        ({"reason": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"reason": "x" * 1001}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ({"ticket": "x" * 201}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ({"duration_s": 7201}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"duration_s": -1}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"role": "nothing"}, grpc.StatusCode.PERMISSION_DENIED),
        ({"role": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"user": host_pb2.LocalUser(uid=1002, name="mallory")}, grpc.StatusCode.PERMISSION_DENIED),
        ({"user": host_pb2.LocalUser(uid=0, name="alice")}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"user": None}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"ask": None}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"ask": common_pb2.Ask(argv=["/bin/sh"], run_as_user="root")}, grpc.StatusCode.PERMISSION_DENIED),
        ({"ask": common_pb2.Ask(argv=["systemctl"], run_as_user="root")}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"ask": common_pb2.Ask(argv=["/x"] * 1001, run_as_user="root")}, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)  # fmt: skip
async def test_a_bad_request_is_refused_in_one_line_and_leaves_nothing(
    cast: Cast, changes: dict[str, object], code: grpc.StatusCode
) -> None:
    error = await refused(cast.world.host(cast.web1).CreateRequest(cast.ask(**changes)))
    assert error.code() is code
    assert error.details()
    assert "\n" not in (error.details() or "")
    mine = await cast.world.host(cast.web1).ListMine(host_pb2.ListMineRequest(user=ALICE, all=True))
    assert list(mine.requests) == []
    assert (await cast.requested()).state == common_pb2.REQUEST_STATE_PENDING


async def test_a_code_that_was_used_is_refused(cast: Cast) -> None:
    ask = cast.ask()
    host = cast.world.host(cast.web1)
    await host.CreateRequest(ask)
    assert (await refused(host.CreateRequest(ask))).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_role_without_approval_is_granted_at_once(cast: Cast) -> None:
    session = cast.world.session(cast.web1)
    await session.hello()
    await session.desired()
    uptime = common_pb2.Ask(argv=["/usr/bin/uptime"], run_as_user="root")
    request = await cast.world.host(cast.web1).CreateRequest(cast.ask(role="unattended", ask=uptime, otp=""))
    assert request.state == common_pb2.REQUEST_STATE_APPROVED
    assert [grant.grant_id for grant in (await session.desired()).grants] == [request.grant.grant_id]


async def test_the_person_who_waits_sees_every_change_until_the_end(cast: Cast) -> None:
    request = await cast.requested()
    reference = host_pb2.LocalRequestRef(user=ALICE, request_id=request.request_id[:9])
    watched = cast.world.host(cast.web1).WatchRequest(reference)
    states = [(await next_of(watched)).state]
    await cast.world.people(cast.carol).Deny(people_pb2.DecideRequest(request_id=request.request_id, reason="no"))
    last = await next_of(watched)
    assert [*states, last.state] == [common_pb2.REQUEST_STATE_PENDING, common_pb2.REQUEST_STATE_DENIED]
    assert last.decisions[0].reason == "no"
    assert await watched.read() is grpc.aio.EOF
    assert await watched.code() is grpc.StatusCode.OK


async def test_an_approver_who_watches_sees_requests_come_and_go(cast: Cast) -> None:
    watched = cast.world.people(cast.carol).WatchRequests(people_pb2.WatchRequestsRequest())
    request = await cast.requested()
    seen = await next_of(watched)
    assert (seen.request_id, seen.state) == (request.request_id, common_pb2.REQUEST_STATE_PENDING)
    await cast.world.host(cast.web1).CancelRequest(host_pb2.LocalRequestRef(user=ALICE, request_id=request.request_id))
    assert (await next_of(watched)).state == common_pb2.REQUEST_STATE_CANCELLED
    watched.cancel()


async def test_another_host_sees_nothing_of_it(cast: Cast) -> None:
    web2 = await cast.world.add_host(cast.admin, "web2", tier="web")
    session = cast.world.session(web2)
    await session.hello()
    first = await session.desired()
    request = await cast.requested()
    await cast.world.people(cast.carol).Approve(people_pb2.DecideRequest(request_id=request.request_id))
    reference = host_pb2.LocalRequestRef(user=ALICE, request_id=request.request_id)
    assert (await refused(cast.world.host(web2).CancelRequest(reference))).code() is grpc.StatusCode.NOT_FOUND
    again = cast.world.session(web2)
    await again.hello()
    assert (await again.desired()) == first


async def test_the_audit_log_is_read_in_pages_and_followed(cast: Cast) -> None:
    everything = await audit(cast, limit=10_000)
    sequences = [event.sequence for event in everything]
    assert sequences == list(range(1, len(everything) + 1))
    assert [event.sequence for event in await audit(cast, after=3, limit=2)] == [4, 5]
    assert [event.sequence for event in await audit(cast, limit=2, newest=True)] == sequences[-2:]
    stub = audit_pb2_grpc.AuditServiceStub(cast.world.channel(cast.admin.identity))
    following = stub.Query(audit_pb2.QueryRequest(after=sequences[-1], follow=True, kind="request"))
    reading = asyncio.ensure_future(next_of(following))
    await cast.requested()
    event = await reading
    assert (event.kind, event.user, json.loads(event.details)["reason"]) == ("request.created", "alice", "it hangs")
    following.cancel()
    denied = audit_pb2_grpc.AuditServiceStub(cast.world.channel(cast.alice.identity)).Query(audit_pb2.QueryRequest())
    assert (await refused(denied.read())).code() is grpc.StatusCode.PERMISSION_DENIED
