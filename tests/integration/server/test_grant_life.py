"""The life of a grant over the wire: extended, scheduled, leased, ended, and known to a server that has forgotten."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

import grpc
import pytest
import pytest_asyncio

from jit_protos.v1 import common_pb2, host_pb2, people_pb2
from jit_server.services.delivery import DeliveryService
from jit_testing.refusals import refused
from jit_testing.server_world import Host, Human, Session, World

ALICE = host_pb2.LocalUser(uid=1001, name="alice")
ID = common_pb2.Ask(argv=["/usr/bin/id"], run_as_user="root")
SECOND = 1_000_000
POLICY = """\
version: 1
roles:
  free:
    hosts: {tier: web}
    commands: [/usr/bin/id]
    eligible: {people: [alice], permanent: true}
    approvers: {people: [carol]}
    approvals: 0
    mfa: false
    reason: false
    duration: {default: 10m, max: 1h}
  watched:
    hosts: {tier: web}
    commands: [/usr/bin/id]
    eligible: {people: [alice], permanent: true}
    approvers: {people: [carol]}
    mfa: false
    reason: false
    duration: {default: 10m, max: 10m}
  leased:
    hosts: {tier: web}
    commands: [/usr/bin/id]
    eligible: {people: [alice], permanent: true}
    approvals: 0
    mfa: false
    reason: false
    duration: {default: 10m, max: 1h}
    offline: {lease: 10s}
