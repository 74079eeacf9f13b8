"""Chunks in every store: in order, once each, never changed, and deleted for good."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from jit_server.adapters.changes import InProcessChanges
from jit_server.adapters.sql import SqlStore
from jit_server.adapters.sql import engine as engines
from jit_server.domain.session import RecordingState, Session, unknown
from jit_server.errors import Conflict
from jit_testing.recorded import a_chunk, a_session_id
from jit_testing.server_fakes import SECOND, START, a_host

HOUR = 3_600 * SECOND


async def _session(store: SqlStore, **fields: object) -> str:
    """A session on a host of its own."""
    host = a_host(f"host-{a_session_id()[4:]}")
    session = unknown(a_session_id(), host.host_id, host.name, START)
    session = replace(session, retain_s=3_600, **fields)  # type: ignore[arg-type]
    async with store.write() as tx:
        await tx.hosts.add(host)
        await tx.sessions.add(session)
    return session.session_id


async def _get(store: SqlStore, session_id: str) -> Session:
    async with store.read() as tx:
        session = await tx.sessions.get(session_id)
    assert session is not None
    return session


async def _add(store: SqlStore, session_id: str, *frames: bytes, first: int = 0) -> list[str]:
    chunks = [a_chunk(session_id, number, part)[0] for number, part in enumerate(frames, first)]
    async with store.write() as tx:
        for chunk in chunks:
            await tx.recordings.add(chunk)
    return [chunk.sha256 for chunk in chunks]


async def test_chunks_come_back_as_they_went_in_and_are_counted(store: SqlStore) -> None:
    session_id, other = await _session(store), await _session(store)
    chunks = [a_chunk(session_id, number, b"x" * number)[0] for number in range(5)]
    chunks[1] = replace(chunks[1], start_ns=2**62, end_ns=2**63 - 1, size=2**31)
    async with store.write() as tx:
        for chunk in chunks:
            await tx.recordings.add(chunk)
    await _add(store, other, b"another's")
    async with store.read() as tx:
        assert await tx.recordings.chunks(session_id, 0, 10) == chunks
        assert await tx.recordings.chunks(session_id, 1, 2) == chunks[1:3]
        assert await tx.recordings.chunks(session_id, 5, 10) == []
        assert await tx.recordings.chunk(session_id, 3) == chunks[3]
        assert await tx.recordings.chunk(session_id, 5) is None
    session = await _get(store, session_id)
    assert (session.chunks, session.stored_bytes) == (5, sum(chunk.size for chunk in chunks))


async def test_only_the_next_chunk_can_be_added(store: SqlStore) -> None:
    session_id = await _session(store)
    await _add(store, session_id, b"0")
    for number in (0, 2):
        with pytest.raises(Conflict, match="not the next"):
            await _add(store, session_id, b"again", first=number)
    assert (await _get(store, session_id)).chunks == 1
    await _add(store, session_id, b"1", first=1)


async def test_of_two_servers_that_add_the_same_chunk_one_does(url: str, store: SqlStore) -> None:
    session_id = await _session(store)
    other = SqlStore(url, InProcessChanges())
    try:
        done = await asyncio.gather(
            *(_add(which, session_id, b"same") for which in (store, other) for _ in range(5)), return_exceptions=True
        )
    finally:
        await other.close()
    assert sum(not isinstance(result, BaseException) for result in done) == 1
    assert {type(result) for result in done if isinstance(result, BaseException)} == {Conflict}
    assert (await _get(store, session_id)).chunks == 1


async def test_damage_is_noted_once(store: SqlStore) -> None:
    session_id = await _session(store)
    async with store.write() as tx:
        await tx.recordings.set_damage(session_id, "first", START)
    with pytest.raises(Conflict):
        async with store.write() as tx:
            await tx.recordings.set_damage(session_id, "second", START + 1)
    session = await _get(store, session_id)
    assert (session.damage, session.damaged_at) == ("first", START)


async def test_recordings_are_due_from_the_instant_their_time_is_up(store: SqlStore) -> None:
    ended = {"started_at": START, "ended_at": START, "retain_until": START + HOUR, "recording": RecordingState.WHOLE}
    over = await _session(store, **ended)
    later = await _session(store, **{**ended, "retain_until": START + 2 * HOUR})
    running = await _session(store, started_at=START, recording=RecordingState.ARRIVING)
    never_told = await _session(store, recording=RecordingState.ARRIVING)
    nothing = await _session(store, **ended)
    gone = await _session(store, **{**ended, "recording": RecordingState.DELETED})
    # A host's word for when it began, as large as a number can be.
    absurd = await _session(store, began_at=2**63 - 1, recording=RecordingState.ARRIVING)
    for session_id in (over, later, running, never_told, gone, absurd):
        await _add(store, session_id, b"x")
    async with store.read() as tx:
        assert await tx.recordings.due(START + HOUR - 1, 10) == []
        assert set(await tx.recordings.due(START + HOUR, 10)) == {over, never_told}
        assert len(await tx.recordings.due(START + HOUR, 1)) == 1
        assert set(await tx.recordings.due(START + 9 * HOUR, 10)) == {over, never_told, later}
        assert nothing not in await tx.recordings.due(START + 9 * HOUR, 10)


async def test_what_is_referred_to_is_what_some_kept_chunk_has(store: SqlStore) -> None:
    one, two = await _session(store), await _session(store)
    (shared, own) = await _add(store, one, b"same", b"own")
    await _add(store, two, b"same")
    async with store.write() as tx:
        assert await tx.recordings.referenced([shared, own, "0" * 64]) == {shared, own}
        await tx.recordings.delete(one)
    async with store.read() as tx:
        assert await tx.recordings.referenced([shared, own]) == {shared}
        assert [chunk.deleted for chunk in await tx.recordings.chunks(one, 0, 10)] == [True, True]
        assert [chunk.deleted for chunk in await tx.recordings.chunks(two, 0, 10)] == [False]
        assert await tx.recordings.referenced([]) == frozenset()


async def test_recordings_that_are_not_whole_are_listed_in_pages(store: SqlStore) -> None:
    whole = await _session(store, recording=RecordingState.WHOLE)
    arriving = [await _session(store, recording=RecordingState.ARRIVING) for _ in range(5)]
    await _session(store, recording=RecordingState.ARRIVING)
    for session_id in (whole, *arriving):
        await _add(store, session_id, b"x")
    async with store.read() as tx:
        first = await tx.recordings.not_whole("", 3)
        rest = await tx.recordings.not_whole(first[-1], 3)
    assert [*first, *rest] == sorted(arriving)


async def test_what_changes_wakes_who_watches_the_session(store: SqlStore, changes: InProcessChanges) -> None:
    session_id = await _session(store)
    with changes.subscribe([session_id]) as changed:
        await _add(store, session_id, b"x")
        assert await asyncio.wait_for(changed.wait(), 1) == {session_id}
        async with store.write() as tx:
            await tx.recordings.set_state(session_id, RecordingState.WHOLE)
        assert await asyncio.wait_for(changed.wait(), 1) == {session_id}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE recording_chunks SET sha256 = 'x'",
        "UPDATE recording_chunks SET size = 1",
        "UPDATE recording_chunks SET decoded_size = 7",
        "UPDATE recording_chunks SET start_ns = 1",
        "UPDATE recording_chunks SET end_ns = 1",
        "UPDATE recording_chunks SET encoding = 'none'",
        "UPDATE recording_chunks SET chunk = 9",
        "UPDATE recording_chunks SET deleted = false",
        "DELETE FROM recording_chunks",
        "UPDATE sessions SET chunks = 0",
    ],
)
async def test_a_chunk_cannot_be_changed_behind_our_back(store: SqlStore, url: str, change: str) -> None:
    session_id = await _session(store)
    await _add(store, session_id, b"x")
    async with store.write() as tx:
        await tx.recordings.delete(session_id)
    engine = engines.writer(url)
    try:
        with pytest.raises(Exception, match=r"recording_chunks|stays deleted|only grows"):
            async with engine.begin() as connection:
                await connection.execute(text(change))
    finally:
        await engine.dispose()
