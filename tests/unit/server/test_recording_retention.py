"""Recordings go when their time is up, with proof, and nothing else does (SPEC 8.6)."""

from __future__ import annotations

import asyncio

import pytest

from jit_server.domain.grant import DEFAULT_RETAIN_S
from jit_server.domain.identity import HostCaller
from jit_server.domain.session import RecordingState
from jit_server.errors import NotFound, Unavailable
from jit_server.services import retention
from jit_server.services.recordings import Kept, Refused
from jit_testing.core_world import CoreWorld
from jit_testing.recorded import a_chunk, a_session_id, digest_of, end, keep, recorded, send, session_of, start
from jit_testing.server_fakes import FakeObjects

DAY = 24 * 3_600
YEAR = DEFAULT_RETAIN_S


async def test_a_recording_stays_until_its_time_is_up_and_goes_with_proof(world: CoreWorld) -> None:
    host = await world.host()
    session_id, chunks = await recorded(world, host, b"one", b"two")
    world.clock.advance(YEAR - 1)
    await world.services.retention.expire()
    assert (await session_of(world, session_id)).recording is RecordingState.WHOLE
    assert len(world.objects.contents) == 2

    world.clock.advance(1)
    await world.services.retention.expire()
    session = await session_of(world, session_id)
    assert session.recording is RecordingState.DELETED
    assert world.objects.contents == {}
    (deleted,) = await world.events("recording.deleted")
    assert deleted.event.details == {
        "session": session_id,
        "digest": digest_of(chunks),
        "chunks": 2,
        "bytes": sum(chunk.size for chunk in chunks),
    }
    assert deleted.event.actor == "server"
    assert await world.services.recordings.chunks(session_id, 0) == []
    with pytest.raises(NotFound, match="was deleted"):
        await world.services.recordings.content(chunks[0])
    await world.services.retention.expire()
    assert await world.kinds("recording") == ["recording.stored", "recording.deleted"]


async def test_what_another_session_has_too_stays_for_it(world: CoreWorld) -> None:
    host = await world.host()
    old, (shared, own) = await recorded(world, host, b"same", b"different")
    world.clock.advance(DAY)
    young, _ = await recorded(world, host, b"same", b"same")
    world.clock.advance(YEAR - DAY)
    await world.services.retention.expire()
    assert (await session_of(world, old)).recording is RecordingState.DELETED
    assert shared.sha256 in world.objects.contents
    assert own.sha256 not in world.objects.contents
    (kept, _) = await world.services.recordings.chunks(young, 0)
    assert await world.services.recordings.content(kept)
    world.clock.advance(DAY)
    await world.services.retention.expire()
    assert world.objects.contents == {}
    assert await world.kinds("recording.deleted") == ["recording.deleted"] * 2


