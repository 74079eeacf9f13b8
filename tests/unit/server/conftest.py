from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jit_server.adapters.changes import InProcessChanges
from jit_server.adapters.sql import SqlStore
from jit_testing.core_world import CoreWorld
from jit_testing.databases import SqliteFiles


@pytest.fixture(scope="session")
def sqlite_files(tmp_path_factory: pytest.TempPathFactory) -> SqliteFiles:
    return SqliteFiles(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture
def database(sqlite_files: SqliteFiles, tmp_path: Path) -> str:
    return sqlite_files.new(tmp_path)


@pytest.fixture
async def world(database: str) -> AsyncIterator[CoreWorld]:
    changes = InProcessChanges()
    store = SqlStore(database, changes)
    made = CoreWorld(store, changes)
    await made.open()
    yield made
    await store.close()