"""


class Cast:
    """alice works on web1, carol approves."""

    def __init__(self, world: World, carol: Human, web1: Host) -> None:
        self.world, self.carol, self.web1 = world, carol, web1

    async def ask(self, role: str = "free", **changes: object) -> common_pb2.Request:
        fields = {"user": ALICE, "role": role, "ask": ID} | changes
        return await self.world.host(self.web1).CreateRequest(host_pb2.CreateRequestRequest(**fields))  # type: ignore[arg-type]

    async def extend(self, grant_id: str, /, **changes: object) -> common_pb2.Request:
        fields = {"user": ALICE, "grant_id": grant_id} | changes
        return await self.world.host(self.web1).ExtendGrant(host_pb2.ExtendGrantRequest(**fields))  # type: ignore[arg-type]

    async def approve(self, request_id: str) -> common_pb2.Request:
        return await self.world.people(self.carol).Approve(people_pb2.DecideRequest(request_id=request_id))

    async def grant(self, grant_id: str) -> common_pb2.Grant:
        return await self.world.people(self.carol).GetGrant(people_pb2.GrantRef(grant_id=grant_id))

    async def becomes(self, grant_id: str, state: common_pb2.GrantState.ValueType) -> common_pb2.Grant:
        async with asyncio.timeout(10):
            while (grant := await self.grant(grant_id)).state != state:
                await asyncio.sleep(0.02)
        return grant

    async def connected(self, spool_id: str = "spool-1") -> Session:
        session = self.world.session(self.web1)
        await session.hello(spool_id=spool_id)
        return session


@pytest_asyncio.fixture
async def cast(world: World) -> Cast:
    admin = await world.first_admin()
    await world.add_user(admin, "alice")
    carol = await world.add_user(admin, "carol", "auditor")
    report = await world.apply_policy(admin, POLICY)
    assert report.version == 1, report.report.findings
    return Cast(world, carol, await world.add_host(admin, "web1", tier="web"))


def parsed(signed: host_pb2.SignedGrant) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(signed.envelope[72 + 14 :])
    return payload


async def next_of(call: Any) -> common_pb2.Request:
    async with asyncio.timeout(10):
        answer = await call.read()
    assert isinstance(answer, common_pb2.Request), await call.details()
    return answer


async def test_an_extension_reaches_the_host_at_once_and_is_shown_as_one(cast: Cast) -> None:
    session = await cast.connected()
    await session.desired()
    first = (await cast.ask(once=True, session=42)).grant
    (sent,) = (await session.desired()).grants
    assert (parsed(sent)["once"], parsed(sent)["session"]) == (True, 42)
    assert (first.once, first.this_session, first.lease_s, first.extensions) == (True, True, 0, 0)
    extension = await cast.extend(first.grant_id[:9], duration_s=300)
    assert (extension.state, extension.extends) == (common_pb2.REQUEST_STATE_APPROVED, first.grant_id)
    assert (extension.grant.not_after, extension.grant.extensions) == (first.not_after + 300 * SECOND, 1)
    (again,) = (await session.desired()).grants
    assert again.revision > sent.revision
    assert parsed(again)["until"] == first.not_after + 300 * SECOND


async def test_who_waits_for_an_approved_extension_hears_of_it_and_of_the_end(cast: Cast) -> None:
    session = await cast.connected()
    await session.desired()
    grant_id = (await cast.approve((await cast.ask("watched")).request_id)).grant.grant_id
    (sent,) = (await session.desired()).grants
    await session.report(1, grant_id, applied=host_pb2.Applied(revision=sent.revision))
    asked = await cast.extend(grant_id, duration_s=60)
    assert (asked.state, asked.HasField("grant")) == (common_pb2.REQUEST_STATE_PENDING, False)
    waiting = cast.world.host(cast.web1).WatchRequest(host_pb2.LocalRequestRef(user=ALICE, request_id=asked.request_id))
    assert (await next_of(waiting)).state == common_pb2.REQUEST_STATE_PENDING
    await cast.approve(asked.request_id)
    approved = await next_of(waiting)
    assert approved.grant.extensions == 1
    await session.report(2, grant_id, ended=ended(1, "stopped"))
    last = await next_of(waiting)
    assert (last.grant.state, last.grant.end_reason) == (common_pb2.GRANT_STATE_ENDED, "stopped")
    assert await waiting.read() is grpc.aio.EOF


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"user": None}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"grant_id": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"grant_id": "gnt-zzzzzzzz"}, grpc.StatusCode.NOT_FOUND),
        ({"duration_s": -1}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"duration_s": 2**62}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"duration_s": 3_600, "reason": "x" * 1_001}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ({"user": host_pb2.LocalUser(uid=0, name="alice")}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"user": host_pb2.LocalUser(uid=1002, name="alice")}, grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_a_bad_extension_is_refused_in_one_line(
    cast: Cast, changes: dict[str, object], code: grpc.StatusCode
) -> None:
    grant = (await cast.ask()).grant
    error = await refused(cast.extend(grant.grant_id, **changes))
    assert error.code() is code
    assert error.details()
    assert "\n" not in (error.details() or "")
    assert (await cast.grant(grant.grant_id)).not_after == grant.not_after


async def test_a_scheduled_grant_starts_on_time_and_who_waits_hears_of_it(cast: Cast) -> None:
    session = await cast.connected()
    await session.desired()
    starts_at = cast.world.clock.now() + 1_300_000
    asked = await cast.ask(starts_at=starts_at, duration_s=60)
    assert (asked.grant.state, asked.starts_at) == (common_pb2.GRANT_STATE_SCHEDULED, starts_at)
    assert asked.grant.not_after == starts_at + 60 * SECOND
    waiting = cast.world.host(cast.web1).WatchRequest(host_pb2.LocalRequestRef(user=ALICE, request_id=asked.request_id))
    assert (await next_of(waiting)).grant.state == common_pb2.GRANT_STATE_SCHEDULED
    (sent,) = (await session.desired()).grants
    late_us = cast.world.clock.now() - starts_at
    assert 0 <= late_us < 500_000
    assert parsed(sent)["not_before"] == starts_at
    assert (await next_of(waiting)).grant.state == common_pb2.GRANT_STATE_ISSUED
    waiting.cancel()
    assert (await refused(cast.ask(starts_at=1))).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_lease_is_renewed_for_a_host_that_answers_and_ends_for_one_that_does_not(cast: Cast) -> None:
    """SPEC 2.6, in real time: renewed after a third of ten seconds."""
    session = await cast.connected()
    await session.desired()
    grant = (await cast.ask("leased")).grant
    assert grant.lease_s == 10
    sequence, sent, last = 0, [], cast.world.clock.now()
    for _ in range(2):
        (signed,) = (await session.desired()).grants
        sent.append(signed)
        sequence += 1
        await session.report(sequence, grant.grant_id, applied=host_pb2.Applied(revision=signed.revision))
    gap_s = (parsed(sent[1])["not_after"] - parsed(sent[0])["not_after"]) / SECOND
    assert gap_s == pytest.approx(10 / 3, abs=0.5)
    assert cast.world.clock.now() - last < 5 * SECOND
    assert sent[1].revision > sent[0].revision
    assert parsed(sent[1])["until"] == parsed(sent[0])["until"] == grant.not_after
    # One more comes; to a host that says nothing to that, no other.
    (unanswered,) = (await session.desired()).grants
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4):
            await session.desired()
    session.end()

    cast.world.clock.advance(11)
    shown = await cast.becomes(grant.grant_id, common_pb2.GRANT_STATE_UNCONFIRMED)
    assert shown.end_reason == "lease"
    again = await cast.connected()
    assert await again.kept() == sequence
    assert list((await again.desired()).grants) == []
    await again.report(sequence + 1, grant.grant_id, ended=ended(unanswered.revision, "expired"))
    shown = await cast.becomes(grant.grant_id, common_pb2.GRANT_STATE_ENDED)
    assert (shown.end_reason, shown.end_confirmed) == ("lease", True)


async def test_a_revocation_a_silent_host_was_told_of_is_unconfirmed_until_it_speaks(cast: Cast) -> None:
    session = await cast.connected()
    await session.desired()
    grant_id = (await cast.ask()).grant.grant_id
    (sent,) = (await session.desired()).grants
    await session.report(1, grant_id, applied=host_pb2.Applied(revision=sent.revision))
    await cast.becomes(grant_id, common_pb2.GRANT_STATE_ACTIVE)
    await cast.world.people(cast.carol).Revoke(people_pb2.RevokeRequest(grant_id=grant_id, reason="enough"))
    assert list((await session.desired()).grants) == []
    cast.world.clock.advance(5)
    await cast.becomes(grant_id, common_pb2.GRANT_STATE_UNCONFIRMED)
    leftover = host_pb2.Leftover(pid=7, command="sleep 1", killed=True)
    await session.report(2, grant_id, ended=ended(sent.revision, "revoked", leftovers=[leftover]))
    shown = await cast.becomes(grant_id, common_pb2.GRANT_STATE_ENDED)
    assert (shown.end_reason, list(shown.leftovers)) == ("revoked", ["7 sleep 1 (killed)"])
    change = host_pb2.FootprintChange(path="/etc/cron.d/x", kind="cron", what="added")
    footprint = host_pb2.Footprint(before_at=1, after_at=2, changes=[change])
    await session.report(3, grant_id, footprint=footprint)
    # Nobody looked before: a crash came between the grant and the first look.
    await session.report(4, grant_id, footprint=host_pb2.Footprint(after_at=2, truncated=True))
    while await session.kept() < 4:
        pass


async def test_a_restored_server_lists_only_what_it_knows_and_says_what_it_keeps(cast: Cast) -> None:
    """S1: what a server has forgotten, the host that hears its set ends."""
    world = cast.world
    database = world.config.state / "jit.db"
    backup = database.with_name("backup.db")
    known = (await cast.ask()).grant.grant_id
    await world.stop()
    shutil.copy(database, backup)
    await world.start()
    session = await cast.connected()
    await session.desired()
    await cast.extend(known, duration_s=300)
    forgotten = (await cast.ask()).grant.grant_id
    revisions: dict[str, int] = {}
    async with asyncio.timeout(10):
        while len(revisions) < 2:
            revisions = {one.grant_id: one.revision for one in (await session.desired()).grants}
    for sequence, grant_id in enumerate((known, forgotten), 1):
        await session.report(sequence, grant_id, applied=host_pb2.Applied(revision=revisions[grant_id]))
    while await session.kept() < 2:
        pass
    await world.stop()
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, database)
    await world.start()

    again = await cast.connected()
    assert await again.kept() == 0
    (sent,) = (await again.desired()).grants
    assert sent.grant_id == known
    assert sent.revision > revisions[known]
    # What the host has to tell of it changes nothing, and stops nothing.
    await again.report(1, forgotten, ended=ended(revisions[forgotten], "revoked"))
    assert await again.kept() == 1
    await again.report(2, known, applied=host_pb2.Applied(revision=sent.revision))
    await cast.becomes(known, common_pb2.GRANT_STATE_ACTIVE)


def ended(revision: int, reason: str, **more: Any) -> host_pb2.Ended:
    return host_pb2.Ended(revision=revision, reason=reason, scope_empty=True, rule_removed=True, **more)


async def test_what_a_host_is_to_hold_does_not_wait_for_its_reports_to_be_stored(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await cast.connected()
    await session.desired()
    stored, storing = DeliveryService.record_reports, asyncio.Event()
    slow = asyncio.Event()

    async def record_slowly(*args: Any) -> int:
        storing.set()
        await slow.wait()
        return await stored(*args)

    monkeypatch.setattr(DeliveryService, "record_reports", record_slowly)
    first = (await cast.ask()).grant
    assert [signed.grant_id for signed in (await session.desired()).grants] == [first.grant_id]
    await session.report(1, first.grant_id, applied=host_pb2.Applied(revision=1))
    await storing.wait()
    second = (await cast.ask()).grant
    assert len((await session.desired()).grants) == 2
    await cast.world.people(cast.carol).Revoke(people_pb2.RevokeRequest(grant_id=second.grant_id, reason="enough"))
    assert [signed.grant_id for signed in (await session.desired()).grants] == [first.grant_id]
    slow.set()
    assert await session.kept() == 1


async def test_what_a_host_reports_at_once_is_kept_up_to_what_is_no_report(cast: Cast) -> None:
    session = await cast.connected()
    await session.desired()
    asked = (await cast.ask()).grant
    await session.desired()
    await session.report(1, asked.grant_id, applied=host_pb2.Applied(revision=1))
    await session.report(2, asked.grant_id, ended=ended(1, "dropped"))
    for _ in range(150):
        await session.report(2, asked.grant_id, ended=ended(1, "dropped"))
    await session.report(0, asked.grant_id, ended=ended(1, "dropped"))
    async for message in session.messages():
        if message.WhichOneof("body") == "kept":
            assert message.kept.sequence in (1, 2)
    assert await session.call.code() is grpc.StatusCode.INVALID_ARGUMENT
    again = await cast.connected()
    assert await again.kept() == 2
    await cast.becomes(asked.grant_id, common_pb2.GRANT_STATE_ENDED)
