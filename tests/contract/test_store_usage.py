"""What was run under a role, counted by every store alike."""

from __future__ import annotations

from dataclasses import replace

from jit_server.adapters.sql import SqlStore
from jit_server.store_values import Usage
from jit_testing.server_fakes import START, a_host, a_session, a_user, an_id


async def test_command_lines_are_counted_with_people_and_the_last_time(store: SqlStore) -> None:
    alice, bob, host = a_user("alice"), a_user("bob"), a_host()
    first = replace(
        a_session(host, user=alice, began_at=START + 5),
        grant_id="gnt-0000000000000001",
        started_at=START,
        command="/usr/bin/id",
        run_as_user="root",
    )
    of_bob = replace(first, user_id=bob.user_id, user="bob")
    sessions = [
        first,
        replace(first, session_id=an_id("ses"), began_at=START + 6),
        replace(of_bob, session_id=an_id("ses"), began_at=START + 7),
        replace(of_bob, session_id=an_id("ses"), argv=("id", "-u"), began_at=START + 1),
        replace(of_bob, session_id=an_id("ses"), role="db"),
        replace(of_bob, session_id=an_id("ses"), grant_id=""),
        replace(of_bob, session_id=an_id("ses"), started_at=0),
    ]
    async with store.write() as tx:
        await tx.people.add(alice)
        await tx.people.add(bob)
        await tx.hosts.add(host)
        for session in sessions:
            await tx.sessions.add(session)
    often = Usage("/usr/bin/id", ("/usr/bin/id",), "root", count=3, people=2, last_at=START + 7)
    once = Usage("/usr/bin/id", ("id", "-u"), "root", count=1, people=1, last_at=START + 1)
    async with store.read() as tx:
        assert await tx.sessions.usage("web", START, 10) == [often, once]
        assert await tx.sessions.usage("web", START, 1) == [often]
        assert await tx.sessions.usage("web", START + 7, 10) == [replace(often, count=1, people=1)]
        assert await tx.sessions.usage("nothing", START, 10) == []
