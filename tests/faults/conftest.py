"""One run of the whole table for all tests of this level; where hosts cannot be booted the level fails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from faults.cases import CASES
from faults.run import labs_of_faults, play, write
from faults.verdict import Row


@pytest.fixture(scope="session")
def rows() -> Mapping[str, Row]:
    """Every row by its fault."""
    with labs_of_faults() as both:
        played = play(both, CASES, tell=lambda _: None)
    write(played)
    return {row.fault: row for row in played}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the whole table, and for packages when the cache is cold."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(2400))
