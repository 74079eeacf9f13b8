"""Recordings over real connections: uploads as agents make them, reading and watching as people do (SPEC 8.4, 8.5)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import grpc.aio
import pytest

from jit_protos.v1 import audit_pb2, audit_pb2_grpc, host_pb2, sessions_pb2
from jit_server.adapters.objects import LocalObjects
from jit_server.domain.recording import MAX_SIZE, Chunk
from jit_server.rpc.recording_uploads import Pace
from jit_testing.recorded import a_chunk, a_session_id, digest_of
from jit_testing.server_world import Host, Human, Session, World
from jit_testing.upload import Upload, pieces


async def _kinds(world: World, human: Human, kind: str) -> list[str]:
    audit = audit_pb2_grpc.AuditServiceStub(world.channel(human.identity))
    return [event.kind async for event in audit.Query(audit_pb2.QueryRequest(kind=kind))]


def _started(session_id: str, account: str = "alice") -> host_pb2.SessionStarted:
    return host_pb2.SessionStarted(
        session_id=session_id,
        user=host_pb2.LocalUser(uid=1001, name=account),
        argv=["/usr/bin/id"],
        command="/usr/bin/id",
        run_as_user="root",
        record="output",
    )


def _ended(session_id: str, chunks: list[Chunk]) -> host_pb2.SessionEnded:
    digest = bytes.fromhex(digest_of(chunks)) if chunks else b""
    return host_pb2.SessionEnded(session_id=session_id, chunks=len(chunks), digest=digest)


async def _read(
    world: World, human: Human, session_id: str, *, first: int = 0, watch: bool = False
) -> tuple[list[sessions_pb2.Session], dict[int, bytes]]:
    """What a whole call of ReadRecording gives: the sessions it showed, and the chunks."""
    request = sessions_pb2.ReadRecordingRequest(session_id=session_id, first_chunk=first, watch=watch)
    shown: list[sessions_pb2.Session] = []
    chunks: dict[int, bytes] = {}
    async for piece in world.sessions(human).ReadRecording(request):
        if piece.HasField("session"):
            assert not piece.data
            shown.append(piece.session)
            continue
        assert shown, "the session comes first"
        assert len(piece.data) <= 128 * 1024
        assert piece.offset == len(chunks.get(piece.chunk, b""))
        chunks[piece.chunk] = chunks.get(piece.chunk, b"") + piece.data
    return shown, chunks


async def _host(world: World) -> tuple[Human, Host, Session]:
    """An administrator, and a host whose stream is open."""
    admin = await world.first_admin()
    host = await world.add_host(admin, "web1", tier="web")
    session = world.session(host)
    await session.hello()
    await session.kept()
    return admin, host, session


async def test_what_is_recorded_is_read_as_it_was(world: World) -> None:
    admin, host, stream = await _host(world)
    session_id = a_session_id()
    sent = [a_chunk(session_id, 0, os.urandom(1_000_000), compress=False), a_chunk(session_id, 1, b"end")]
    await stream.report(1, "", session_started=_started(session_id))
    async with Upload(world.host(host)) as upload:
        for chunk, content in sent:
            kept = await upload.keep(chunk, content)
            assert (kept.session_id, kept.chunks, kept.refused) == (session_id, chunk.number + 1, "")
    await stream.report(2, "", session_ended=_ended(session_id, [chunk for chunk, _ in sent]))
    assert [await stream.kept(), await stream.kept()] == [1, 2]

    shown, chunks = await _read(world, admin, session_id)
    assert chunks == {chunk.number: content for chunk, content in sent}
    (session,) = shown
    assert session.recording == sessions_pb2.RECORDING_STATE_WHOLE
    assert (session.chunks, session.stored_bytes) == (2, sum(chunk.size for chunk, _ in sent))
    _, rest = await _read(world, admin, session_id[:9], first=1)
    assert rest == {1: sent[1][1]}
    assert await _kinds(world, admin, "session.replayed") == ["session.replayed"] * 2
    assert await _kinds(world, admin, "recording") == ["recording.stored"]


async def test_what_was_kept_is_there_after_a_restart(world: World) -> None:
    admin, host, stream = await _host(world)
    session_id = a_session_id()
    chunk, content = a_chunk(session_id, 0, b"frames")
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(chunk, content)).chunks == 1
    stream.end()
    await world.stop()
    await world.start()
    _, chunks = await _read(world, admin, session_id)
    assert chunks == {0: content}
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(chunk, content)).chunks == 1, "and is not taken twice"
        assert (await upload.keep(*a_chunk(session_id, 1, b"more"))).chunks == 2


async def test_one_refused_recording_leaves_the_others_of_the_call_alone(world: World) -> None:
    _, host, _ = await _host(world)
    good, bad = a_session_id(), a_session_id()
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(*a_chunk(bad, 0, b"truth"))).chunks == 1
        refused = await upload.keep(*a_chunk(bad, 0, b"lie" * 100_000))
        assert (refused.session_id, refused.chunks) == (bad, 1)
        assert "another" in refused.refused
        # What was under way of it already is passed over without a word.
        await upload.send(*a_chunk(bad, 1, b"more"))
        assert (await upload.keep(*a_chunk(good, 0, b"sound"))).session_id == good
        too_large, content = a_chunk(a_session_id(), 0, os.urandom(MAX_SIZE + 1), compress=False)
        refused = await upload.keep(too_large, content)
        assert str(MAX_SIZE) in refused.refused
        assert (await upload.keep(*a_chunk(good, 1, b"sound too"))).chunks == 2


async def test_a_chunk_of_the_largest_size_is_kept(world: World) -> None:
    _, host, _ = await _host(world)
    async with Upload(world.host(host)) as upload:
        kept = await upload.keep(*a_chunk(a_session_id(), 0, os.urandom(MAX_SIZE), compress=False))
        assert kept.chunks == 1


async def test_chunks_of_another_hosts_session_are_refused_and_seen_by_nobody(world: World) -> None:
    admin, host, _ = await _host(world)
    other = await world.add_host(admin, "web2", tier="web")
    session_id = a_session_id()
    async with Upload(world.host(host)) as upload:
        await upload.keep(*a_chunk(session_id, 0, b"mine"))
    async with Upload(world.host(other)) as upload:
        refused = await upload.keep(*a_chunk(session_id, 1, b"not mine"))
        assert (refused.chunks, refused.refused) == (0, "the session is another host's")
    _, chunks = await _read(world, admin, session_id)
    assert list(chunks) == [0]


Some = list[sessions_pb2.RecordingPiece]
"""Of a chunk of four pieces; what is sent ends with the one that is wrong."""


def _out_of_order(sent: Some) -> Some:
    return [sent[0], sent[2]]


def _overlapping(sent: Some) -> Some:
    sent[1].offset -= 1
    return sent[:2]


def _of_another_session(sent: Some) -> Some:
    sent[1].session_id = a_session_id()
    return sent[:2]


def _of_another_chunk(sent: Some) -> Some:
    sent[1].chunk = 1
    return sent[:2]


def _too_long(sent: Some) -> Some:
    sent[-1].data += b"x"
    return sent


def _empty(sent: Some) -> Some:
    sent[1].data = b""
    return sent[:2]


def _no_session(sent: Some) -> Some:
    sent[0].session_id = "../../etc"
    return sent[:1]


def _no_digest(sent: Some) -> Some:
    sent[0].sha256 = b"short"
    return sent[:1]


def _begins_in_the_middle(sent: Some) -> Some:
    return sent[1:2]


@pytest.mark.parametrize(
    "spoil",
    [
        _out_of_order,
        _overlapping,
        _of_another_session,
        _of_another_chunk,
        _too_long,
        _empty,
        _no_session,
        _no_digest,
        _begins_in_the_middle,
    ],
)
async def test_pieces_that_are_no_chunk_end_the_call_and_leave_nothing(
    world: World, spoil: Callable[[Some], Some]
) -> None:
    _, host, stream = await _host(world)
    session_id = a_session_id()
    chunk, content = a_chunk(session_id, 0, os.urandom(400_000), compress=False)
    async with Upload(world.host(host)) as upload:
        for piece in spoil(list(pieces(chunk, content))):
            await upload.call.write(piece)
        assert await upload.ended_with() is grpc.StatusCode.INVALID_ARGUMENT
    await stream.report(1, "", session_started=_started(session_id))
    assert await stream.kept() == 1, "the host's stream never noticed"
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(chunk, content)).chunks == 1


async def test_a_piece_over_its_limit_is_refused(world: World) -> None:
    _, host, _ = await _host(world)
    chunk, content = a_chunk(a_session_id(), 0, os.urandom(200_000), compress=False)
    async with Upload(world.host(host)) as upload:
        for piece in pieces(chunk, content, 128 * 1024 + 1):
            await upload.call.write(piece)
            break
        assert await upload.ended_with() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_upload_that_is_cut_in_the_middle_of_a_chunk_goes_on_with_it(world: World) -> None:
    admin, host, _ = await _host(world)
    session_id = a_session_id()
    whole, half = a_chunk(session_id, 0, b"whole"), a_chunk(session_id, 1, os.urandom(500_000), compress=False)
    async with Upload(world.host(host)) as upload:
        await upload.keep(*whole)
        for piece in list(pieces(*half))[:2]:
            await upload.call.write(piece)
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(*whole)).chunks == 1
        assert (await upload.keep(*half)).chunks == 2
    _, chunks = await _read(world, admin, session_id)
    assert chunks == {0: whole[1], 1: half[1]}


async def test_a_newer_upload_of_a_host_takes_the_place_of_the_older(world: World) -> None:
    """The older one's connection may be dead, and nobody has noticed yet."""
    _, host, _ = await _host(world)
    session_id = a_session_id()
    async with Upload(world.host(host)) as older:
        await older.keep(*a_chunk(session_id, 0, b"0"))
        async with Upload(world.host(host)) as newer:
            assert (await newer.keep(*a_chunk(session_id, 1, b"1"))).chunks == 2
            assert (await newer.keep(*a_chunk(session_id, 2, b"2"))).chunks == 3
        assert await older.ended_with() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_slow_disk_holds_up_recordings_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, fast, put = asyncio.Event(), asyncio.Event(), LocalObjects.put

    async def slow(self: LocalObjects, content: bytes) -> str:
        asked.set()
        await fast.wait()
        return await put(self, content)

    monkeypatch.setattr(LocalObjects, "put", slow)
    _, host, stream = await _host(world)
    session_id = a_session_id()
    async with Upload(world.host(host)) as upload, asyncio.timeout(20):
        await upload.send(*a_chunk(session_id, 0, b"slow"))
        await asked.wait()
        for sequence in range(1, 20):
            await stream.report(sequence, "", session_started=_started(a_session_id()))
            assert await stream.kept() == sequence
        waiting = asyncio.create_task(upload.kept())
        await stream.report(20, "", session_started=_started(session_id))
        assert await stream.kept() == 20
        assert not waiting.done()
        fast.set()
        assert (await waiting).chunks == 1


