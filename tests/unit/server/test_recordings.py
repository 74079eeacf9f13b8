"""Chunks as hosts send them: kept once, in order, whole at the end, and nothing else (SPEC 8.2, 8.4)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jit_server.domain.identity import Duty
from jit_server.domain.recording import MAX_SIZE, Chunk
from jit_server.domain.session import RecordingState
from jit_server.errors import NotFound, Unauthenticated, Unavailable
from jit_server.services.recordings import Kept, Refused, Wanted
from jit_testing.core_world import CoreWorld
from jit_testing.recorded import a_chunk, a_session_id, digest_of, end, keep, recorded, send, session_of, start
from jit_testing.server_fakes import BOOT


async def test_a_session_whose_chunks_have_all_come_is_whole(world: CoreWorld) -> None:
    host = await world.host()
    session_id, chunks = await recorded(world, host, b"one", b"two" * 1_000, b"three")
    session = await session_of(world, session_id)
    assert session.recording is RecordingState.WHOLE
    assert (session.chunks, session.stored_bytes) == (3, sum(chunk.size for chunk in chunks))
    (stored,) = await world.events("recording.stored")
    details = dict(stored.event.details)
    assert len(str(details.pop("index"))) == 64
    assert details == {
        "session": session_id,
        "chunks": 3,
        "bytes": session.stored_bytes,
        "digest": digest_of(chunks),
    }
    assert (stored.event.host, stored.event.user) == ("web1", "alice (uid 1001)")


async def test_what_came_is_what_is_read(world: CoreWorld) -> None:
    host = await world.host()
    session_id, chunks = await recorded(world, host, b"one", b"two", b"three")
    assert list(await world.services.recordings.chunks(session_id, 0)) == chunks
    assert list(await world.services.recordings.chunks(session_id, 2)) == chunks[2:]
    assert [await world.services.recordings.content(chunk) for chunk in chunks] == [
        a_chunk(session_id, number, frames)[1] for number, frames in enumerate((b"one", b"two", b"three"))
    ]


async def test_chunks_may_come_before_the_session_is_told_of(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    chunk, content = a_chunk(session_id, 0, b"early")
    assert await send(world, host, chunk, content) == Kept(1)
    await world.report(host, "", start(session_id))
    assert (await session_of(world, session_id)).recording is RecordingState.ARRIVING
    await world.report(host, "", end(session_id, [chunk]))
    session = await session_of(world, session_id)
    assert session.recording is RecordingState.WHOLE
    assert session.command == "/usr/bin/id"
    assert await world.kinds("recording") == ["recording.stored"]


async def test_chunks_may_come_after_the_end_was_told(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    sent = [a_chunk(session_id, number, b"late %d" % number) for number in range(3)]
    await world.report(host, "", start(session_id))
    await world.report(host, "", end(session_id, [chunk for chunk, _ in sent]))
    for chunk, content in sent:
        assert (await session_of(world, session_id)).recording is RecordingState.ARRIVING
        await send(world, host, chunk, content)
    assert (await session_of(world, session_id)).recording is RecordingState.WHOLE
    assert await world.kinds("recording") == ["recording.stored"]


async def test_a_recording_that_stops_short_is_stored_as_incomplete(world: CoreWorld) -> None:
    host = await world.host()
    session_id, _ = await recorded(world, host, b"one", incomplete="the disk was full")
    session = await session_of(world, session_id)
    assert session.recording is RecordingState.INCOMPLETE
    assert session.incomplete == "the disk was full"
    assert await world.kinds("recording") == ["recording.stored"]


async def test_a_session_without_chunks_has_no_recording(world: CoreWorld) -> None:
    host = await world.host()
    session_id, _ = await recorded(world, host)
    assert (await session_of(world, session_id)).recording is RecordingState.NONE
    assert await world.kinds("recording") == []


async def test_a_chunk_that_comes_again_is_kept_once(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    sent = [a_chunk(session_id, number, b"part %d" % number) for number in range(2)]
    for chunk, content in sent:
        await send(world, host, chunk, content)
    for chunk, _ in sent:
        assert await world.services.recordings.weigh(host, chunk) == Kept(2)
    # And when two streams have both begun to send it.
    assert await keep(world, host, *sent[1]) == Kept(2)
    assert (await session_of(world, session_id)).stored_bytes == sum(chunk.size for chunk, _ in sent)


async def test_two_streams_that_send_the_same_at_once_agree(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    sent = a_chunk(session_id, 0, b"same")
    answers = await asyncio.gather(*(keep(world, host, *sent) for _ in range(5)))
    assert set(answers) == {Kept(1)}
    assert (await session_of(world, session_id)).chunks == 1


async def test_another_chunk_under_a_known_number_is_refused_and_said_once(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    kept, content = a_chunk(session_id, 0, b"the truth")
    await send(world, host, kept, content)
    for lie in (b"a lie", b"another"):
        answer = await send(world, host, *a_chunk(session_id, 0, lie))
        assert isinstance(answer, Refused)
        assert answer.chunks == 1
        assert "another than the one that is kept" in answer.why
    assert await world.services.recordings.content(kept) == content
    (damaged,) = await world.events("recording.damaged")
    assert damaged.event.details["session"] == session_id
    session = await session_of(world, session_id)
    assert session.recording is RecordingState.INCOMPLETE
    assert "chunk 0 is another" in session.damage


async def test_a_gap_is_refused_and_the_next_chunk_is_not(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    await send(world, host, *a_chunk(session_id, 0, b"0"))
    answer = await send(world, host, *a_chunk(session_id, 2, b"2"))
    assert answer == Refused(1, "chunk 2 came after 1 chunks: some are missing", damages=True)
    assert await world.kinds("recording") == ["recording.damaged"]
    assert await send(world, host, *a_chunk(session_id, 1, b"1")) == Kept(2)


async def test_chunks_of_another_hosts_session_are_refused(world: CoreWorld) -> None:
    """S11: a host that was taken over can add nothing to what another recorded, nor have it called damaged."""
    host, other = await world.host("web1"), await world.host("web2")
    told, early = a_session_id(), a_session_id()
    await world.report(host, "", start(told))
    await send(world, host, *a_chunk(early, 0, b"mine"))
    for session_id, number in ((told, 0), (early, 0), (early, 1), (early, 7)):
        chunk, content = a_chunk(session_id, number, b"not mine")
        refused = Refused(0, "the session is another host's")
        assert await world.services.recordings.weigh(other, chunk) == refused
        assert await keep(world, other, chunk, content) == refused
    assert await world.kinds("recording") == []
    assert (await session_of(world, told)).chunks == 0
    # And a session the other host sent chunks of is not taken over by who tells of it later.
    await world.report(other, "", start(early))
    assert (await session_of(world, early)).host == "web1"


async def test_a_removed_host_records_nothing(world: CoreWorld) -> None:
    host = await world.host()
    chunk, content = a_chunk(a_session_id(), 0, b"x")
    await world.services.hosts.remove(world.root, "web1")
    with pytest.raises(Unauthenticated):
        await world.services.recordings.weigh(host, chunk)
    with pytest.raises(Unauthenticated):
        await keep(world, host, chunk, content)


CANNOT_BE = {
    "too large": {"size": MAX_SIZE + 1},
    "too large decoded": {"decoded_size": MAX_SIZE + 1},
    "empty": {"size": 0},
    "ends before it starts": {"start_ns": 2, "end_ns": 1},
    "before the session": {"start_ns": -1},
    "unknown encoding": {"encoding": "gzip"},
    "two sizes": {"encoding": "none", "decoded_size": 3},
    "number": {"number": 2**32 - 1},
}


@pytest.mark.parametrize("wrong", CANNOT_BE.values(), ids=CANNOT_BE)
async def test_a_chunk_that_cannot_be_is_refused_before_its_bytes_are_taken(
    world: CoreWorld, wrong: dict[str, object]
) -> None:
    host, session_id = await world.host(), a_session_id()
    chunk, _ = a_chunk(session_id, 0, b"good")
    bad: Chunk = replace(chunk, **wrong)  # type: ignore[arg-type]
    answer = await world.services.recordings.weigh(host, bad)
    assert isinstance(answer, Refused)
    assert answer.why
    assert await world.kinds("recording") == ["recording.damaged"]
    assert await world.services.recordings.weigh(host, chunk) == Wanted()


async def test_bytes_that_are_not_the_chunks_are_refused(world: CoreWorld) -> None:
    host = await world.host()
    for change in (
        lambda chunk, content: (chunk, content + b"x"),
        lambda chunk, content: (chunk, bytes(len(content))),
        lambda chunk, content: (replace(chunk, decoded_size=chunk.decoded_size + 1), content),
        lambda chunk, content: a_lie(chunk, b"not a zstd frame"),
    ):
        session_id = a_session_id()
        chunk, content = change(*a_chunk(session_id, 0, b"frames"))
        answer = await send(world, host, chunk, content)
        assert isinstance(answer, Refused)
        assert answer.damages
        assert (await session_of(world, session_id)).chunks == 0
    assert world.objects.contents == {}


def a_lie(chunk: Chunk, content: bytes) -> tuple[Chunk, bytes]:
    """Whole as bytes, but no frame."""
    plain, _ = a_chunk(chunk.session_id, chunk.number, content, compress=False)
    return replace(plain, encoding="zstd"), content


async def test_what_stands_in_for_a_lost_chunk_is_kept(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    hole, content = a_chunk(session_id, 0, b"")
    assert hole.decoded_size == 0
    assert await send(world, host, hole, content) == Kept(1)


async def test_a_chunk_that_is_stored_as_it_is_is_kept(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    assert await send(world, host, *a_chunk(session_id, 0, b"plain", compress=False)) == Kept(1)


async def test_a_digest_that_does_not_fit_is_damage_and_no_whole_recording(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    chunk, content = a_chunk(session_id, 0, b"sent")
    other, _ = a_chunk(session_id, 0, b"recorded")
    await world.report(host, "", start(session_id))
    await send(world, host, chunk, content)
    await world.report(host, "", end(session_id, [other]))
    session = await session_of(world, session_id)
    assert session.recording is RecordingState.INCOMPLETE
    assert "digest" in session.damage
    assert await world.kinds("recording") == ["recording.damaged"]


async def test_more_chunks_than_the_end_named_are_damage(world: CoreWorld) -> None:
    host = await world.host()
    session_id, _ = await recorded(world, host, b"all there was")
    answer = await send(world, host, *a_chunk(session_id, 1, b"and then some"))
    assert answer == Kept(2)
    assert "sent 2 chunks, and named 1" in (await session_of(world, session_id)).damage
    assert await world.kinds("recording") == ["recording.stored", "recording.damaged"]


async def test_chunks_of_a_session_that_ended_without_naming_any_are_damage(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    await send(world, host, *a_chunk(session_id, 0, b"there is something"))
    await world.report(host, "", end(session_id, []))
    assert (await session_of(world, session_id)).recording is RecordingState.INCOMPLETE
    assert await world.kinds("recording") == ["recording.damaged"]


async def test_nothing_is_told_kept_that_the_disk_did_not_take(world: CoreWorld) -> None:
    """S7: and once there is room again, the same chunk is taken."""
    host, session_id = await world.host(), a_session_id()
    sent = a_chunk(session_id, 0, b"frames")
    world.objects.full = True
    with pytest.raises(Unavailable, match="room"):
        await send(world, host, *sent)
    assert await world.services.recordings.weigh(host, sent[0]) == Wanted()
    world.objects.full = False
    assert await send(world, host, *sent) == Kept(1)


async def test_a_slow_disk_holds_up_neither_reports_nor_desired_state(world: CoreWorld) -> None:
    """While a chunk is being written no transaction is open that anybody else would wait for."""
    host, session_id = await world.host(), a_session_id()
    world.objects.open.clear()
    sending = asyncio.create_task(send(world, host, *a_chunk(session_id, 0, b"slow")))
    async with asyncio.timeout(5):
        await world.objects.asked.wait()
        await world.report(host, "", start(session_id))
        await world.services.delivery.desired_state(host, BOOT)
    assert not sending.done()
    world.objects.open.set()
    assert await sending == Kept(1)


async def test_a_changed_object_is_not_handed_out_and_said_once(world: CoreWorld) -> None:
    host = await world.host()
    session_id, (sound, broken) = await recorded(world, host, b"one", b"two")
    world.objects.flip(broken.sha256)
    assert await world.services.recordings.content(sound)
    for _ in range(2):
        with pytest.raises(Unavailable, match="chunk 1 is not what its SHA-256 says"):
            await world.services.recordings.content(broken)
    assert await world.kinds("recording") == ["recording.stored", "recording.damaged"]
    assert (await session_of(world, session_id)).recording is RecordingState.INCOMPLETE


async def test_a_lost_object_is_said_once(world: CoreWorld) -> None:
    host = await world.host()
    _, (chunk,) = await recorded(world, host, b"one")
    del world.objects.contents[chunk.sha256]
    with pytest.raises(Unavailable, match="chunk 0 is missing"):
        await world.services.recordings.content(chunk)
    assert await world.kinds("recording.damaged") == ["recording.damaged"]


async def test_who_replays_is_written_down(world: CoreWorld) -> None:
    host, dave = await world.host(), await world.person("dave", Duty.AUDITOR)
    session_id, _ = await recorded(world, host, b"one")
    await world.services.recordings.note_replay(dave, session_id)
    (replayed,) = await world.events("session.replayed")
    assert replayed.event.actor == "dave"
    assert replayed.event.details == {"session": session_id}
    with pytest.raises(NotFound):
        await world.services.recordings.note_replay(dave, a_session_id())


async def test_a_recording_that_was_damaged_while_it_came_is_not_called_whole_at_its_end(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    chunk, content = a_chunk(session_id, 0, b"one")
    await world.report(host, "", start(session_id))
    await send(world, host, chunk, content)
    world.objects.flip(chunk.sha256)
    with pytest.raises(Unavailable, match="damaged"):
        await world.services.recordings.content(chunk)
    await world.report(host, "", end(session_id, [chunk]))
    session = await session_of(world, session_id)
    assert session.recording is RecordingState.INCOMPLETE
    assert "chunk 0" in session.damage
