"""Locks in every store: what stands, what is past, and that nothing about one is ever changed but its end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from jit_server.adapters.sql import SqlStore
from jit_server.adapters.sql import engine as engines
from jit_server.domain.identity import User
from jit_server.domain.lock import Lock, LockKind
from jit_server.errors import Conflict
from jit_testing.server_fakes import SECOND, START, a_lock, a_user

HOUR = 3_600 * SECOND


async def _carol(store: SqlStore) -> User:
    carol = a_user("carol")
    async with store.write() as tx:
        await tx.people.add(carol)
    return carol


async def _added(store: SqlStore, *locks: Lock) -> None:
    async with store.write() as tx:
        for lock in locks:
            await tx.locks.add(lock)


async def test_locks_come_back_as_they_went_in_newest_first(store: SqlStore) -> None:
    carol = await _carol(store)
    old = a_lock(carol, reason="x'; DROP TABLE locks; -- \x1b]52;c;\u202e")
    new = replace(
        a_lock(carol, kind=LockKind.ROLE, target="web"), created_at=START + HOUR, grants_ended=3, requests_cancelled=2
    )
    await _added(store, old, new)
    async with store.read() as tx:
        assert await tx.locks.newest(10) == [new, old]
        assert await tx.locks.newest(1) == [new]
        assert await tx.locks.standing(START) == [new, old]
        assert await tx.locks.find(old.lock_id) == [old]
        assert len(await tx.locks.find("lck-")) == 2
        assert await tx.locks.find("lck-%") == []


async def test_a_lock_stands_until_the_instant_its_time_is_up(store: SqlStore) -> None:
    carol = await _carol(store)
    short, forever = a_lock(carol, expires_at=START + HOUR), a_lock(carol)
    await _added(store, short, forever)
    async with store.read() as tx:
        assert set(await tx.locks.standing(START + HOUR - 1)) == {short, forever}
        assert await tx.locks.past(START + HOUR - 1) == []
        assert await tx.locks.standing(START + HOUR) == [forever]
        assert await tx.locks.past(START + HOUR) == [short]


async def test_a_lock_is_lifted_once_and_stands_no_more(store: SqlStore) -> None:
    carol = await _carol(store)
    lock, other = a_lock(carol, expires_at=START + HOUR), a_lock(carol)
    await _added(store, lock, other)
    async with store.write() as tx:
        await tx.locks.lift(lock.lock_id, START + 5, "carol")
    async with store.read() as tx:
        assert await tx.locks.standing(START + 6) == [other]
        assert await tx.locks.past(START + HOUR) == []
        assert await tx.locks.find(lock.lock_id) == [replace(lock, lifted_at=START + 5, lifted_by="carol")]
    with pytest.raises(Conflict, match="already"):
        async with store.write() as tx:
            await tx.locks.lift(lock.lock_id, START + 9, "dave")


@pytest.mark.parametrize(
    "change",
    ["target = 'bob'", "kind = 'host'", "reason = ''", "created_by = 'x'", "expires_at = 1", "grants_ended = 9"],
)
async def test_what_a_lock_is_cannot_be_changed_behind_our_back(store: SqlStore, url: str, change: str) -> None:
    carol = await _carol(store)
    lock = a_lock(carol)
    await _added(store, lock)
    for statement in (f"UPDATE locks SET {change}", "DELETE FROM locks"):
        await _refused(url, statement)
    async with store.write() as tx:
        await tx.locks.lift(lock.lock_id, START + 5, "carol")
    await _refused(url, "UPDATE locks SET lifted_at = 0")


async def _refused(url: str, statement: str) -> None:
    engine = engines.writer(url)
    try:
        with pytest.raises(Exception, match=r"locks are|lifted once"):
            async with engine.begin() as connection:
                await connection.execute(text(statement))
    finally:
        await engine.dispose()
