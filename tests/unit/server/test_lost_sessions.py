"""Sessions whose end nobody tells: in no list for ever as running, and never called damaged for it (SPEC 8.1)."""

from __future__ import annotations

import pytest

from jit_server.domain.grant import Record
from jit_server.domain.identity import HostCaller, Person
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.session import RecordingState, SessionState
from jit_server.services.recordings import Kept
from jit_server.services.verification import Found
from jit_testing.core_world import CoreWorld, end_of, proof
from jit_testing.recorded import a_chunk, digest_of, send
from jit_testing.server_fakes import a_role

ROLE = a_role(record=Record.OUTPUT)


async def _world(world: CoreWorld) -> tuple[HostCaller, Person, str]:
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(ROLE)
    return host, carol, await world.delivered(host, carol)


async def test_a_lost_session_is_lost_until_its_end_is_told(world: CoreWorld) -> None:
    host, _, grant_id = await _world(world)
    session_id = await world.run(host, grant_id)
    await world.report(host, grant_id, end_of(session_id, lost=True))
    assert (await world.session(session_id)).state is SessionState.LOST
    await world.report(host, grant_id, end_of(session_id, lost=True))
    await world.report(host, grant_id, end_of(session_id))
    assert (await world.session(session_id)).state is SessionState.ENDED
    assert await world.kinds("session.ended") == ["session.ended"] * 2


@pytest.mark.parametrize(("record", "recording"), [(Record.OUTPUT, "incomplete"), (Record.EVENTS, "none")])
async def test_the_open_sessions_of_a_removed_host_are_lost(world: CoreWorld, record: Record, recording: str) -> None:
    """Nobody will tell their end, and no list shows them as running for ever."""
    host, _, grant_id = await _world(world)
    over, open_one = await world.run(host, grant_id), await world.run(host, grant_id, record=record)
    await world.report(host, grant_id, end_of(over))
    await world.services.hosts.remove(world.root, "web1")
    session = await world.session(open_one)
    assert (session.state, session.recording.value, session.ended_at) == (
        SessionState.LOST,
        recording,
        world.clock.now(),
    )
    assert session.retain_until > world.clock.now()
    assert session.incomplete == ("web1 was removed" if recording == "incomplete" else "")
    assert (await world.session(over)).state is SessionState.ENDED
    last = (await world.events("session.ended"))[-1].event
    assert (last.actor, last.details["lost"], last.details["session"]) == ("root-admin", True, open_one)


async def _look_twice(world: CoreWorld) -> None:
    for _ in range(2):
        await world.services.lost_sessions.look()


async def _verdicts(world: CoreWorld) -> list[tuple[Found, str]]:
    return [(one.found, one.detail) async for one in world.services.verification.verify(world.root)]


async def test_a_session_that_is_open_though_its_grant_is_over_is_lost_after_a_while(world: CoreWorld) -> None:
    """The agent lost its files: the enforcer proves that nothing of the grant runs, and nobody tells the end."""
    host, _, grant_id = await _world(world)
    session_id = await world.run(host, grant_id)
    await _look_twice(world)
    assert (await world.session(session_id)).state is SessionState.RUNNING, "its grant is in force"
    await world.report(host, grant_id, proof())
    await world.services.lost_sessions.look()
    assert (await world.session(session_id)).state is SessionState.RUNNING, "the word may be on its way"
    await world.services.lost_sessions.look()
    session = await world.session(session_id)
    assert (session.state, session.recording) == (SessionState.LOST, RecordingState.INCOMPLETE)
    (ended,) = await world.events("session.ended")
    why = f"{grant_id} is over, and web1 has not told the end of this session"
    assert (ended.event.actor, ended.event.grant_id) == ("server", grant_id)
    assert (ended.event.details["lost"], ended.event.details["why"], session.incomplete) == (True, why, why)
    await _look_twice(world)
    assert await world.kinds("session.ended") == ["session.ended"]


