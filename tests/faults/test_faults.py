"""At T every right and every process of a grant is gone, whatever has failed, and no shell died (S1–S4, S6)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from faults.cases import CASES
from faults.verdict import OK, Row


@pytest.mark.parametrize("fault", [case.name for case in CASES])
def test_nothing_outlives_its_time_and_no_shell_dies(rows: Mapping[str, Row], fault: str) -> None:
    row = rows[fault]
    assert row.verdict == OK, f"{row.stopped_by}, {row.late_ms} ms: {row.verdict}"