async def test_an_open_session_keeps_its_recording(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    await world.report(host, "", start(session_id))
    await send(world, host, *a_chunk(session_id, 0, b"still running"))
    world.clock.advance(3 * YEAR)
    await world.services.retention.expire()
    assert (await session_of(world, session_id)).recording is RecordingState.ARRIVING
    assert len(world.objects.contents) == 1


async def test_chunks_of_a_session_nobody_ever_told_of_go_too(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    await send(world, host, *a_chunk(session_id, 0, b"whose?"))
    world.clock.advance(YEAR)
    await world.services.retention.expire()
    assert world.objects.contents == {}
    assert await world.kinds("recording") == ["recording.deleted"]


async def test_what_comes_after_the_deletion_is_refused(world: CoreWorld) -> None:
    host = await world.host()
    session_id, _ = await recorded(world, host, b"one")
    world.clock.advance(YEAR)
    refused = Refused(1, "its time is up, and it is deleted")
    late = a_chunk(session_id, 1, b"late")
    assert await send(world, host, *late) == refused, "also before the deletion itself"
    await world.services.retention.expire()
    assert await send(world, host, *late) == refused
    assert await keep(world, host, *late) == refused
    assert await world.kinds("recording.damaged") == []


class Killed(Exception):
    """What ends a process in the middle."""


class Failing(FakeObjects):
    """The second deletion fails."""

    deletions = 0
    failure: Exception = Killed()

    async def delete(self, digest: str, *, put_before: int) -> bool:
        self.deletions += 1
        if self.deletions == 2:
            raise self.failure
        return await super().delete(digest, put_before=put_before)


async def test_a_deletion_that_was_cut_off_is_finished_later(world: CoreWorld) -> None:
    world.objects = Failing(world.clock)
    world.services = world.compose()
    host = await world.host()
    session_id, _ = await recorded(world, host, b"one", b"two", b"three")
    world.clock.advance(YEAR)
    with pytest.raises(Killed):
        await world.services.retention.expire()
    assert await world.kinds("recording.deleted") == [], "nothing is called deleted that is not (S7)"
    assert await world.services.recordings.chunks(session_id, 0) == [], "and nobody reads what is half gone"

    world.services = world.compose()
    await world.services.retention.expire()
    assert world.objects.contents == {}
    assert (await session_of(world, session_id)).recording is RecordingState.DELETED
    assert await world.kinds("recording.deleted") == ["recording.deleted"]


async def test_an_object_that_cannot_be_deleted_keeps_no_other(world: CoreWorld) -> None:
    world.objects = failing = Failing(world.clock)
    failing.failure = Unavailable("input/output error")
    world.services = world.compose()
    host = await world.host()
    ids = [(await recorded(world, host, b"part %d" % number))[0] for number in range(3)]
    world.clock.advance(YEAR)
    await world.services.retention.expire()
    assert len(world.objects.contents) == 1
    states = [(await session_of(world, session_id)).recording for session_id in ids]
    assert sorted(states) == [RecordingState.DELETED, RecordingState.DELETED, RecordingState.WHOLE]
    await world.services.retention.expire()
    assert world.objects.contents == {}
    assert len(await world.kinds("recording.deleted")) == 3


async def test_an_object_that_is_just_being_put_again_is_not_taken_away(world: CoreWorld) -> None:
    """Between the put and the commit of another session's chunk nothing refers to the object but that upload."""
    host = await world.host()
    old, (chunk,) = await recorded(world, host, b"same")
    world.clock.advance(YEAR)
    young = a_session_id()
    again, content = a_chunk(young, 0, b"same")
    await world.objects.put(content)
    await world.services.retention.expire()
    assert chunk.sha256 in world.objects.contents
    assert await world.kinds("recording.deleted") == []
    assert await send(world, host, again, content) == Kept(1)
    world.clock.advance(3_600)
    await world.services.retention.expire()
    assert (await session_of(world, old)).recording is RecordingState.DELETED
    assert await world.services.recordings.content(again) == content


async def test_many_recordings_go_in_bounded_rounds(world: CoreWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 5)
    host = await world.host()
    for number in range(13):
        await recorded(world, host, b"part %d" % number)
    world.clock.advance(YEAR)
    assert await world.services.retention.expire() == 0.0, "there is more: at once again"
    assert 0 < len(world.objects.contents) < 13
    async with asyncio.timeout(30):
        while await world.services.retention.expire() is not None:
            pass
    assert world.objects.contents == {}
    assert len(await world.kinds("recording.deleted")) == 13


async def _sweep_all(world: CoreWorld) -> None:
    for _ in range(256):
        await world.services.retention.sweep()


async def test_objects_that_nobody_refers_to_are_swept_after_a_day(world: CoreWorld) -> None:
    host: HostCaller = await world.host()
    _, (chunk,) = await recorded(world, host, b"kept")
    orphan = await world.objects.put(b"put, and never committed")
    world.clock.advance(DAY)
    await _sweep_all(world)
    assert orphan in world.objects.contents
    world.clock.advance(1)
    fresh = await world.objects.put(b"being put")
    await _sweep_all(world)
    assert orphan not in world.objects.contents
    assert fresh in world.objects.contents
    assert chunk.sha256 in world.objects.contents


async def test_an_incomplete_recording_whose_session_ended_goes_as_well(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    first, second = a_chunk(session_id, 0, b"came"), a_chunk(session_id, 1, b"never came")
    await world.report(host, "", start(session_id))
    await send(world, host, *first)
    await world.report(host, "", end(session_id, [first[0], second[0]]))
    world.clock.advance(YEAR)
    await world.services.retention.expire()
    assert world.objects.contents == {}
    (deleted,) = await world.events("recording.deleted")
    assert deleted.event.details["chunks"] == 1
