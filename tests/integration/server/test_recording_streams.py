"""Recordings read and watched over real connections, as people do (SPEC 8.5)."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import grpc
import grpc.aio
import pytest

from jit_protos.v1 import audit_pb2, audit_pb2_grpc, sessions_pb2
from jit_testing.recorded import a_chunk, a_session_id
from jit_testing.recording_world import ended, read, recording_host, started
from jit_testing.server_world import Human, World
from jit_testing.upload import Upload


async def _kinds(world: World, human: Human, kind: str) -> list[str]:
    audit = audit_pb2_grpc.AuditServiceStub(world.channel(human.identity))
    return [event.kind async for event in audit.Query(audit_pb2.QueryRequest(kind=kind))]


async def test_what_is_recorded_is_read_as_it_was(world: World) -> None:
    admin, host, stream = await recording_host(world)
    session_id = a_session_id()
    sent = [a_chunk(session_id, 0, os.urandom(1_000_000), compress=False), a_chunk(session_id, 1, b"end")]
    await stream.report(1, "", session_started=started(session_id))
    async with Upload(world.host(host)) as upload:
        for chunk, content in sent:
            kept = await upload.keep(chunk, content)
            assert (kept.session_id, kept.chunks, kept.refused) == (session_id, chunk.number + 1, "")
    await stream.report(2, "", session_ended=ended(session_id, [chunk for chunk, _ in sent]))
    assert [await stream.kept(), await stream.kept()] == [1, 2]

    shown, chunks = await read(world, admin, session_id)
    assert chunks == {chunk.number: content for chunk, content in sent}
    (session,) = shown
    assert session.recording == sessions_pb2.RECORDING_STATE_WHOLE
    assert (session.chunks, session.stored_bytes) == (2, sum(chunk.size for chunk, _ in sent))
    _, rest = await read(world, admin, session_id[:9], first=1)
    assert rest == {1: sent[1][1]}
    assert await _kinds(world, admin, "session.replayed") == ["session.replayed"] * 2
    assert await _kinds(world, admin, "recording") == ["recording.stored"]


async def test_what_was_kept_is_there_after_a_restart(world: World) -> None:
    admin, host, stream = await recording_host(world)
    session_id = a_session_id()
    chunk, content = a_chunk(session_id, 0, b"frames")
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(chunk, content)).chunks == 1
    stream.end()
    await world.stop()
    await world.start()
    _, chunks = await read(world, admin, session_id)
    assert chunks == {0: content}
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(chunk, content)).chunks == 1, "and is not taken twice"
        assert (await upload.keep(*a_chunk(session_id, 1, b"more"))).chunks == 2


async def test_a_recording_is_seen_as_it_comes_until_the_session_ends(world: World) -> None:
    """SPEC 8.5: watching shows what is there, then each chunk at once, and ends with the session."""
    admin, host, stream = await recording_host(world)
    session_id = a_session_id()
    sent = [a_chunk(session_id, number, b"part %d" % number) for number in range(3)]
    await stream.report(1, "", session_started=started(session_id))
    await stream.kept()
    async with Upload(world.host(host)) as upload:
        await upload.keep(*sent[0])
        request = sessions_pb2.ReadRecordingRequest(session_id=session_id, watch=True)
        seen: asyncio.Queue[tuple[float, sessions_pb2.RecordingPiece]] = asyncio.Queue()

        async def watch() -> None:
            async for piece in world.sessions(admin).ReadRecording(request):
                seen.put_nowait((time.monotonic(), piece))

        async def next_chunk() -> tuple[float, sessions_pb2.RecordingPiece]:
            async with asyncio.timeout(5):
                while True:
                    at, piece = await seen.get()
                    if not piece.HasField("session"):
                        return at, piece

        watching = asyncio.create_task(watch())
        _, first = await next_chunk()
        assert (first.chunk, first.data) == (0, sent[0][1])
        (listed,) = (await world.sessions(admin).ListSessions(sessions_pb2.ListSessionsRequest())).sessions
        assert listed.watchers == ["root-admin"]
        for chunk, content in sent[1:]:
            began = time.monotonic()
            await upload.send(chunk, content)
            at, piece = await next_chunk()
            assert (piece.chunk, piece.data) == (chunk.number, content)
            assert at - began < 1.0
            await upload.kept()
        assert not watching.done()
        await stream.report(2, "", session_ended=ended(session_id, [chunk for chunk, _ in sent]))
        async with asyncio.timeout(5):
            await watching
    last = [piece.session for _, piece in _drained(seen) if piece.HasField("session")][-1]
    assert last.state == sessions_pb2.SESSION_STATE_ENDED
    assert last.recording == sessions_pb2.RECORDING_STATE_WHOLE
    assert await _kinds(world, admin, "session.watched") == ["session.watched"]
    assert await _kinds(world, admin, "session.replayed") == []


def _drained(
    queue: asyncio.Queue[tuple[float, sessions_pb2.RecordingPiece]],
) -> list[tuple[float, sessions_pb2.RecordingPiece]]:
    return [queue.get_nowait() for _ in range(queue.qsize())]


async def test_who_reads_counts_as_a_watcher_until_they_stop(world: World) -> None:
    """The server's clock goes on by more than a watcher counts: who still reads is there again, who left is not."""
    admin, _, stream = await recording_host(world)
    session_id = a_session_id()
    await stream.report(1, "", session_started=started(session_id))
    await stream.kept()
    sessions = world.sessions(admin)

    async def watchers() -> list[str]:
        return list((await sessions.GetSession(sessions_pb2.SessionRef(session_id=session_id))).session.watchers)

    call = sessions.ReadRecording(sessions_pb2.ReadRecordingRequest(session_id=session_id, watch=True))
    assert (await anext(aiter(call))).HasField("session")
    for _ in range(2):
        world.clock.advance(6)
        async with asyncio.timeout(10):
            while await watchers() != ["root-admin"]:
                await asyncio.sleep(0.05)
    call.cancel()
    async with asyncio.timeout(10):
        while await watchers():
            world.clock.advance(6)
    assert await _kinds(world, admin, "session.watched") == ["session.watched"]


