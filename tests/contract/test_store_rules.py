"""What the database refuses whoever asks: illegal moves, changes of the audit log, doubles (S7, S8)."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from jit_server.adapters.sql import SqlStore
from jit_server.adapters.sql import engine as engines
from jit_server.adapters.sql.tables import metadata
from jit_server.domain.events import Event, EventKind
from jit_server.domain.grant import Grant
from jit_server.domain.lifecycle import (
    GRANT_START,
    GRANT_TRANSITIONS,
    REQUEST_START,
    REQUEST_TRANSITIONS,
    GrantState,
    RequestState,
)
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.report import Applied, Report
from jit_server.domain.request import AccessRequest, Decision
from jit_server.errors import Conflict
from jit_server.store_values import StoredPolicy
from jit_testing.server_fakes import START, a_grant, a_host, a_request, a_user

REQUEST_MOVES = {(old, new) for (old, _), new in REQUEST_TRANSITIONS.items()}
GRANT_MOVES = {(old, new) for (old, _), new in GRANT_TRANSITIONS.items()}


@pytest.fixture
async def raw(url: str) -> AsyncIterator[AsyncEngine]:
    """The database without our code before it."""
    engine = engines.writer(url)
    yield engine
    await engine.dispose()


async def _seed(store: SqlStore) -> tuple[AccessRequest, Grant]:
    user, host = a_user(), a_host()
    request = a_request(user, host, state=RequestState.APPROVED)
    grant = a_grant(request)
    async with store.write() as tx:
        await tx.people.add(user)
        await tx.hosts.add(host)
        await tx.requests.add(request)
        await tx.grants.add(grant)
        await tx.requests.add_decision(request.request_id, Decision(user.user_id, True, "", START))
        await tx.reports.add(host.host_id, "spool", Report(1, START, grant.grant_id, Applied(1, "")), START)
        await tx.policies.add(StoredPolicy(1, (PolicyFile("a", "b"),), "alice", START, "d"))
        await tx.audit.append(Event(at=START, kind=EventKind.GRANT_ISSUED, actor="server"))
    return request, grant


async def _force(raw: AsyncEngine, statement: str, **parameters: Any) -> None:
    async with raw.begin() as connection:
        await connection.execute(text(statement), parameters)


async def test_every_move_of_a_request_is_legal_exactly_if_the_table_has_it(store: SqlStore, raw: AsyncEngine) -> None:
    user, host = a_user(), a_host()
    async with store.write() as tx:
        await tx.people.add(user)
        await tx.hosts.add(host)
    legal = set()
    for old, new in itertools.permutations(RequestState, 2):
        request = a_request(user, host)
        async with store.write() as tx:
            await tx.requests.add(request)
        to = "UPDATE requests SET state = :state WHERE request_id = :id"
        if old is not RequestState.PENDING:
            await _force(raw, to, state=old.value, id=request.request_id)
        try:
            await _force(raw, to, state=new.value, id=request.request_id)
        except IntegrityError:
            continue
        legal.add((old, new))
    assert legal == REQUEST_MOVES


# A legal way to each state of a grant, from where it begins.
WAY = {
    GrantState.SCHEDULED: [],
    GrantState.ISSUED: [GrantState.ISSUED],
    GrantState.ACTIVE: [GrantState.ISSUED, GrantState.ACTIVE],
    GrantState.ENDING: [GrantState.ISSUED, GrantState.ENDING],
    GrantState.ENDED: [GrantState.ENDED],
    GrantState.UNCONFIRMED: [GrantState.ISSUED, GrantState.UNCONFIRMED],
    GrantState.REFUSED: [GrantState.REFUSED],
}


async def test_every_move_of_a_grant_is_legal_exactly_if_the_table_has_it(store: SqlStore, raw: AsyncEngine) -> None:
    user, host = a_user(), a_host()
    async with store.write() as tx:
        await tx.people.add(user)
        await tx.hosts.add(host)
    legal = set()
    for old, new in itertools.permutations(GrantState, 2):
        request = a_request(user, host)
        grant = a_grant(request, state=GrantState.SCHEDULED)
        async with store.write() as tx:
            await tx.requests.add(request)
            await tx.grants.add(grant)
        to = "UPDATE grants SET state = :state WHERE grant_id = :id"
        for state in WAY[old]:
            await _force(raw, to, state=state.value, id=grant.grant_id)
        try:
            await _force(raw, to, state=new.value, id=grant.grant_id)
        except IntegrityError:
            continue
        legal.add((old, new))
    assert legal == GRANT_MOVES


async def test_a_request_or_grant_cannot_begin_in_the_middle_of_its_life(store: SqlStore) -> None:
    user, host = a_user(), a_host()
    async with store.write() as tx:
        await tx.people.add(user)
        await tx.hosts.add(host)
    for state in RequestState:
        request = a_request(user, host, state=state)
        if state in REQUEST_START:
            async with store.write() as tx:
                await tx.requests.add(request)
        else:
            with pytest.raises(Conflict, match="cannot begin"):
                async with store.write() as tx:
                    await tx.requests.add(request)
    for grant_state in set(GrantState) - GRANT_START:
        request = a_request(user, host)
        async with store.write() as tx:
            await tx.requests.add(request)
        with pytest.raises(Conflict, match="cannot begin"):
            async with store.write() as tx:
                await tx.grants.add(a_grant(request, state=grant_state))


@pytest.mark.parametrize("table", ["audit_events", "decisions", "reports", "policies"])
async def test_what_is_only_added_to_can_be_neither_changed_nor_removed(
    store: SqlStore, raw: AsyncEngine, table: str
) -> None:
    await _seed(store)
    column = {"audit_events": "actor", "decisions": "reason", "reports": "body", "policies": "files"}[table]
    with pytest.raises(IntegrityError, match="append-only"):
        await _force(raw, f"UPDATE {table} SET {column} = 'forged'")
    with pytest.raises(IntegrityError, match="append-only"):
        await _force(raw, f"DELETE FROM {table}")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("requests", "user_id = 'usr-other'"),
        ("requests", "role = 'root'"),
        ("requests", "ask = '{}'"),
        ("requests", "mfa_passed = NOT mfa_passed"),
        ("grants", "uid = 1002"),
        ("grants", "commands = 'ALL2'"),
        ("grants", "run_as_user = 'postgres'"),
        ("grants", "not_before = not_before - 1"),
        ("grants", "once = NOT once"),
        ("grants", "session = 0 - 1"),
        ("grants", "lease_s = lease_s + 1"),
        ("requests", "once = NOT once"),
        ("requests", "session = session + 1"),
        ("requests", "starts_at = 7"),
        ("requests", "extends = 'gnt-1'"),
        ("grants", "approved_by = '[]x'"),
    ],
)
async def test_what_a_request_or_grant_is_for_is_fixed(
    store: SqlStore, raw: AsyncEngine, table: str, change: str
) -> None:
    await _seed(store)
    with pytest.raises(IntegrityError, match="is fixed"):
        await _force(raw, f"UPDATE {table} SET {change}")
    with pytest.raises(IntegrityError, match=r"(?i)never deleted|foreign key"):
        await _force(raw, f"DELETE FROM {table}")


async def test_the_end_of_a_grant_moves_only_later_and_only_while_it_lives(store: SqlStore, raw: AsyncEngine) -> None:
    """S2: whoever writes to the database."""
    _, grant = await _seed(store)
    longer = "UPDATE grants SET not_after = not_after + 1, extensions = extensions + 1"
    for change in (
        "UPDATE grants SET not_after = not_after + 1",
        "UPDATE grants SET not_after = not_after - 1, extensions = extensions + 1",
        "UPDATE grants SET not_after = not_after + 1, extensions = extensions + 2",
        "UPDATE grants SET extensions = extensions + 1",
        f"{longer}, state = 'ending'",
    ):
        with pytest.raises(IntegrityError, match="moves only later"):
            await _force(raw, change)
    await _force(raw, longer)
    await _force(raw, "UPDATE grants SET state = 'ending'")
    with pytest.raises(IntegrityError, match="moves only later"):
        await _force(raw, longer)
    async with store.read() as tx:
        stored = await tx.grants.get(grant.grant_id)
    assert stored is not None
    assert (stored.not_after, stored.extensions) == (grant.not_after + 1, 1)


async def test_the_order_of_events_cannot_be_turned_back(store: SqlStore, raw: AsyncEngine) -> None:
    await _seed(store)
    with pytest.raises(IntegrityError, match="only grows"):
        await _force(raw, "UPDATE audit_counter SET last = 0")
    with pytest.raises(IntegrityError):
        await _force(raw, "DELETE FROM audit_counter")
    with pytest.raises(IntegrityError):
        await _force(raw, "INSERT INTO audit_counter (counter_id, last) VALUES (2, 0)")


async def test_a_request_has_one_grant_and_a_person_one_vote(store: SqlStore) -> None:
    request, grant = await _seed(store)
    with pytest.raises(Conflict):
        async with store.write() as tx:
            await tx.grants.add(replace(grant, grant_id="gnt-0000000000000000"))
    with pytest.raises(Conflict, match="voted"):
        async with store.write() as tx:
            await tx.requests.add_decision(request.request_id, Decision(request.user_id, False, "", START))


async def test_a_report_is_kept_once(store: SqlStore) -> None:
    request, _ = await _seed(store)
    with pytest.raises(Conflict):
        async with store.write() as tx:
            await tx.reports.add(request.host_id, "spool", Report(1, START, "", Applied(1, "")), START)
    async with store.read() as tx:
        assert await tx.reports.last(request.host_id, "spool") == 1
        assert await tx.reports.last(request.host_id, "another") == 0


async def test_a_grant_for_root_or_without_time_is_refused(store: SqlStore) -> None:
    request, _ = await _seed(store)
    user = a_user("bob")
    other = replace(request, request_id="req-0000000000000000", user_id=user.user_id)
    grant = a_grant(other)
    async with store.write() as tx:
        await tx.people.add(user)
        await tx.requests.add(other)
    for bad in (
        replace(grant, not_after=grant.not_before),
        replace(grant, local_user=replace(grant.local_user, uid=0)),
    ):
        with pytest.raises(Conflict):
            async with store.write() as tx:
                await tx.grants.add(bad)


async def test_the_migrations_make_the_schema_the_code_means(raw: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with raw.begin() as connection:
        assert await connection.run_sync(differences) == []
