"""Who sees which sessions, how many at once, and never more than an answer can hold."""

from __future__ import annotations

import pytest

from jit_server.domain.grant import Record
from jit_server.domain.identity import Duty, HostCaller, LocalUser, Person
from jit_server.domain.report import Subcommand
from jit_server.domain.session import SessionState
from jit_server.errors import Denied, Invalid, LimitExceeded, NotFound
from jit_server.services.sessions import MAX_TEXT_BYTES
from jit_server.store_values import SessionQuery
from jit_testing.core_world import CoreWorld, end_of
from jit_testing.server_fakes import a_role


async def _world(world: CoreWorld) -> tuple[HostCaller, Person, str]:
    await world.person("alice")
    carol, host = await world.person("carol"), await world.host()
    await world.apply(a_role(eligible=("alice", "bob")), a_role("db", approvers=("erin",)))
    return host, carol, await world.delivered(host, carol)


async def _seen(world: CoreWorld, who: Person, query: SessionQuery | None = None) -> list[str]:
    listed = await world.services.sessions.list_visible(who, query or SessionQuery())
    assert not listed.truncated
    return [view.session.session_id for view in listed.sessions]


async def test_people_see_their_own_approvers_their_roles_auditors_all(world: CoreWorld) -> None:
    host, carol, grant_id = await _world(world)
    bob, dave = await world.person("bob"), await world.person("dave", Duty.AUDITOR)
    erin, alice = await world.person("erin"), Person((await world.session(await world.run(host, grant_id))).user_id)
    (first,) = await _seen(world, alice)
    world.clock.advance(1)
    second = await world.run(host, await world.delivered(host, carol, "bob"), "bob")
    world.clock.advance(1)
    standing = await world.run(host, "", "mallory")
    for who, seen in (
        (alice, [first]),
        (bob, [second]),
        (carol, [second, first]),
        (erin, []),
        (dave, [standing, second, first]),
        (world.root, [standing, second, first]),
    ):
        assert await _seen(world, who) == seen
        for session_id in (first, second, standing):
            if session_id in seen:
                assert (await world.services.sessions.get(who, session_id)).view.session.session_id == session_id
            else:
                with pytest.raises(NotFound):
                    await world.services.sessions.get(who, session_id)
    assert await _seen(world, dave, SessionQuery(user="bob")) == [second]
    assert await _seen(world, dave, SessionQuery(grant_id=grant_id[4:10])) == [first]
    await world.report(host, grant_id, end_of(first))
    assert await _seen(world, carol, SessionQuery(states=(SessionState.ENDED,))) == [first]


async def test_a_host_tells_a_person_their_own_and_nobody_elses(world: CoreWorld) -> None:
    host, carol, grant_id = await _world(world)
    other = await world.host("web2")
    await world.person("bob")
    session_id = await world.run(host, grant_id)
    await world.run(host, await world.delivered(host, carol, "bob"), "bob")
    # From any host: the person is the same.
    listed = await world.services.sessions.list_local(other, world.local("alice"))
    assert [view.session.session_id for view in listed.sessions] == [session_id]
    details = await world.services.sessions.get_local(other, world.local("alice"), session_id[4:])
    assert details.view.session.environment == ("TERM=xterm",)
    with pytest.raises(NotFound):
        await world.services.sessions.get_local(host, world.local("bob"), session_id)
    # An approver's rights are not for whoever is root on some host.
    with pytest.raises(NotFound):
        await world.services.sessions.get_local(host, world.local("carol"), session_id)
    with pytest.raises(Denied, match="does not know the account"):
        await world.services.sessions.list_local(host, LocalUser(1_099, "stranger"))


async def test_a_list_says_when_there_is_more(world: CoreWorld) -> None:
    host, carol, grant_id = await _world(world)
    made = []
    for _ in range(5):
        made.append(await world.run(host, grant_id))
        world.clock.advance(1)
    listed = await world.services.sessions.list_visible(carol, SessionQuery(), 5)
    assert [view.session.session_id for view in listed.sessions] == made[::-1]
    assert not listed.truncated
    listed = await world.services.sessions.list_visible(carol, SessionQuery(), 4)
    assert [view.session.session_id for view in listed.sessions] == made[:0:-1]
    assert listed.truncated
    for limit in (0, 1_001):
        with pytest.raises(LimitExceeded):
            await world.services.sessions.list_visible(carol, SessionQuery(), limit)
    with pytest.raises(Invalid):
        await world.services.sessions.list_visible(carol, SessionQuery(grant_id="%"))


async def test_long_command_lines_make_a_list_shorter_never_too_long(
    world: CoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jit_server.services.sessions.PAGE", 4)
    host, carol, grant_id = await _world(world)
    long = ("/bin/echo", "é" * 120_000)  # two bytes each
    for _ in range(10):
        await world.run(host, grant_id, argv=long)
        world.clock.advance(1)
    listed = await world.services.sessions.list_visible(carol, SessionQuery())
    assert listed.truncated
    assert len(listed.sessions) == MAX_TEXT_BYTES // 241_100
    await world.run(host, grant_id, argv=("/bin/echo", "x" * (MAX_TEXT_BYTES + 1)))
    (only,) = (await world.services.sessions.list_visible(carol, SessionQuery())).sessions
    assert len(only.session.argv[1]) > MAX_TEXT_BYTES


async def test_of_many_sub_commands_the_first_are_shown(world: CoreWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jit_server.services.sessions.MAX_COMMANDS_SHOWN", 3)
    host, carol, grant_id = await _world(world)
    session_id = await world.run(host, grant_id)

    async def started(word: str) -> None:
        await world.report(host, grant_id, Subcommand(session_id, ("/bin/sh", word), "/bin/sh", "/", "root", ""))

    for word in ("a", "b", "c"):
        await started(word)
    details = await world.services.sessions.get(carol, session_id)
    assert ([command.argv[1] for command in details.commands], details.truncated) == (["a", "b", "c"], False)
    await started("d")
    details = await world.services.sessions.get(carol, session_id)
    assert ([command.argv[1] for command in details.commands], details.truncated) == (["a", "b", "c"], True)
    other = session_id = await world.run(host, grant_id, record=Record.EVENTS)
    for size in (10, MAX_TEXT_BYTES):
        await started("x" * size)
    details = await world.services.sessions.get(carol, other)
    assert ([len(command.argv[1]) for command in details.commands], details.truncated) == ([10], True)
