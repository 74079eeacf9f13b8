"""What was changed behind the server's back is found: an object, a row, a lost one of either (SPEC 8.2, S11)."""

from __future__ import annotations

import sqlite3

import pytest

from jit_server.domain.grant import DEFAULT_RETAIN_S
from jit_server.domain.identity import Duty, Person
from jit_server.domain.session import RecordingState
from jit_server.errors import Denied, NotFound
from jit_server.services import recordings, verification
from jit_server.services.verification import Found, Verdict
from jit_testing.core_world import CoreWorld
from jit_testing.recorded import a_chunk, a_session_id, end, recorded, send, session_of, start
from jit_testing.server_fakes import SECOND


async def verify(world: CoreWorld, session_id: str = "", *, since: int = 0, until: int = 0) -> list[Verdict]:
    verdicts = world.services.verification.verify(world.root, session_id, since=since, until=until)
    return [verdict async for verdict in verdicts]


async def found(world: CoreWorld, session_id: str) -> tuple[Found, str]:
    """The one verdict on a session, which is the same whether it is asked for or all are."""
    (only,) = await verify(world, session_id)
    assert [verdict for verdict in await verify(world) if verdict.session_id == session_id] == [only]
    return only.found, only.detail


def tamper(database: str, *statements: str) -> None:
    """Somebody with the database's file does as they like; the triggers are the first to go."""
    connection = sqlite3.connect(database.removeprefix("sqlite+aiosqlite:///"))
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


async def test_sound_recordings_are_whole(world: CoreWorld) -> None:
    host = await world.host()
    one, chunks = await recorded(world, host, b"one", b"two")
    short, _ = await recorded(world, host, b"three", incomplete="the disk was full")
    arriving = a_session_id()
    await world.report(host, "", start(arriving))
    await send(world, host, *a_chunk(arriving, 0, b"four"))
    verdicts = await verify(world)
    size = sum(chunk.size for chunk in chunks)
    assert verdicts[0] == Verdict(one, Found.WHOLE, "", 2, size)
    assert {verdict.session_id: (verdict.found, verdict.detail) for verdict in verdicts} == {
        one: (Found.WHOLE, ""),
        short: (Found.INCOMPLETE, "the disk was full"),
        arriving: (Found.ARRIVING, ""),
    }
    for verdict in verdicts:
        assert await verify(world, verdict.session_id) == [verdict]
        assert await verify(world, verdict.session_id[4:]) == [verdict]
    assert await world.kinds("recording.damaged") == []


async def test_a_flipped_byte_is_found_and_said_once(world: CoreWorld) -> None:
    host = await world.host()
    session_id, chunks = await recorded(world, host, b"one", b"two", b"three")
    sound, _ = await recorded(world, host, b"other")
    world.objects.flip(chunks[1].sha256)
    for _ in range(2):
        assert await found(world, session_id) == (Found.DAMAGED, "chunk 1 is not what its SHA-256 says")
    assert await found(world, sound) == (Found.WHOLE, "")
    (damaged,) = await world.events("recording.damaged")
    assert damaged.event.details == {"session": session_id, "why": "chunk 1 is not what its SHA-256 says"}
    assert (await session_of(world, session_id)).recording is RecordingState.INCOMPLETE


async def test_a_missing_object_is_found(world: CoreWorld) -> None:
    host = await world.host()
    session_id, chunks = await recorded(world, host, b"one", b"two")
    del world.objects.contents[chunks[1].sha256]
    assert await found(world, session_id) == (Found.DAMAGED, "chunk 1 is missing from the store")


async def test_an_object_exchanged_for_another_is_found(world: CoreWorld) -> None:
    host = await world.host()
    session_id, (chunk,) = await recorded(world, host, b"what happened")
    world.objects.contents[chunk.sha256] = a_chunk(session_id, 0, b"what one likes")[1]
    verdict, _ = await found(world, session_id)
    assert verdict is Found.DAMAGED