async def test_a_host_that_tells_the_end_meanwhile_has_lost_nothing(world: CoreWorld) -> None:
    host, _, grant_id = await _world(world)
    session_id = await world.run(host, grant_id)
    await world.report(host, grant_id, proof())
    await world.services.lost_sessions.look()
    await world.report(host, grant_id, end_of(session_id))
    await world.services.lost_sessions.look()
    assert (await world.session(session_id)).state is SessionState.ENDED
    assert await world.kinds("session.ended") == ["session.ended"]


async def test_nothing_is_called_lost_whose_end_may_still_come(world: CoreWorld) -> None:
    """Of an end that is not proved, of a host that is away, of a session that no grant stands behind."""
    host, carol, unconfirmed = await _world(world)
    away = await world.host("web2")
    over = await world.delivered(away, carol)
    sessions = [await world.run(host, unconfirmed), await world.run(away, over), await world.run(host, "")]
    await world.report(away, over, proof())
    await world.services.hosts.disconnected(away)
    await world.services.grants.revoke(carol, unconfirmed)
    world.clock.advance(3_600)
    await world.services.grants.expire()
    assert await world.state(unconfirmed) is GrantState.UNCONFIRMED
    await _look_twice(world)
    assert {(await world.session(session_id)).state for session_id in sessions} == {SessionState.RUNNING}
    await world.hello(away)
    await _look_twice(world)
    assert (await world.session(sessions[1])).state is SessionState.LOST


@pytest.mark.parametrize("lost", [True, False])
async def test_what_is_told_of_a_lost_session_after_all_counts(world: CoreWorld, lost: bool) -> None:
    host, _, grant_id = await _world(world)
    session_id = await world.run(host, grant_id)
    sent = [a_chunk(session_id, number, b"part %d" % number) for number in range(2)]
    await send(world, host, *sent[0])
    await world.report(host, grant_id, proof())
    await _look_twice(world)
    assert await _verdicts(world) == [(Found.INCOMPLETE, (await world.session(session_id)).incomplete)]
    assert await send(world, host, *sent[1]) == Kept(2), "what is still to come is kept"
    told = end_of(session_id, chunks=2, digest=digest_of(chunk for chunk, _ in sent), lost=lost)
    await world.report(host, grant_id, told)
    session = await world.session(session_id)
    assert session.state is (SessionState.LOST if lost else SessionState.ENDED)
    assert (session.recording, session.incomplete) == (RecordingState.WHOLE, "")
    await world.report(host, grant_id, told)
    assert await world.kinds("session.ended") == ["session.ended"] * 2
    assert await world.kinds("recording") == ["recording.stored"]
    assert await _verdicts(world) == [(Found.WHOLE, "")]


async def test_a_lost_recording_is_not_a_damaged_one(world: CoreWorld) -> None:
    host, _, grant_id = await _world(world)
    session_id = await world.run(host, grant_id)
    await send(world, host, *a_chunk(session_id, 0, b"all there is"))
    await world.services.hosts.remove(world.root, "web1")
    assert await _verdicts(world) == [(Found.INCOMPLETE, "web1 was removed")]
    assert await world.kinds("recording.damaged") == []


async def test_a_recording_that_was_deleted_stays_so_when_the_end_is_told_late(world: CoreWorld) -> None:
    host, _, grant_id = await _world(world)
    session_id = await world.run(host, grant_id)
    chunk, content = a_chunk(session_id, 0, b"all there is")
    await send(world, host, chunk, content)
    await world.report(host, grant_id, proof())
    await _look_twice(world)
    world.clock.advance(366 * 86_400)
    await world.services.retention.expire()
    await world.report(host, grant_id, end_of(session_id, chunks=1, digest=digest_of([chunk])))
    session = await world.session(session_id)
    assert (session.state, session.recording) == (SessionState.ENDED, RecordingState.DELETED)
    assert await world.kinds("recording") == ["recording.deleted"]
