"""People, hosts, policies and events in every store: what goes in comes out, and what is asked for is found."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jit_server.adapters.sql import SqlStore
from jit_server.domain.events import Event, EventKind, Query
from jit_server.domain.identity import Duty, Host, User
from jit_server.domain.mfa import Factor
from jit_server.domain.report import Hello
from jit_server.errors import Conflict
from jit_server.store_values import CodeFactor, EnrollToken, MfaToken, Scope
from jit_testing.server_fakes import BOOT, SECOND, START, a_host, a_user

EVERYTHING = Scope(everything=True)
HOSTILE = "x'; DROP TABLE users; -- \x1b]52;c;\u202e\u0000".replace("\u0000", "")


async def _people_and_host(store: SqlStore) -> tuple[User, User, Host]:
    alice, bob, host = a_user("alice"), a_user("bob"), a_host()
    async with store.write() as tx:
        await tx.people.add(alice)
        await tx.people.add(bob)
        await tx.hosts.add(host)
    return alice, bob, host


async def test_people_come_back_as_they_went_in(store: SqlStore) -> None:
    admin = a_user("root-admin", account="alice", duties=[Duty.ADMIN, Duty.AUDITOR])
    async with store.write() as tx:
        await tx.people.add(admin)
    async with store.read() as tx:
        assert await tx.people.get(admin.user_id) == admin
        assert await tx.people.by_name("root-admin") == admin
        assert await tx.people.by_account("alice") == admin
        assert await tx.people.by_account("Alice") is None
        assert await tx.people.find(admin.user_id[:8]) == [admin]
        assert await tx.people.find("usr-%") == []
    async with store.write() as tx:
        await tx.people.set_disabled(admin.user_id, True)
        await tx.factors.set_factor(admin.user_id, CodeFactor(b"sealed", 7))
        assert await tx.people.get(admin.user_id) == replace(admin, disabled=True, mfa_enrolled=True)


@pytest.mark.parametrize(
    ("name", "account"), [("alice", ""), ("ALICE", ""), ("carol", "Alice"), ("al", ""), ("x", "AL")]
)
async def test_a_name_or_account_is_one_persons_in_any_letter_case(store: SqlStore, name: str, account: str) -> None:
    """S8: two people cannot be told apart by an alias of one of them."""
    async with store.write() as tx:
        await tx.people.add(a_user("alice", account="al"))
    with pytest.raises(Conflict, match="already"):
        async with store.write() as tx:
            await tx.people.add(a_user(name, account=account))
    async with store.write() as tx:
        await tx.people.add(a_user("carol", account="alicia"))


async def test_one_of_a_hundred_uses_of_a_step_at_once_is_the_first(store: SqlStore) -> None:
    alice, _, _ = await _people_and_host(store)
    async with store.write() as tx:
        await tx.factors.set_factor(alice.user_id, CodeFactor(b"sealed", 10))

    async def use(step: int) -> bool:
        async with store.write() as tx:
            return await tx.factors.use_step(alice.user_id, step)

    assert sum(await asyncio.gather(*(use(11) for _ in range(100)))) == 1
    assert not await use(11)
    assert not await use(5)
    assert await use(12)


async def test_without_a_factor_no_step_can_be_used(store: SqlStore) -> None:
    alice, _, _ = await _people_and_host(store)
    async with store.write() as tx:
        assert not await tx.factors.use_step(alice.user_id, 11)
        assert await tx.factors.factor(alice.user_id) is None


async def test_failures_and_locks_are_counted_by_person_and_factor(store: SqlStore) -> None:
    alice, bob, _ = await _people_and_host(store)
    async with store.write() as tx:
        await tx.factors.add_failure(alice.user_id, Factor.CODE, START)
        await tx.factors.add_failure(alice.user_id, Factor.CODE, START + 1)
        await tx.factors.add_failure(alice.user_id, Factor.PASSWORD, START + 2)
        await tx.factors.lock(alice.user_id, Factor.CODE, START + 9)
        await tx.factors.lock(alice.user_id, Factor.CODE, START + 10)
    async with store.read() as tx:
        assert sorted(await tx.factors.failures(alice.user_id, Factor.CODE)) == [START, START + 1]
        assert await tx.factors.failures(alice.user_id, Factor.PASSWORD) == [START + 2]
        assert await tx.factors.failures(bob.user_id, Factor.CODE) == []
        assert await tx.factors.locked_until(alice.user_id, Factor.CODE) == START + 10
        assert await tx.factors.locked_until(alice.user_id, Factor.PASSWORD) == 0
    async with store.write() as tx:
        await tx.factors.clear_failures(alice.user_id, Factor.CODE)
        assert await tx.factors.failures(alice.user_id, Factor.CODE) == []
        assert await tx.factors.failures(alice.user_id, Factor.PASSWORD) == [START + 2]


async def test_a_person_has_one_token_the_last_one(store: SqlStore) -> None:
    alice, _, _ = await _people_and_host(store)
    first, second = MfaToken(alice.user_id, b"1" * 32, START), MfaToken(alice.user_id, b"2" * 32, START + 1, b"sealed")
    async with store.write() as tx:
        await tx.factors.put_token(first)
        await tx.factors.put_token(second)
        assert await tx.factors.token(alice.user_id) == second
        await tx.factors.remove_token(alice.user_id)
        assert await tx.factors.token(alice.user_id) is None


async def test_hosts_come_back_as_they_went_in(store: SqlStore) -> None:
    host = a_host("web1", tier="web", env="prod")
    hello = Hello(BOOT, START + 400 * SECOND, "0.1", "1.9.13p3", "spool", ("no cgroup",))
    async with store.write() as tx:
        await tx.hosts.add(host)
        await tx.hosts.greet(host.host_id, hello, START)
        assert await tx.hosts.raise_generation(host.host_id) == 1
        assert await tx.hosts.raise_generation(host.host_id) == 2
    async with store.read() as tx:
        found = await tx.hosts.by_name("web1")
        assert found is not None
        assert (found.labels, found.connected, found.boot_id, found.generation) == (host.labels, True, BOOT, 2)
        assert found.problems == ("no cgroup", "its clock differs from the server's by 400 s")
        assert await tx.hosts.find(host.host_id) == [found] == list(await tx.hosts.all())
    async with store.write() as tx:
        await tx.hosts.set_seen(host.host_id, START + 5, 0)
        await tx.hosts.set_disconnected(host.host_id)
    async with store.read() as tx:
        found = await tx.hosts.get(host.host_id)
        assert found is not None
        assert (found.last_seen, found.connected, found.clock_is_off) == (START + 5, False, False)


async def test_a_host_name_is_free_again_once_its_host_was_removed(store: SqlStore) -> None:
    first, second = a_host("web1"), a_host("web1")
    async with store.write() as tx:
        await tx.hosts.add(first)
    with pytest.raises(Conflict, match="web1"):
        async with store.write() as tx:
            await tx.hosts.add(second)
    async with store.write() as tx:
        await tx.hosts.remove(first.host_id)
        await tx.hosts.add(second)
        found = await tx.hosts.by_name("web1")
        assert found is not None
        assert found.host_id == second.host_id


async def test_an_enrolment_token_is_used_once(store: SqlStore) -> None:
    host, other = a_host("web1"), a_host("web2")
    token = EnrollToken(b"h" * 32, "web1", {"tier": "web"}, START)
    async with store.write() as tx:
        await tx.hosts.add(host)
        await tx.hosts.add(other)
        await tx.hosts.add_token(token)
        assert await tx.hosts.token(b"h" * 32) == token
        assert await tx.hosts.use_token(b"h" * 32, host.host_id)
        assert not await tx.hosts.use_token(b"h" * 32, other.host_id)
        assert not await tx.hosts.use_token(b"x" * 32, other.host_id)
        assert await tx.hosts.token(b"h" * 32) == replace(token, used=True)


async def test_audit_questions_are_answered_exactly(store: SqlStore) -> None:
    events = [
        Event(START + 1, EventKind.REQUEST_CREATED, "alice", "alice", "web1", "web", "req-0000000000000001"),
        Event(START + 2, EventKind.GRANT_ISSUED, "carol", "alice", "web1", "web", "req-0000000000000001", "gnt-1"),
        Event(START + 3, EventKind.REQUEST_CREATED, "bob", "bob", "db1", "db", "req-0000000000000002"),
        Event(START + 4, EventKind.GRANT_ENDED, "host web1", "alice", "web1", "web", details={"x": HOSTILE, "n": 1}),
    ]
    async with store.write() as tx:
        for event in events:
            await tx.audit.append(event)

    async def ask(query: Query) -> list[int]:
        async with store.read() as tx:
            return [recorded.sequence for recorded in await tx.audit.query(query)]

    async with store.read() as tx:
        assert [recorded.event for recorded in await tx.audit.query(Query())] == events
    assert await ask(Query(user="alice")) == [1, 2, 4]
    assert await ask(Query(host="db1")) == [3]
    assert await ask(Query(role="web", kind="grant")) == [2, 4]
    assert await ask(Query(kind="grant.ended")) == [4]
    assert await ask(Query(kind="gra")) == []
    assert await ask(Query(request_id="req-0000000000000001")) == [1, 2]
    assert await ask(Query(request_id="req-0000000")) == [1, 2, 3]
    assert await ask(Query(request_id="req-%")) == []
    assert await ask(Query(grant_id="gnt-1")) == [2]
    assert await ask(Query(since=START + 2, until=START + 3)) == [2, 3]
    assert await ask(Query(after=2)) == [3, 4]
    assert await ask(Query(limit=2)) == [1, 2]
    assert await ask(Query(limit=2, newest=True)) == [3, 4]
    assert await ask(Query(after=3, limit=2, newest=True)) == [4]