CHANGES: dict[str, str] = {
    "a chunk's SHA-256": "UPDATE recording_chunks SET sha256 = '{other}' WHERE chunk = 1",
    "a SHA-256 that is none": "UPDATE recording_chunks SET sha256 = '../x' WHERE chunk = 1",
    "a chunk's size": "UPDATE recording_chunks SET size = size + 1 WHERE chunk = 1",
    "a chunk's decoded size": "UPDATE recording_chunks SET decoded_size = 9 WHERE chunk = 1",
    "a chunk's start": "UPDATE recording_chunks SET start_ns = 0 WHERE chunk = 1",
    "a chunk's end": "UPDATE recording_chunks SET end_ns = end_ns + 60000000000 WHERE chunk = 2",
    "a chunk's encoding": "UPDATE recording_chunks SET encoding = 'none' WHERE chunk = 0",
    "a chunk's number": "UPDATE recording_chunks SET chunk = 7 WHERE chunk = 2",
    "a chunk's row is gone": "DELETE FROM recording_chunks WHERE chunk = 2",
    "all rows of chunks are gone": "DELETE FROM recording_chunks",
    "a chunk is marked as deleted": "UPDATE recording_chunks SET deleted = 1 WHERE chunk = 1",
    "the session's digest": "UPDATE sessions SET digest = '{other}'",
    "the session's count": "UPDATE sessions SET chunks = 2",
    "the session's bytes": "UPDATE sessions SET stored_bytes = 5",
    "the session says arriving": "UPDATE sessions SET recording = 'arriving'",
    "the session says none": "UPDATE sessions SET recording = 'none'",
    "the session says deleted": "UPDATE sessions SET recording = 'deleted'",
}


