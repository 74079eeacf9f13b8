"""Every store there is, each test in a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jit_server.adapters.changes import InProcessChanges
from jit_server.adapters.sql import SqlStore
from jit_testing.databases import PostgresqlCluster, SqliteFiles, postgresql_cluster


@pytest.fixture(scope="session")
def sqlite_files(tmp_path_factory: pytest.TempPathFactory) -> SqliteFiles:
    return SqliteFiles(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlCluster]:
    with postgresql_cluster() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, migrated database."""
    if request.param == "sqlite":
        files: SqliteFiles = request.getfixturevalue("sqlite_files")
        return files.new(tmp_path)
    cluster: PostgresqlCluster = request.getfixturevalue("postgresql")
    return cluster.new()


@pytest.fixture
def changes() -> InProcessChanges:
    return InProcessChanges()


@pytest.fixture
async def store(url: str, changes: InProcessChanges) -> AsyncIterator[SqlStore]:
    opened = SqlStore(url, changes)
    yield opened
    await opened.close()
