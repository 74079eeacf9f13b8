"""One run of the whole table for all tests of this level; where hosts cannot be booted the level fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from faults import run
from faults.verdict import Row


@pytest.fixture(scope="session")
def rows() -> Mapping[str, Row]:
    """Every row by its fault."""
    run.OUT.unlink(missing_ok=True)
    log = run.OUT.with_suffix(".log")
    with run.whole_table(log) as player:
        status = player.wait()
    told = json.loads(run.OUT.read_text()) if run.OUT.exists() else []
    played = {row["fault"]: Row(**row) for row in told}
    if status and all(row.ok for row in played.values()):
        pytest.fail(f"the table ended with status {status}:\n{log.read_text(errors='replace')}", pytrace=False)
    return played


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the whole table, and for packages when the cache is cold."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(2400))