@pytest.mark.parametrize("everything", [True, False], ids=["all", "one"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_changed_row_is_found(world: CoreWorld, database: str, change: str, everything: bool) -> None:
    host = await world.host()
    session_id, chunks = await recorded(world, host, b"one", b"two", b"three")
    assert await found(world, session_id) == (Found.WHOLE, "")
    tamper(database, change.format(other=chunks[0].sha256))
    (verdict,) = await verify(world, "" if everything else session_id)
    assert (verdict.session_id, verdict.found) == (session_id, Found.DAMAGED)
    assert verdict.detail
    await verify(world)
    assert await world.kinds("recording.damaged") == ["recording.damaged"]


async def test_a_recording_whose_rows_are_all_gone_is_found(world: CoreWorld, database: str) -> None:
    host = await world.host()
    session_id, _ = await recorded(world, host, b"one")
    tamper(database, "DELETE FROM recording_chunks", "DELETE FROM sessions")
    for _ in range(2):
        assert await found(world, session_id) == (Found.DAMAGED, "the database has lost its session")
    assert await world.kinds("recording.damaged") == ["recording.damaged"]


async def test_a_whole_recording_put_in_place_of_another_is_found(world: CoreWorld, database: str) -> None:
    """Objects, rows and session all fit each other; only the audit log knows better."""
    host = await world.host()
    session_id, (chunk,) = await recorded(world, host, b"what happened")
    lie, content = a_chunk(session_id, 0, b"what one likes")
    await world.objects.put(content)
    digest = end(session_id, [lie]).digest
    tamper(
        database,
        f"UPDATE recording_chunks SET sha256 = '{lie.sha256}', size = {lie.size}, decoded_size = {lie.decoded_size}",
        f"UPDATE sessions SET digest = '{digest}', stored_bytes = {lie.size}",
    )
    assert lie.sha256 != chunk.sha256
    verdict, detail = await found(world, session_id)
    assert (verdict, detail) == (Found.DAMAGED, "the rows of its chunks are not those that were stored")


async def test_a_recording_made_up_in_the_database_is_found(world: CoreWorld, database: str) -> None:
    host = await world.host()
    session_id = a_session_id()
    chunk, content = a_chunk(session_id, 0, b"never happened")
    await world.report(host, "", start(session_id))
    await send(world, host, chunk, content)
    digest = end(session_id, [chunk]).digest
    tamper(database, f"UPDATE sessions SET ended_at = 1, end_told = 1, chunks_told = 1, digest = '{digest}'")
    verdict, detail = await found(world, session_id)
    assert (verdict, detail) == (Found.DAMAGED, "all its chunks are here, and the audit log does not say so")


async def test_a_deleted_recording_is_deleted_only_if_the_audit_log_says_so(world: CoreWorld, database: str) -> None:
    host = await world.host()
    gone, _ = await recorded(world, host, b"one")
    world.clock.advance(DEFAULT_RETAIN_S)
    assert await found(world, gone) == (Found.WHOLE, ""), "its time is up, but it is still there"
    await world.services.retention.expire()
    assert await found(world, gone) == (Found.DELETED, "")
    hidden, _ = await recorded(world, host, b"two")
    arriving = a_session_id()
    await send(world, host, *a_chunk(arriving, 0, b"three"))
    tamper(database, f"UPDATE sessions SET recording = 'deleted' WHERE session_id IN ('{hidden}', '{arriving}')")
    verdicts = {verdict.session_id: (verdict.found, verdict.detail) for verdict in await verify(world)}
    not_said = (Found.DAMAGED, "it was deleted, and the audit log does not say so")
    assert verdicts == {gone: (Found.DELETED, ""), hidden: not_said, arriving: not_said}
    assert await found(world, gone) == (Found.DELETED, "")


async def test_damage_that_the_host_did_is_told(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    await send(world, host, *a_chunk(session_id, 0, b"one"))
    await send(world, host, *a_chunk(session_id, 5, b"two"))
    verdict, detail = await found(world, session_id)
    assert verdict is Found.DAMAGED
    assert "some are missing" in detail


async def test_an_object_of_an_unfinished_recording_is_looked_at_too(world: CoreWorld) -> None:
    host, session_id = await world.host(), a_session_id()
    chunk, content = a_chunk(session_id, 0, b"one")
    await send(world, host, chunk, content)
    world.objects.flip(chunk.sha256)
    assert await found(world, session_id) == (Found.DAMAGED, "chunk 0 is not what its SHA-256 says")


async def test_only_what_was_recorded_in_the_time_that_is_asked_about_is_looked_at(world: CoreWorld) -> None:
    host = await world.host()
    began = world.clock.now()
    old, _ = await recorded(world, host, b"old")
    world.clock.advance(3_600)
    middle = world.clock.now()
    new, _ = await recorded(world, host, b"new")
    ended = world.clock.now() + SECOND

    async def ids(since: int, until: int) -> list[str]:
        return [verdict.session_id for verdict in await verify(world, since=since, until=until)]

    assert await ids(began, middle) == [old]
    assert await ids(middle, ended) == [new]
    assert await ids(0, 0) == [old, new]
    assert await ids(ended, 0) == []


async def test_only_auditors_and_administrators_may_ask(world: CoreWorld) -> None:
    host = await world.host()
    session_id, _ = await recorded(world, host, b"one")
    dave = await world.person("dave", Duty.AUDITOR)
    alice = await world.person("alice")

    async def ask(caller: Person) -> list[Verdict]:
        return [verdict async for verdict in world.services.verification.verify(caller, session_id)]

    assert len(await ask(dave)) == 1
    with pytest.raises(Denied):
        await ask(alice)


async def test_a_session_of_which_nothing_was_recorded_is_not_found(world: CoreWorld) -> None:
    host = await world.host()
    session_id, _ = await recorded(world, host)
    for nothing in (session_id, a_session_id()):
        with pytest.raises(NotFound):
            await verify(world, nothing)


async def test_many_recordings_are_all_looked_at(world: CoreWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one page of events, of sessions and of chunks."""
    monkeypatch.setattr(verification, "PAGE", 5)
    monkeypatch.setattr(recordings, "PAGE", 5)
    host = await world.host()
    for number in range(12):
        await recorded(world, host, b"part %d" % number)
    long, chunks = await recorded(world, host, *(b"chunk %d" % number for number in range(12)))
    world.objects.flip(chunks[11].sha256)
    verdicts = {verdict.session_id: verdict.found for verdict in await verify(world)}
    assert len(verdicts) == 13
    assert verdicts.pop(long) is Found.DAMAGED
    assert set(verdicts.values()) == {Found.WHOLE}
    arriving = {a_session_id() for _ in range(12)}
    for session_id in arriving:
        await send(world, host, *a_chunk(session_id, 0, b"x"))
    assert {one.session_id for one in await verify(world) if one.found is Found.ARRIVING} == arriving
