"""`store.py`: write transactions are alone, durable when they end well, and undone when they do not (S7)."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from pathlib import Path

import pytest

from jit_server.adapters.changes import InProcessChanges
from jit_server.adapters.sql import SqlStore, migrate
from jit_server.domain.events import Event, EventKind, Query
from jit_server.domain.policy.finding import PolicyFile
from jit_server.errors import Conflict, Unavailable
from jit_server.ports import AUDIT
from jit_server.store import Store
from jit_server.store_values import StoredPolicy
from jit_testing.databases import sqlite_url
from jit_testing.server_fakes import START, a_host, a_user

EVENT = Event(at=START, kind=EventKind.USER_CREATED, actor="server")


class Crash(Exception):
    """What a process that dies does to a transaction."""


async def _next_version(store: Store) -> None:
    async with store.write() as tx:
        version = await tx.policies.latest_version()
        await asyncio.sleep(0)
        await tx.policies.add(StoredPolicy(version + 1, (PolicyFile("a", "b"),), "alice", START, "d"))


async def test_no_update_is_lost_when_two_processes_write_at_once(url: str, store: SqlStore) -> None:
    """Without BEGIN IMMEDIATE, or the counter's lock, readers-then-writers overwrite each other."""
    other = SqlStore(url, InProcessChanges())
    try:
        await asyncio.gather(*(_next_version(which) for which in (store, other) for _ in range(25)))
    finally:
        await other.close()
    async with store.read() as tx:
        assert await tx.policies.latest_version() == 50


async def test_what_a_transaction_wrote_is_there_after_a_restart(url: str, store: SqlStore) -> None:
    async with store.write() as tx:
        await tx.people.add(a_user("alice"))
    await store.close()
    again = SqlStore(url, InProcessChanges())
    try:
        async with again.read() as tx:
            assert [user.name for user in await tx.people.all()] == ["alice"]
    finally:
        await again.close()


async def test_a_crash_before_the_commit_leaves_nothing(store: SqlStore) -> None:
    async def add_and_crash() -> None:
        async with store.write() as tx:
            await tx.people.add(a_user("alice"))
            await tx.audit.append(EVENT)
            raise Crash

    with pytest.raises(Crash):
        await add_and_crash()
    async with store.read() as tx:
        assert await tx.people.all() == []
        assert await tx.audit.query(Query()) == []


async def test_a_cancelled_writer_leaves_nothing_and_lets_others_write(store: SqlStore) -> None:
    inside, never = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        async with store.write() as tx:
            await tx.people.add(a_user("alice"))
            inside.set()
            await never.wait()

    task = asyncio.create_task(hang())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with store.write() as tx:
        await tx.people.add(a_user("alice"))
    async with store.read() as tx:
        assert len(await tx.people.all()) == 1


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_a_transaction_cancelled_at_any_await_loses_no_connection(url: str, kind: str) -> None:
    """A lost connection would be reported by the driver as an unclosed resource, which fails the test."""
    for moment in range(40):
        store = SqlStore(url, InProcessChanges())

        async def use(store: SqlStore = store) -> None:
            async with store.read() if kind == "read" else store.write() as tx:
                await tx.people.all()

        task = asyncio.create_task(use())
        await asyncio.wait([task], timeout=moment * 0.0004)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await use()
        await store.close()
    gc.collect()


async def test_what_was_committed_is_hinted_at_even_if_the_writer_is_cancelled_meanwhile(
    store: SqlStore, changes: InProcessChanges
) -> None:
    committing = asyncio.Event()

    async def write() -> None:
        async with store.write() as tx:
            await tx.audit.append(EVENT)
            committing.set()

    with changes.subscribe([AUDIT]) as changed:
        task = asyncio.create_task(write())
        await committing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with store.read() as tx:
            assert len(await tx.audit.query(Query())) == 1
        assert await changed.wait() == {AUDIT}


async def test_writing_in_a_read_transaction_fails(store: SqlStore) -> None:
    with pytest.raises(Unavailable):
        async with store.read() as tx:
            await tx.people.add(a_user("alice"))
    async with store.read() as tx:
        assert await tx.people.all() == []


async def test_a_reader_sees_one_state_while_others_write(store: SqlStore) -> None:
    async with store.read() as tx:
        assert await tx.people.all() == []
        async with store.write() as writing:
            await writing.people.add(a_user("alice"))
        assert await tx.people.all() == []
    async with store.read() as tx:
        assert len(await tx.people.all()) == 1


async def test_hints_go_out_after_the_commit_and_only_then(store: SqlStore, changes: InProcessChanges) -> None:
    host = a_host()
    async with store.write() as tx:
        await tx.hosts.add(host)

    async def raise_and_crash() -> None:
        async with store.write() as tx:
            await tx.hosts.raise_generation(host.host_id)
            raise Crash

    with changes.subscribe([host.host_id, AUDIT]) as changed:
        with pytest.raises(Crash):
            await raise_and_crash()
        waiting = asyncio.create_task(changed.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        async with store.write() as tx:
            await tx.hosts.raise_generation(host.host_id)
        assert await waiting == {host.host_id}


async def test_audit_sequences_are_gapless_in_commit_order_whoever_rolls_back(store: SqlStore) -> None:
    async def write(number: int) -> None:
        async with store.write() as tx:
            await tx.audit.append(replace(EVENT, details={"number": number}))
            if number % 3 == 0:
                raise Crash

    await asyncio.gather(*(write(number) for number in range(30)), return_exceptions=True)
    async with store.read() as tx:
        recorded = await tx.audit.query(Query())
    assert [event.sequence for event in recorded] == list(range(1, 21))
    assert {event.event.details["number"] for event in recorded} == {n for n in range(30) if n % 3}


async def test_migrating_again_changes_nothing(url: str, store: SqlStore) -> None:
    async with store.write() as tx:
        await tx.people.add(a_user("alice"))
        await tx.audit.append(EVENT)
    await migrate(url)
    async with store.write() as tx:
        assert [user.name for user in await tx.people.all()] == ["alice"]
        assert await tx.audit.append(EVENT) == 2


async def test_a_conflict_says_so_without_the_statement_or_its_values(store: SqlStore) -> None:
    policy = StoredPolicy(1, (PolicyFile("a", "secret text"),), "alice", START, "d")
    async with store.write() as tx:
        await tx.policies.add(policy)
    with pytest.raises(Conflict) as refusal:
        async with store.write() as tx:
            await tx.policies.add(policy)
    assert "secret text" not in str(refusal.value)
    assert "INSERT" not in str(refusal.value)


async def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    for url in (sqlite_url(tmp_path / "no" / "such.db"), f"postgresql+psycopg://postgres@/x?host={tmp_path}"):
        with pytest.raises(Unavailable):
            await migrate(url)
        with pytest.raises(Unavailable):
            await _read_people(url)


async def _read_people(url: str) -> None:
    store = SqlStore(url, InProcessChanges())
    try:
        async with store.read() as tx:
            await tx.people.all()
    finally:
        await store.close()
