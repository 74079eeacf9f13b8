"""Sessions in every store: how they move, who finds them, and that what was told of one is not changed behind us."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from sqlalchemy import text

from jit_server.adapters.changes import InProcessChanges
from jit_server.adapters.sql import SqlStore
from jit_server.adapters.sql import engine as engines
from jit_server.domain.grant import Record
from jit_server.domain.identity import Host, User
from jit_server.domain.lifecycle import GrantMove, GrantState
from jit_server.domain.report import Hello
from jit_server.domain.session import (
    SESSION_MOVES,
    Act,
    Command,
    RecordingState,
    Session,
    SessionState,
)
from jit_server.domain.session_order import Watcher
from jit_server.errors import Conflict
from jit_server.ports import orders_of
from jit_server.store_values import Scope, SessionQuery
from jit_testing.server_fakes import BOOT, SECOND, START, a_grant, a_host, a_request, a_session, a_user

ALL = Scope(everything=True)
HOSTILE = "x'; DROP TABLE sessions; -- \x1b]52;c;\u202e"


async def _host(store: SqlStore, name: str = "web1") -> Host:
    host = a_host(name)
    async with store.write() as tx:
        await tx.hosts.add(host)
    return host


async def _person(store: SqlStore, name: str) -> User:
    user = a_user(name)
    async with store.write() as tx:
        await tx.people.add(user)
    return user


async def _added(store: SqlStore, *sessions: Session) -> None:
    async with store.write() as tx:
        for session in sessions:
            await tx.sessions.add(session)


def _full(host: Host, user: User) -> Session:
    return Session(
        session_id="ses-0000000000000777",
        host_id=host.host_id,
        host=host.name,
        began_at=START,
        state=SessionState.FROZEN,
        user_id=user.user_id,
        user=user.name,
        grant_id="gnt-0000000000000001",
        request_id="req-0000000000000001",
        role="web",
        watch_s=60,
        retain_s=5,
        standing=True,
        run_as_user="root",
        argv=("/bin/echo", HOSTILE),
        command="/bin/echo",
        cwd="/tmp",
        tty="/dev/pts/1",
        environment=("TERM=xterm", "LANG=C"),
        rows=24,
        columns=80,
        record=Record.INPUT,
        started_at=START,
        ended_at=START + 1,
        exit_value=-1,
        signal="TERM",
        run_time_us=2**40,
        reject_reason="no",
        output_bytes=2**62,
        input_bytes=3,
        recording=RecordingState.INCOMPLETE,
        incomplete="the disk was full",
        chunks_told=4,
        digest="ab" * 32,
        chunks=3,
        stored_bytes=2**41,
        damage="chunk 2 is not what its SHA-256 says",
        damaged_at=START + 2,
        retain_until=START + 3,
        act=Act.KILL,
        ordered_by="carol",
        order_reason=HOSTILE,
        ordered_at=START + 4,
    )


async def test_a_session_comes_back_as_it_went_in(store: SqlStore) -> None:
    session = _full(await _host(store), await _person(store, "alice"))
    await _added(store, session)
    async with store.read() as tx:
        assert await tx.sessions.get(session.session_id) == session
        assert await tx.sessions.get("ses-0000000000000000") is None
    with pytest.raises(Conflict):
        await _added(store, session)


async def test_every_move_of_a_session_is_legal_exactly_if_the_table_has_it(store: SqlStore, url: str) -> None:
    host = await _host(store)
    legal = set()
    for old, new in itertools.permutations(SessionState, 2):
        session = a_session(host, state=old)
        await _added(store, session)
        try:
            await _force(url, f"UPDATE sessions SET state = '{new}' WHERE session_id = '{session.session_id}'")
        except AssertionError:
            async with store.write() as tx:
                with pytest.raises(Conflict, match="cannot become"):
                    await tx.sessions.change(session, replace(session, state=new))
            continue
        legal.add((old, new))
    assert legal == SESSION_MOVES


async def test_of_two_who_move_a_session_one_does(store: SqlStore) -> None:
    session = a_session(await _host(store))
    await _added(store, session)
    async with store.write() as tx:
        await tx.sessions.change(session, replace(session, state=SessionState.FROZEN))
    with pytest.raises(Conflict, match="meanwhile"):
        async with store.write() as tx:
            await tx.sessions.change(session, replace(session, state=SessionState.ENDED))


async def test_questions_find_what_they_ask_for_newest_first(store: SqlStore) -> None:
    web1, web2, alice = await _host(store), await _host(store, "web2"), await _person(store, "alice")
    old = replace(a_session(web1, user=alice, argv=("/bin/echo", "100%")), grant_id="gnt-0000000000000001")
    middle = a_session(web2, state=SessionState.ENDED, role="db", began_at=START + SECOND)
    new = replace(
        a_session(web1, state=SessionState.WAITING, argv=("/bin/Echo", "a b"), began_at=START + 2 * SECOND),
        incomplete="the disk was full",
    )
    await _added(store, old, middle, new)

    async def found(query: SessionQuery, scope: Scope = ALL, limit: int = 10, skip: int = 0) -> list[Session]:
        async with store.read() as tx:
            return list(await tx.sessions.select(query, scope, limit=limit, skip=skip))

    assert await found(SessionQuery()) == [new, middle, old]
    assert await found(SessionQuery(), limit=1, skip=1) == [middle]
    assert await found(SessionQuery(host="web1")) == [new, old]
    assert await found(SessionQuery(user="alice")) == [old]
    assert await found(SessionQuery(role="db")) == [middle]
    assert await found(SessionQuery(grant_id="gnt-0000")) == [old]
    assert await found(SessionQuery(grant_id="gnt-%")) == []
    assert await found(SessionQuery(text="echo")) == [new, old]
    assert await found(SessionQuery(text="ECHO 'a b'")) == [new]
    assert await found(SessionQuery(text="0%")) == [old]
    assert await found(SessionQuery(text="e_ho")) == []
    assert await found(SessionQuery(states=(SessionState.ENDED, SessionState.WAITING))) == [new, middle]
    assert await found(SessionQuery(since=START + SECOND)) == [new, middle]
    assert await found(SessionQuery(until=START + SECOND)) == [old]
    assert await found(SessionQuery(marred=True)) == [new]
    assert await found(SessionQuery(), Scope(user_id=alice.user_id)) == [old]
    assert await found(SessionQuery(), Scope(roles=frozenset({"db"}))) == [middle]
    assert await found(SessionQuery(), Scope(host_id=web1.host_id, everything=True)) == [new, old]
    assert await found(SessionQuery(), Scope()) == []


async def test_a_beginning_of_an_id_finds_within_the_scope_only(store: SqlStore) -> None:
    web, db = [a_session(await _host(store, name), role=name) for name in ("web", "db")]
    await _added(store, web, db)
    async with store.read() as tx:
        assert len(await tx.sessions.find("ses-0", ALL)) == 2
        assert await tx.sessions.find("ses-0", Scope(roles=frozenset({"db"}))) == [db]
        assert await tx.sessions.find(db.session_id, ALL) == [db]
        assert await tx.sessions.find(web.session_id, Scope(roles=frozenset({"db"}))) == []
        assert await tx.sessions.find("ses-%", ALL) == []


async def test_sub_commands_come_back_in_their_order(store: SqlStore, url: str) -> None:
    one, other = a_session(host := await _host(store)), a_session(host)
    await _added(store, one, other)
    ran = [Command(START + n, ("/bin/sh", HOSTILE, str(n)), "/bin/sh", "/", "root", "no" * n) for n in range(3)]
    async with store.write() as tx:
        for command in ran:
            assert await tx.sessions.add_command(one.session_id, command)
        assert await tx.sessions.add_command(other.session_id, ran[0])
    async with store.read() as tx:
        assert await tx.sessions.commands(one.session_id, 10) == ran
        assert await tx.sessions.commands(one.session_id, 2) == ran[:2]
        assert await tx.sessions.commands(other.session_id, 10) == ran[:1]
    for statement in ("UPDATE session_commands SET command = 'x'", "DELETE FROM session_commands"):
        with pytest.raises(AssertionError, match="append-only"):
            await _force(url, statement)


async def test_watchers_are_one_a_person_and_those_of_late(store: SqlStore) -> None:
    session = a_session(await _host(store))
    carol, dave = await _person(store, "carol"), await _person(store, "dave")
    await _added(store, session)
    first = Watcher(session.session_id, carol.user_id, START, counts=False)
    again = replace(first, seen_at=START + SECOND, counts=True)
    quiet = Watcher(session.session_id, dave.user_id, START, counts=True)
    async with store.write() as tx:
        assert await tx.sessions.watcher(session.session_id, carol.user_id) is None
        for watcher in (first, quiet, again):
            await tx.sessions.watch(watcher)
    async with store.read() as tx:
        assert await tx.sessions.watcher(session.session_id, carol.user_id) == again
        assert set(await tx.sessions.watchers([session.session_id], START - 1)) == {again, quiet}
        assert await tx.sessions.watchers([session.session_id], START) == [again]
        assert await tx.sessions.watchers(["ses-0000000000000000"], 0) == []
        assert await tx.sessions.watchers([], 0) == []


@pytest.mark.parametrize(
    "change",
    [
        "argv = '[]'",
        "command_line = ''",
        "user_id = ''",
        "role = 'x'",
        "record = 'none'",
        "started_at = 5",
        "cwd = 'x'",
    ],
)
async def test_what_a_session_ran_cannot_be_changed_once_it_has_started(store: SqlStore, url: str, change: str) -> None:
    session = _full(await _host(store), await _person(store, "alice"))
    described_later = replace(session, session_id="ses-0000000000000778", started_at=0)
    await _added(store, session, described_later)
    with pytest.raises(AssertionError, match="fixed"):
        await _force(url, f"UPDATE sessions SET {change} WHERE session_id = '{session.session_id}'")
    await _force(url, f"UPDATE sessions SET {change} WHERE session_id = '{described_later.session_id}'")
    with pytest.raises(AssertionError, match="never deleted"):
        await _force(url, "DELETE FROM sessions")
    with pytest.raises(AssertionError, match="fixed"):
        await _force(url, "UPDATE sessions SET host = 'x'")


async def test_hints_go_to_readers_of_the_session_and_to_its_host_only_when_its_orders_may_change(
    store: SqlStore, changes: InProcessChanges
) -> None:
    session = a_session(await _host(store))
    orders = orders_of(session.host_id)
    with changes.subscribe([session.session_id, orders]) as subscription:
        await _added(store, session)
        assert await subscription.wait() == {session.session_id, orders}
        async with store.write() as tx:
            session = await tx.sessions.change(session, replace(session, tty="/dev/pts/1"))
        assert await subscription.wait() == {session.session_id}
        async with store.write() as tx:
            await tx.sessions.change(session, replace(session, act=Act.FREEZE))
        assert await subscription.wait() == {session.session_id, orders}


async def _force(url: str, statement: str) -> None:
    """Run it without our code before it; AssertionError tells what the database said against it."""
    engine = engines.writer(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(statement))
    except Exception as error:
        raise AssertionError(str(error)) from None
    finally:
        await engine.dispose()


async def test_sessions_are_stranded_when_their_grant_is_over_and_their_host_is_there(store: SqlStore) -> None:
    alice, host, away = await _person(store, "alice"), await _host(store), await _host(store, "web2")
    found: dict[tuple[str, GrantState], Session] = {}
    async with store.write() as tx:
        await tx.hosts.greet(host.host_id, Hello(BOOT, START, "0.1", "1.9.13p3", "spool", ()), START)
        for where, move in itertools.product((host, away), (GrantMove.END, GrantMove.REFUSE, GrantMove.SILENCE, None)):
            request = a_request(alice, where)
            grant = a_grant(request)
            await tx.requests.add(request)
            await tx.grants.add(grant)
            state = grant.state if move is None else await tx.grants.move(grant, move)
            for session_state in (SessionState.FROZEN, SessionState.ENDED):
                session = replace(a_session(where, state=session_state), grant_id=grant.grant_id)
                await tx.sessions.add(session)
                if session_state is SessionState.FROZEN:
                    found[where.name, state] = session
        await tx.sessions.add(a_session(host))
    async with store.read() as tx:
        stranded = [found["web1", GrantState.ENDED], found["web1", GrantState.REFUSED]]
        assert await tx.sessions.stranded(10) == stranded
        assert await tx.sessions.stranded(1) == stranded[:1]