def test_a_host_sends_only_so_fast() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0], rate=1_000_000, burst=2_000_000)
    assert pace.wait_s("a", 1_000_000) == 0
    assert pace.wait_s("a", 1_000_000) == 0
    assert pace.wait_s("a", 500_000) == pytest.approx(0.5)
    assert pace.wait_s("b", 1_000_000) == 0, "another host pays for itself"
    now[0] += 0.5
    assert pace.wait_s("a", 1_000_000) == pytest.approx(1.0)
    now[0] += 60
    assert pace.wait_s("a", 2_000_000) == 0, "who rested may send the burst again, and no more"
    assert pace.wait_s("a", 1_000) > 0


async def test_a_recording_is_seen_as_it_comes_until_the_session_ends(world: World) -> None:
    """SPEC 8.5: watching shows what is there, then each chunk at once, and ends with the session."""
    admin, host, stream = await _host(world)
    session_id = a_session_id()
    sent = [a_chunk(session_id, number, b"part %d" % number) for number in range(3)]
    await stream.report(1, "", session_started=_started(session_id))
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
        await stream.report(2, "", session_ended=_ended(session_id, [chunk for chunk, _ in sent]))
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
    admin, _, stream = await _host(world)
    session_id = a_session_id()
    await stream.report(1, "", session_started=_started(session_id))
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
    admin, _, stream = await _host(world)
    session_id = a_session_id()
    await stream.report(1, "", session_started=_started(session_id))
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
    admin, host, stream = await _host(world)
    alice, bob = await world.add_user(admin, "alice"), await world.add_user(admin, "bob")
    dave = await world.add_user(admin, "dave", "auditor")
    session_id = a_session_id()
    chunk, content = a_chunk(session_id, 0, b"secret")
    await stream.report(1, "", session_started=_started(session_id))
    await stream.kept()
    async with Upload(world.host(host)) as upload:
        await upload.keep(chunk, content)
    for reader in (alice, dave):
        _, chunks = await _read(world, reader, session_id)
        assert chunks == {0: content}
    for watch in (False, True):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _read(world, bob, session_id, watch=watch)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert await _kinds(world, admin, "session.watched") == []
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in world.sessions(alice).VerifyRecordings(sessions_pb2.VerifyRecordingsRequest()):
            pass
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_flipped_byte_on_the_disk_is_reported(world: World) -> None:
    admin, host, stream = await _host(world)
    session_id = a_session_id()
    sent = [a_chunk(session_id, number, b"part %d" % number * 100) for number in range(2)]
    async with Upload(world.host(host)) as upload:
        for chunk, content in sent:
            await upload.keep(chunk, content)
    await stream.report(1, "", session_started=_started(session_id))
    await stream.report(2, "", session_ended=_ended(session_id, [chunk for chunk, _ in sent]))
    assert [await stream.kept(), await stream.kept()] == [1, 2]

    async def verdicts() -> list[tuple[str, str, str]]:
        call = world.sessions(admin).VerifyRecordings(sessions_pb2.VerifyRecordingsRequest())
        return [(verdict.session_id, verdict.verdict, verdict.detail) async for verdict in call]

    assert await verdicts() == [(session_id, "whole", "")]
    digest = sent[1][0].sha256
    file = Path(world.config.recordings) / digest[:2] / digest[2:4] / digest
    damaged = bytearray(file.read_bytes())
    damaged[7] ^= 0x10
    file.chmod(0o600)
    file.write_bytes(damaged)
    assert await verdicts() == [(session_id, "damaged", "chunk 1 is not what its SHA-256 says")]
    with pytest.raises(grpc.aio.AioRpcError, match="damaged"):
        await _read(world, admin, session_id)
    assert await _kinds(world, admin, "recording.damaged") == ["recording.damaged"]
