"""What follows from a host's word about a session: its row and its event together, and nothing from a word too many."""

from __future__ import annotations

import pytest

from jit_server.domain.grant import Record
from jit_server.domain.identity import HostCaller, LocalUser, Person
from jit_server.domain.report import (
    SessionEnded,
    SessionFrozen,
    SessionRejected,
    SessionReport,
    SessionStarted,
    SessionWaiting,
    Subcommand,
)
from jit_server.domain.session import MAX_COMMANDS, RecordingState, SessionState
from jit_testing.core_world import CoreWorld, end_of
from jit_testing.recorded import a_chunk, end, send
from jit_testing.server_fakes import SECOND, START, a_role, an_id

ROLE = a_role(record=Record.OUTPUT, watch_s=60)
ALICE = LocalUser(1_001, "alice")
HOSTILE = ("/bin/echo", "\x1b]0;x\x07", "a b")


async def _world(world: CoreWorld) -> tuple[HostCaller, Person, str]:
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(ROLE)
    return host, carol, await world.delivered(host, carol)


async def test_a_session_is_known_from_its_first_word_to_its_last(world: CoreWorld) -> None:
    host, _, grant_id = await _world(world)
    session_id = await world.wait_for_watcher(host, grant_id)
    waiting = await world.session(session_id)
    assert (waiting.state, waiting.user, waiting.host, waiting.role) == (SessionState.WAITING, "alice", "web1", "web")
    assert (waiting.started_at, waiting.watch_s, waiting.grant_id) == (0, 60, grant_id)

    world.clock.advance(3)
    await world.run(host, grant_id, session_id=session_id, argv=HOSTILE)
    running = await world.session(session_id)
    assert (running.state, running.recording) == (SessionState.RUNNING, RecordingState.ARRIVING)
    assert (running.began_at, running.started_at) == (waiting.began_at, waiting.began_at + 3 * SECOND)
    assert (running.argv, running.environment, running.rows, running.columns) == (HOSTILE, ("TERM=xterm",), 24, 80)

    for frozen, state in ((True, SessionState.FROZEN), (False, SessionState.RUNNING)):
        await world.report(host, grant_id, SessionFrozen(session_id, frozen, "unwatched"))
        assert (await world.session(session_id)).state is state

    world.clock.advance(5)
    await world.report(host, grant_id, end_of(session_id))
    ended = await world.session(session_id)
    assert (ended.state, ended.ended_at, ended.run_time_us) == (SessionState.ENDED, world.clock.now(), 1_500_000)
    assert (ended.output_bytes, ended.input_bytes, ended.recording) == (17, 5, RecordingState.NONE)
    assert ended.retain_until == world.clock.now() + 365 * 86_400 * SECOND

    events = [recorded.event for recorded in await world.events("session")]
    assert [event.kind.value for event in events] == [
        "session.waiting", "session.started", "session.frozen", "session.thawed", "session.ended",
    ]  # fmt: skip
    assert {(event.user, event.host, event.role, event.grant_id) for event in events} == {
        ("alice", "web1", "web", grant_id)
    }
    assert {event.details["session"] for event in events} == {session_id}
    assert events[1].details["command_line"] == r"/bin/echo $'\e]0;x\u0007' 'a b'"
    assert (events[2].actor, events[2].details["why"]) == ("host web1", "unwatched")


async def test_words_that_are_said_again_change_nothing_and_leave_no_event(world: CoreWorld) -> None:
    host, _, grant_id = await _world(world)
    session_id = await world.wait_for_watcher(host, grant_id)
    words: list[SessionReport] = [
        SessionWaiting(session_id, ALICE, ("/bin/other",)),
        SessionStarted(session_id, ALICE, "root", ("/bin/other",), "/bin/other", "/", "", False),
        SessionFrozen(session_id, True, "order"),
        SessionEnded(session_id, 9, "KILL", 1, False),
    ]
    await world.run(host, grant_id, session_id=session_id)
    await world.report(host, grant_id, words[2])
    await world.report(host, grant_id, end_of(session_id))
    before, kinds = await world.session(session_id), await world.kinds()
    world.clock.advance(60)
    for word in (*words, SessionFrozen(session_id, False, "order"), SessionRejected(session_id, ALICE, (), "no")):
        await world.report(host, grant_id, word)
        assert await world.session(session_id) == before
    assert await world.kinds() == kinds


async def test_nobody_speaks_of_another_hosts_session(world: CoreWorld) -> None:
    """S11."""
    host, _, grant_id = await _world(world)
    other = await world.host("web2")
    session_id = await world.run(host, grant_id)
    before, kinds = await world.session(session_id), await world.kinds()
    for word in (
        end_of(session_id),
        SessionFrozen(session_id, True, "order"),
        Subcommand(session_id, ("/bin/sh",), "/bin/sh", "/", "root", ""),
        SessionRejected(session_id, ALICE, (), "no"),
    ):
        await world.report(other, "", word)
    assert await world.session(session_id) == before
    assert await world.kinds() == kinds
    details = await world.services.sessions.get(world.root, session_id)
    assert details.commands == ()


