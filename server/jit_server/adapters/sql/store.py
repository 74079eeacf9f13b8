"""`Store` on SQLite and PostgreSQL: transactions, and what errors of the database mean."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from jit_server.adapters.sql import engine as engines
from jit_server.adapters.sql.batches import SqlBatches
from jit_server.adapters.sql.grants import SqlGrants
from jit_server.adapters.sql.hosts import SqlHosts
from jit_server.adapters.sql.journal import SqlAudit, SqlReports
from jit_server.adapters.sql.locks import SqlLocks
from jit_server.adapters.sql.people import SqlFactors, SqlPeople
from jit_server.adapters.sql.policies import SqlPolicies, SqlPolicyChanges
from jit_server.adapters.sql.recordings import SqlRecordings
from jit_server.adapters.sql.renewals import SqlRenewals
from jit_server.adapters.sql.requests import SqlRequests
from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.sessions import SqlSessions
from jit_server.adapters.sql.tables import audit_counter
from jit_server.adapters.sql.uncut import whole
from jit_server.errors import Conflict, Unavailable
from jit_server.ports import Changes


@dataclass(frozen=True, slots=True)
class SqlTransaction:
    people: SqlPeople
    factors: SqlFactors
    hosts: SqlHosts
    requests: SqlRequests
    batches: SqlBatches
    grants: SqlGrants
    locks: SqlLocks
    renewals: SqlRenewals
    sessions: SqlSessions
    recordings: SqlRecordings
    reports: SqlReports
    policies: SqlPolicies
    policy_changes: SqlPolicyChanges
    audit: SqlAudit


class SqlStore:
    """The store at a database URL of the drivers aiosqlite or psycopg; see `migrate` for its schema.

    Raises `Unavailable` for a SQLite file that cannot be opened.
    """

    def __init__(self, url: str, changes: Changes) -> None:
        self._writer = engines.writer(url)
        self._reader = engines.reader(url)
        self._changes = changes

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlTransaction]:
        with _meaning():
            async with _connected(self._reader) as connection:
                yield _transaction(Session(connection))

    @asynccontextmanager
    async def write(self) -> AsyncIterator[SqlTransaction]:
        with _meaning():
            async with _connected(self._writer) as connection:
                session = Session(connection)
                # The lock of the counter row is what makes writers on PostgreSQL wait for each other.
                await session.first(select(audit_counter.c.last).with_for_update())
                yield _transaction(session)
                await whole(self._commit(session))

    async def _commit(self, session: Session) -> None:
        await session.connection.commit()
        self._changes.publish(session.topics)

    async def close(self) -> None:
        """Close every connection; the store cannot be used afterwards."""
        await self._writer.dispose()
        await self._reader.dispose()


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction, rolled back at the end unless it was committed.

    A caller may be cancelled at any await; a connection that is half open or half given back would be lost.
    """
    connection = engine.connect()
    try:
        await whole(connection.start())
        await whole(connection.begin().start())
        yield connection
    finally:
        if connection.sync_connection is not None:
            await whole(connection.close())


def _transaction(session: Session) -> SqlTransaction:
    return SqlTransaction(
        people=SqlPeople(session),
        factors=SqlFactors(session),
        hosts=SqlHosts(session),
        requests=SqlRequests(session),
        batches=SqlBatches(session),
        grants=SqlGrants(session),
        locks=SqlLocks(session),
        renewals=SqlRenewals(session),
        sessions=SqlSessions(session),
        recordings=SqlRecordings(session),
        reports=SqlReports(session),
        policies=SqlPolicies(session),
        policy_changes=SqlPolicyChanges(session),
        audit=SqlAudit(session),
    )


@contextmanager
def _meaning() -> Iterator[None]:
    """Say what an error of the database means to a person; statements and parameters stay out of the text."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(f"the database refused the change: {_cause(error)}") from error
    except SQLAlchemyError as error:
        raise Unavailable("the database does not answer as it should", hint="see the server's log") from error


def _cause(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0][:200]
