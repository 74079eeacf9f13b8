"""The stream of a host (SPEC 5): it begins with hello, it is one, it ends cleanly, and nothing is left of it."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from jit_protos.v1 import admin_pb2, audit_pb2, audit_pb2_grpc, host_pb2
from jit_testing.server_world import BOOT_ID, Host, Session, World

GRANT = "gnt-0123456789abcdef"


def rejected() -> host_pb2.SessionRejected:
    return host_pb2.SessionRejected(
        session_id="ses-0123456789abcdef",
        user=host_pb2.LocalUser(uid=1001, name="alice"),
        argv=["/bin/sh"],
        reason="no",
    )


async def joined(world: World) -> Host:
    return await world.add_host(await world.first_admin(), "web1", tier="web")


async def end_of(session: Session) -> tuple[grpc.StatusCode, str]:
    """How the server ended the stream."""
    _ = [message async for message in session.messages()]
    return await session.call.code(), await session.call.details() or ""


async def test_the_first_message_must_be_hello(world: World) -> None:
    host = await joined(world)
    session = world.session(host)
    await session.call.write(host_pb2.HostMessage(heartbeat=host_pb2.Heartbeat(now=1)))
    assert await end_of(session) == (grpc.StatusCode.INVALID_ARGUMENT, "the host's stream must begin with hello")


@pytest.mark.parametrize(
    "hello",
    [
        host_pb2.HostHello(boot_id="x", now=1, spool_id="s"),
        host_pb2.HostHello(boot_id=BOOT_ID, now=0, spool_id="s"),
        host_pb2.HostHello(boot_id=BOOT_ID, now=1, spool_id=""),
        host_pb2.HostHello(boot_id=BOOT_ID, now=1, spool_id="s", problems=["x"] * 51),
    ],
)
async def test_a_hello_that_is_not_whole_is_refused(world: World, hello: host_pb2.HostHello) -> None:
    host = await joined(world)
    session = world.session(host)
    await session.call.write(host_pb2.HostMessage(hello=hello))
    code, _ = await end_of(session)
    assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}


@pytest.mark.parametrize("sequence", [0, 2**64 - 1])
async def test_a_report_without_a_number_ends_the_stream(world: World, sequence: int) -> None:
    """It cannot be acknowledged."""
    host = await joined(world)
    session = world.session(host)
    await session.hello()
    await session.desired()
    await session.report(sequence, GRANT, applied=host_pb2.Applied())
    code, text = await end_of(session)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text


SENSELESS = {
    "nothing": host_pb2.Report(at=1),
    "no time": host_pb2.Report(at=0, grant_id=GRANT, applied=host_pb2.Applied()),
    "no grant": host_pb2.Report(at=1, ended=host_pb2.Ended(reason="expired")),
    "what is no grant": host_pb2.Report(at=1, grant_id="../../etc", applied=host_pb2.Applied()),
    "an unknown end": host_pb2.Report(at=1, grant_id=GRANT, ended=host_pb2.Ended(reason="because")),
    "too much left over": host_pb2.Report(
        at=1, grant_id=GRANT, ended=host_pb2.Ended(reason="expired", leftovers=[host_pb2.Leftover(pid=1)] * 21)
    ),
    "no time of a look": host_pb2.Report(at=1, grant_id=GRANT, footprint=host_pb2.Footprint()),
    "a change of nothing": host_pb2.Report(
        at=1, grant_id=GRANT, footprint=host_pb2.Footprint(after_at=2, changes=[host_pb2.FootprintChange()])
    ),
    "too many changes": host_pb2.Report(
        at=1,
        grant_id=GRANT,
        footprint=host_pb2.Footprint(
            after_at=2, changes=[host_pb2.FootprintChange(path="x", kind="at", what="added")] * 201
        ),
    ),
    "too long a text": host_pb2.Report(at=1, grant_id=GRANT, refused=host_pb2.Refused(code="x", message="x" * 4_097)),
    "a NUL": host_pb2.Report(at=1, grant_id=GRANT, applied=host_pb2.Applied(scope="jit\0.scope")),
    "what is no session": host_pb2.Report(at=1, session_started=host_pb2.SessionStarted(session_id="ses-1")),
    "an end of no session": host_pb2.Report(at=1, session_ended=host_pb2.SessionEnded(session_id="x")),
}


@pytest.mark.parametrize("senseless", SENSELESS.values(), ids=SENSELESS)
async def test_a_report_that_makes_no_sense_is_kept_as_refused_and_the_next_one_is_heard(
    world: World, senseless: host_pb2.Report
) -> None:
    """SPEC 5.3: a host sends a report until it is kept, and one that is never kept would be the last one heard."""
    admin = await world.first_admin()
    host = await world.add_host(admin, "web1", tier="web")
    session = world.session(host)
    await session.hello()
    assert await session.kept() == 0
    report = host_pb2.Report()
    report.CopyFrom(senseless)
    report.sequence = 1
    await session.call.write(host_pb2.HostMessage(report=report))
    assert await session.kept() == 1
    await session.report(2, "", session_rejected=rejected())
    assert await session.kept() == 2
    audit = audit_pb2_grpc.AuditServiceStub(world.channel(admin.identity))
    told = [event async for event in audit.Query(audit_pb2.QueryRequest(host="web1")) if event.kind[:7] != "host.co"]
    assert [event.kind for event in told[-2:]] == ["report.refused", "session.rejected"]
    details = json.loads(told[-2].details)
    assert (details["report"], details["bytes"]) == (1, report.ByteSize())
    assert details["why"]
    # And it is not sent, nor told, again.
    again = world.session(host)
    await again.hello()
    assert await again.kept() == 2


async def test_a_newer_stream_takes_the_place_of_the_older_one(world: World) -> None:
    host = await joined(world)
    admin = await world.first_admin()
    older, newer = world.session(host), world.session(host)
    await older.hello()
    await older.desired()
    await newer.hello()
    await newer.desired()
    code, text = await end_of(older)
    assert (code, "newer stream" in text) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    (listed,) = (await world.admin(admin).ListHosts(admin_pb2.ListHostsRequest())).hosts
    assert listed.connected


async def test_a_host_that_leaves_is_shown_as_gone(world: World) -> None:
    host = await joined(world)
    admin = await world.first_admin()
    session = world.session(host)
    await session.hello()
    await session.desired()
    await session.call.done_writing()
    assert (await end_of(session))[0] is grpc.StatusCode.OK
    (listed,) = (await world.admin(admin).ListHosts(admin_pb2.ListHostsRequest())).hosts
    assert not listed.connected


async def test_calls_cancelled_at_any_moment_leave_no_task_and_no_lock_behind(world: World) -> None:
    """A peer that goes away in the middle of a transaction must not stop the others."""
    host = await joined(world)
    user = host_pb2.LocalUser(uid=1001, name="root-admin")
    before = len(asyncio.all_tasks())
    for number in range(40):
        session, stub = world.session(host), world.host(host)
        await session.hello(spool_id=f"spool-{number}")
        planning = stub.Plan(host_pb2.PlanRequest(user=user))
        listing = stub.ListMine(host_pb2.ListMineRequest(user=user))
        await asyncio.sleep(number / 4_000)  # each time a little further into what the server does
        session.end()
        planning.cancel()
        listing.cancel()
    async with asyncio.timeout(5):
        last = world.session(host)
        await last.hello(spool_id="spool-last")
        await last.desired()
        last.end()
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.01)


async def test_a_stopping_server_tells_streams_to_come_back_and_ends_at_once(world: World) -> None:
    host = await joined(world)
    session = world.session(host)
    await session.hello()
    await session.desired()
    async with asyncio.timeout(5):
        _, (code, text) = await asyncio.gather(world.stop(), end_of(session))
    assert (code, text) == (grpc.StatusCode.UNAVAILABLE, "the server is stopping")
    await world.start()
    again = world.session(host)
    await again.hello()
    assert list((await again.desired()).grants) == []


async def test_the_last_kept_report_is_told_to_a_host_that_comes_back(world: World) -> None:
    host = await joined(world)
    session = world.session(host)
    await session.hello(spool_id="spool-7")
    assert await session.kept() == 0
    for sequence in (1, 2):
        await session.report(sequence, "", session_rejected=rejected())
        assert await session.kept() == sequence
    again = world.session(host)
    await again.hello(spool_id="spool-7")
    assert await again.kept() == 2