async def test_a_grant_of_another_host_says_nothing_of_whose_a_session_is(world: CoreWorld) -> None:
    _, _, grant_id = await _world(world)
    other = await world.host("web2")
    session = await world.session(await world.run(other, grant_id, "mallory"))
    assert (session.grant_id, session.role, session.user_id) == ("", "", "")
    assert session.user.startswith("mallory (uid ")


@pytest.mark.parametrize(
    ("chunks", "incomplete", "recording"),
    [
        (0, "", RecordingState.NONE),
        (0, "the disk was full", RecordingState.INCOMPLETE),
        (3, "", RecordingState.ARRIVING),
        (3, "the disk was full", RecordingState.ARRIVING),
    ],
)
async def test_an_end_without_a_start_is_a_session_too(
    world: CoreWorld, chunks: int, incomplete: str, recording: RecordingState
) -> None:
    """The word of the start was lost with the spool; a start that is told after all still describes it."""
    host, _, grant_id = await _world(world)
    session_id = an_id("ses")
    digest = "ab" * 32 if chunks else ""
    await world.report(host, grant_id, end_of(session_id, chunks=chunks, digest=digest, incomplete=incomplete))
    session = await world.session(session_id)
    assert (session.state, session.user, session.role) == (SessionState.ENDED, "alice", "web")
    assert (session.began_at, session.started_at) == (world.clock.now() - 1_500_000, 0)
    assert (session.recording, session.chunks_told, session.digest) == (recording, chunks, digest)
    await world.run(host, grant_id, session_id=session_id)
    described = await world.session(session_id)
    assert (described.state, described.argv, described.recording) == (SessionState.ENDED, ("/usr/bin/id",), recording)
    assert await world.kinds("session") == ["session.ended", "session.started"]


async def test_what_sudo_refused_is_a_session_that_never_was(world: CoreWorld) -> None:
    host, _, grant_id = await _world(world)
    waited, refused = await world.wait_for_watcher(host, grant_id), an_id("ses")
    await world.report(host, grant_id, SessionRejected(waited, ALICE, ("/usr/bin/id",), "nobody watched"))
    await world.report(host, "", SessionRejected(refused, LocalUser(1_009, "mallory"), HOSTILE, "not allowed"))
    for session_id, user, why in ((waited, "alice", "nobody watched"), (refused, "mallory (uid 1009)", "not allowed")):
        session = await world.session(session_id)
        assert (session.state, session.user, session.reject_reason) == (SessionState.REJECTED, user, why)
    # sudo rejects nothing that it has started.
    running = await world.run(host, grant_id)
    await world.report(host, grant_id, SessionRejected(running, ALICE, (), "no"))
    assert (await world.session(running)).state is SessionState.RUNNING


async def test_sub_commands_are_kept_in_order_up_to_a_limit(world: CoreWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jit_server.adapters.sql.sessions.MAX_COMMANDS", 3)
    host, _, grant_id = await _world(world)
    session_id = await world.run(host, grant_id)
    for number in range(5):
        await world.report(host, grant_id, Subcommand(session_id, ("/bin/sh", str(number)), "/bin/sh", "/", "root", ""))
    details = await world.services.sessions.get(world.root, session_id)
    assert [command.argv[1] for command in details.commands] == ["0", "1", "2"]
    assert MAX_COMMANDS == 10_000
    # Of a session nobody has told of it tells that it is.
    unknown = an_id("ses")
    await world.report(host, grant_id, Subcommand(unknown, ("/bin/sh",), "/bin/sh", "/", "root", "not allowed"))
    session = await world.session(unknown)
    assert (session.state, session.user, session.started_at) == (SessionState.RUNNING, "alice", 0)
    (command,) = (await world.services.sessions.get(world.root, unknown)).commands
    assert (command.rejected, command.at) == ("not allowed", world.clock.now())


async def test_freezing_what_nobody_knows_changes_nothing(world: CoreWorld) -> None:
    host, _, _ = await _world(world)
    await world.report(host, "", SessionFrozen(an_id("ses"), True, "order"))
    assert await world.kinds("session") == []


async def test_a_standing_rules_session_is_its_accounts_persons(world: CoreWorld) -> None:
    host, _, _ = await _world(world)
    session = await world.session(await world.run(host, "", "alice"))
    assert (session.user, session.grant_id, session.standing, session.watch_s) == ("alice", "", True, 0)
    assert session.began_at == START


async def test_a_session_whose_chunks_came_before_its_only_word_is_its_grants(world: CoreWorld) -> None:
    """The word of its start was lost, or made no sense: its person sees it all the same."""
    host, _, grant_id = await _world(world)
    session_id = an_id("ses")
    sent = a_chunk(session_id, 0, b"early")
    await send(world, host, *sent)
    await world.report(host, grant_id, end(session_id, [sent[0]]))
    session = await world.session(session_id)
    assert (session.user, session.role, session.grant_id) == ("alice", "web", grant_id)
    assert session.recording is RecordingState.WHOLE
