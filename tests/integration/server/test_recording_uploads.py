"""Uploads of recordings over real connections, as agents make them (SPEC 8.4)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace

import grpc
import grpc.aio
import pytest

from jit_protos.v1 import sessions_pb2
from jit_server.adapters.objects import LocalObjects
from jit_server.domain.identity import HostCaller
from jit_server.domain.recording import MAX_SIZE, Chunk
from jit_server.errors import Unavailable
from jit_server.rpc.recording_uploads import Pace
from jit_server.services.recordings import Kept, RecordingService, Refused
from jit_testing.recorded import a_chunk, a_session_id
from jit_testing.recording_world import read, recording_host, started
from jit_testing.server_world import World
from jit_testing.upload import Upload, pieces


async def test_one_refused_recording_leaves_the_others_of_the_call_alone(world: World) -> None:
    _, host, _ = await recording_host(world)
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
    _, host, _ = await recording_host(world)
    async with Upload(world.host(host)) as upload:
        kept = await upload.keep(*a_chunk(a_session_id(), 0, os.urandom(MAX_SIZE), compress=False))
        assert kept.chunks == 1


async def test_chunks_of_another_hosts_session_are_refused_and_seen_by_nobody(world: World) -> None:
    admin, host, _ = await recording_host(world)
    other = await world.add_host(admin, "web2", tier="web")
    session_id = a_session_id()
    async with Upload(world.host(host)) as upload:
        await upload.keep(*a_chunk(session_id, 0, b"mine"))
    async with Upload(world.host(other)) as upload:
        refused = await upload.keep(*a_chunk(session_id, 1, b"not mine"))
        assert (refused.chunks, refused.refused) == (0, "the session is another host's")
    _, chunks = await read(world, admin, session_id)
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
    _, host, stream = await recording_host(world)
    session_id = a_session_id()
    chunk, content = a_chunk(session_id, 0, os.urandom(400_000), compress=False)
    async with Upload(world.host(host)) as upload:
        for piece in spoil(list(pieces(chunk, content))):
            await upload.call.write(piece)
        assert await upload.ended_with() is grpc.StatusCode.INVALID_ARGUMENT
    await stream.report(1, "", session_started=started(session_id))
    assert await stream.kept() == 1, "the host's stream never noticed"
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(chunk, content)).chunks == 1


async def test_a_piece_over_its_limit_is_refused(world: World) -> None:
    _, host, _ = await recording_host(world)
    chunk, content = a_chunk(a_session_id(), 0, os.urandom(200_000), compress=False)
    async with Upload(world.host(host)) as upload:
        for piece in pieces(chunk, content, 128 * 1024 + 1):
            await upload.call.write(piece)
            break
        assert await upload.ended_with() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_upload_that_is_cut_in_the_middle_of_a_chunk_goes_on_with_it(world: World) -> None:
    admin, host, _ = await recording_host(world)
    session_id = a_session_id()
    whole, half = a_chunk(session_id, 0, b"whole"), a_chunk(session_id, 1, os.urandom(500_000), compress=False)
    async with Upload(world.host(host)) as upload:
        await upload.keep(*whole)
        for piece in list(pieces(*half))[:2]:
            await upload.call.write(piece)
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(*whole)).chunks == 1
        assert (await upload.keep(*half)).chunks == 2
    _, chunks = await read(world, admin, session_id)
    assert chunks == {0: whole[1], 1: half[1]}


async def test_a_newer_upload_of_a_host_takes_the_place_of_the_older(world: World) -> None:
    """The older one's connection may be dead, and nobody has noticed yet."""
    _, host, _ = await recording_host(world)
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
    _, host, stream = await recording_host(world)
    session_id = a_session_id()
    async with Upload(world.host(host)) as upload, asyncio.timeout(20):
        await upload.send(*a_chunk(session_id, 0, b"slow"))
        await asked.wait()
        for sequence in range(1, 20):
            await stream.report(sequence, "", session_started=started(a_session_id()))
            assert await stream.kept() == sequence
        waiting = asyncio.create_task(upload.kept())
        await stream.report(20, "", session_started=started(session_id))
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


async def test_while_a_chunk_is_committed_the_next_ones_bytes_are_made_durable_and_neither_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC 8.4: what is told to be kept is both on the disk and committed."""
    go_on, keep, put = asyncio.Event(), RecordingService.keep, LocalObjects.put
    durable: asyncio.Queue[bytes] = asyncio.Queue()

    async def slow(self: RecordingService, caller: HostCaller, chunk: Chunk) -> Kept | Refused:
        await go_on.wait()
        return await keep(self, caller, chunk)

    async def seen(self: LocalObjects, content: bytes) -> str:
        digest = await put(self, content)
        durable.put_nowait(content)
        return digest

    monkeypatch.setattr(RecordingService, "keep", slow)
    monkeypatch.setattr(LocalObjects, "put", seen)
    _, host, _ = await recording_host(world)
    session_id = a_session_id()
    sent = [a_chunk(session_id, number, b"part %d" % number) for number in range(3)]
    async with Upload(world.host(host)) as upload, asyncio.timeout(20):
        telling = asyncio.create_task(upload.kept())
        for chunk, content in sent[:2]:
            await upload.send(chunk, content)
            assert await durable.get() == content
        assert not telling.done()
        go_on.set()
        assert (await telling).chunks == 1
        assert (await upload.kept()).chunks == 2
        assert (await upload.keep(*sent[2])).chunks == 3


async def test_a_chunk_that_cannot_be_committed_ends_the_call_though_the_host_says_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> Kept:
        raise Unavailable("the database does not answer as it should")

    _, host, _ = await recording_host(world)
    sent = a_chunk(a_session_id(), 0, b"frames")
    with monkeypatch.context() as patched:
        patched.setattr(RecordingService, "keep", broken)
        async with Upload(world.host(host)) as upload, asyncio.timeout(20):
            await upload.send(*sent)
            assert await upload.ended_with() is grpc.StatusCode.UNAVAILABLE
    async with Upload(world.host(host)) as upload:
        assert (await upload.keep(*sent)).chunks == 1


async def test_what_follows_a_chunk_that_is_not_what_it_says_gets_no_answer_and_is_not_kept(world: World) -> None:
    admin, host, _ = await recording_host(world)
    session_id, other = a_session_id(), a_session_id()
    lie = replace(a_chunk(session_id, 1, b"this")[0], sha256="ab" * 32)
    async with Upload(world.host(host)) as upload, asyncio.timeout(20):
        await upload.send(*a_chunk(session_id, 0, b"0"))
        await upload.send(lie, a_chunk(session_id, 1, b"this")[1])
        await upload.send(*a_chunk(session_id, 2, b"2"))
        await upload.send(*a_chunk(other, 0, b"other"))
        answers = [await upload.kept() for _ in range(3)]
    assert [(answer.session_id, answer.refused) for answer in answers] == [
        (session_id, ""),
        (session_id, "chunk 1 is not what its SHA-256 says"),
        (other, ""),
    ]
    _, chunks = await read(world, admin, session_id)
    assert list(chunks) == [0]