async def test_a_watcher_sees_the_session_change(world: World) -> None:
    admin, _, stream = await recording_host(world)
    session_id = a_session_id()
    await stream.report(1, "", session_started=started(session_id))
    await stream.kept()
    sessions = world.sessions(admin)
    call = sessions.ReadRecording(sessions_pb2.ReadRecordingRequest(session_id=session_id, watch=True))
    async with asyncio.timeout(10):
        states = []
        async for piece in call:
            states.append((piece.session.state, piece.session.order))
            if len(states) == 1:
                act = sessions_pb2.ControlSessionRequest(session_id=session_id, act="freeze", reason="look at this")
                await sessions.ControlSession(act)
            if piece.session.order:
                break
    call.cancel()
    assert states[0] == (sessions_pb2.SESSION_STATE_RUNNING, "")
    assert states[-1][1] == "frozen by root-admin: look at this"


async def test_who_may_not_see_a_session_reads_nothing_of_it(world: World) -> None:
    admin, host, stream = await recording_host(world)
    alice, bob = await world.add_user(admin, "alice"), await world.add_user(admin, "bob")
    dave = await world.add_user(admin, "dave", "auditor")
    session_id = a_session_id()
    chunk, content = a_chunk(session_id, 0, b"secret")
    await stream.report(1, "", session_started=started(session_id))
    await stream.kept()
    async with Upload(world.host(host)) as upload:
        await upload.keep(chunk, content)
    for reader in (alice, dave):
        _, chunks = await read(world, reader, session_id)
        assert chunks == {0: content}
    for watch in (False, True):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await read(world, bob, session_id, watch=watch)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert await _kinds(world, admin, "session.watched") == []
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in world.sessions(alice).VerifyRecordings(sessions_pb2.VerifyRecordingsRequest()):
            pass
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_flipped_byte_on_the_disk_is_reported(world: World) -> None:
    admin, host, stream = await recording_host(world)
    session_id = a_session_id()
    sent = [a_chunk(session_id, number, b"part %d" % number * 100) for number in range(2)]
    async with Upload(world.host(host)) as upload:
        for chunk, content in sent:
            await upload.keep(chunk, content)
    await stream.report(1, "", session_started=started(session_id))
    await stream.report(2, "", session_ended=ended(session_id, [chunk for chunk, _ in sent]))
    assert [await stream.kept(), await stream.kept()] == [1, 2]

    async def verdicts() -> list[tuple[str, str, str]]:
        call = world.sessions(admin).VerifyRecordings(sessions_pb2.VerifyRecordingsRequest())
        return [(verdict.session_id, verdict.verdict, verdict.detail) async for verdict in call]

    assert await verdicts() == [(session_id, "whole", "")]
    digest = sent[1][0].sha256
    file = Path(world.config.recordings) / digest[:2] / digest
    damaged = bytearray(file.read_bytes())
    damaged[7] ^= 0x10
    file.chmod(0o600)
    file.write_bytes(damaged)
    assert await verdicts() == [(session_id, "damaged", "chunk 1 is not what its SHA-256 says")]
    with pytest.raises(grpc.aio.AioRpcError, match="damaged"):
        await read(world, admin, session_id)
    assert await _kinds(world, admin, "recording.damaged") == ["recording.damaged"]
