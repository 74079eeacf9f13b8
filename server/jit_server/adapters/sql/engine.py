"""Connections: what SQLite and PostgreSQL need so that both keep the promises of `store.py`.

SQLite begins transactions by our own statement (the driver's default loses updates): IMMEDIATE to write, plain and
`query_only` to read; the writer's pool has one connection, so writers queue fairly instead of polling for the lock.
PostgreSQL writers queue on the row lock of the audit counter, readers see one snapshot.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from jit_server.errors import Unavailable

BUSY_TIMEOUT_MS = 10_000
POOL_TIMEOUT_S = 30
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA trusted_schema = OFF",
)


def writer(url: str) -> AsyncEngine:
    """An engine whose transactions may write.  Raises `Unavailable` for a file that cannot be opened."""
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite(url, begin="BEGIN IMMEDIATE", pool_size=1)
    return create_async_engine(url, pool_pre_ping=True, pool_timeout=POOL_TIMEOUT_S)


def reader(url: str) -> AsyncEngine:
    """An engine whose transactions see one snapshot and cannot write.  Raises as `writer` does."""
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite(url, begin="BEGIN", pool_size=5, query_only=True)
    return create_async_engine(
        url, pool_pre_ping=True, pool_timeout=POOL_TIMEOUT_S, isolation_level="REPEATABLE READ"
    ).execution_options(postgresql_readonly=True)


def _sqlite(url: str, *, begin: str, pool_size: int, query_only: bool = False) -> AsyncEngine:
    _require_openable(url)
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=POOL_TIMEOUT_S)

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        raw: sqlite3.Connection = connection
        raw.isolation_level = None
        cursor = raw.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        if query_only:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _require_openable(url: str) -> None:
    """Raise `Unavailable` if SQLite cannot open the file; the driver's thread would print the error as a traceback."""
    path = make_url(url).database or ""
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)
        try:
            connection.execute("PRAGMA schema_version")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Unavailable(f"the database {path} cannot be opened: {error}") from None
