"""Versions of the policy and changes of it that wait, in every store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from jit_server.adapters.sql import SqlStore, engine
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy_change import ChangeState, PolicyChange, digest
from jit_server.domain.request import Decision
from jit_server.errors import Conflict
from jit_server.store_values import StoredPolicy
from jit_testing.server_fakes import START, a_user, an_id

FILES = (PolicyFile("a.yaml", "text: ü\n"), PolicyFile("b.yaml", ""))
ALICE, CAROL = a_user("alice"), a_user("carol")
STORED = StoredPolicy(1, FILES, "alice", START, digest(FILES), ("carol", "dave"), "because", 7)


def a_change(**what: object) -> PolicyChange:
    change = PolicyChange(
        change_id=an_id("chg"),
        files=FILES,
        digest=digest(FILES),
        base_version=3,
        proposed_by=ALICE.user_id,
        proposed_at=START,
        reason="because",
        why="role web is new",
        approvals_needed=2,
        rolled_back_to=1,
    )
    return replace(change, **what)  # type: ignore[arg-type]


@pytest.fixture
async def peopled(store: SqlStore) -> SqlStore:
    async with store.write() as tx:
        for user in (ALICE, CAROL):
            await tx.people.add(user)
    return store


async def test_versions_come_back_whole_and_the_list_of_them_without_files(store: SqlStore) -> None:
    async with store.write() as tx:
        assert (await tx.policies.latest_version(), await tx.policies.newest(10)) == (0, [])
        await tx.policies.add(STORED)
        await tx.policies.add(replace(STORED, version=2))
        assert await tx.policies.get(1) == STORED
        assert await tx.policies.get(3) is None
        assert await tx.policies.newest(1) == [replace(STORED, version=2, files=())]
        assert [one.version for one in await tx.policies.newest(9)] == [2, 1]
    with pytest.raises(Conflict):
        async with store.write() as tx:
            await tx.policies.add(STORED)


async def test_a_change_comes_back_as_it_was_put(peopled: SqlStore) -> None:
    change, newer = a_change(), a_change(proposed_at=START + 1)
    async with peopled.write() as tx:
        await tx.policy_changes.add(change)
        await tx.policy_changes.add(newer)
        assert await tx.policy_changes.get(change.change_id) == change
        assert await tx.policy_changes.find(change.change_id) == [change]
        assert (await tx.policy_changes.get(an_id("chg")), await tx.policy_changes.find("chg-%")) == (None, [])
        for listed in (await tx.policy_changes.pending(), await tx.policy_changes.newest(9)):
            assert listed == [replace(one, files=()) for one in (newer, change)]
        assert len(await tx.policy_changes.newest(1)) == 1


async def test_a_person_votes_once_on_a_change(peopled: SqlStore) -> None:
    change, vote = a_change(), Decision(CAROL.user_id, True, "fine", START)
    async with peopled.write() as tx:
        await tx.policy_changes.add(change)
        await tx.policy_changes.add_decision(change.change_id, vote)
    with pytest.raises(Conflict):
        async with peopled.write() as tx:
            await tx.policy_changes.add_decision(change.change_id, replace(vote, approved=False))
    async with peopled.read() as tx:
        assert await tx.policy_changes.get(change.change_id) == replace(change, decisions=(vote,))


async def test_a_change_is_closed_once(peopled: SqlStore) -> None:
    change = a_change()
    async with peopled.write() as tx:
        await tx.policy_changes.add(change)
        await tx.policy_changes.close(change.change_id, ChangeState.APPLIED, START + 5, 4)
        closed = replace(change, state=ChangeState.APPLIED, closed_at=START + 5, version=4)
        assert await tx.policy_changes.get(change.change_id) == closed
        assert await tx.policy_changes.pending() == []
        assert await tx.policy_changes.newest(9) == [replace(closed, files=())]
    with pytest.raises(Conflict, match="decided already"):
        async with peopled.write() as tx:
            await tx.policy_changes.close(change.change_id, ChangeState.REJECTED, START + 6)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE policy_changes SET files = '[]'",
        "UPDATE policy_changes SET proposed_by = 'usr-x'",
        "UPDATE policy_changes SET approvals_needed = 1",
        "UPDATE policy_changes SET base_version = 4",
        "DELETE FROM policy_changes",
        "UPDATE policy_change_decisions SET approved = true",
        "DELETE FROM policy_change_decisions",
        "UPDATE policies SET approved_by = '[]'",
        "DELETE FROM policies",
    ],
)
async def test_what_was_decided_on_and_by_whom_is_fixed(peopled: SqlStore, url: str, statement: str) -> None:
    change = a_change()
    async with peopled.write() as tx:
        await tx.policies.add(STORED)
        await tx.policy_changes.add(change)
        await tx.policy_changes.add_decision(change.change_id, Decision(CAROL.user_id, False, "", START))
    raw = engine.writer(url)
    try:
        with pytest.raises(DBAPIError, match=r"is fixed|never deleted|append-only"):
            async with raw.begin() as connection:
                await connection.execute(text(statement))
    finally:
        await raw.dispose()
