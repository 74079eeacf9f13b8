"""Sizes and instants of `jit log`, as people read them."""

from __future__ import annotations

import time

import pytest

from jit_cli import duration
from jit_cli.session_view import size


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_024, "1.0 KiB"),
        (4_149, "4.1 KiB"),
        (1_048_524, "1023.9 KiB"),
        (1_048_525, "1.0 MiB"),
        (500 << 20, "500.0 MiB"),
        (3_210_000_000, "3.0 GiB"),
        (7_000 << 40, "7000.0 TiB"),
    ],
)
def test_a_size_has_one_unit(count: int, shown: str) -> None:
    assert size(count) == shown


def test_an_instant_in_a_table_has_its_date_unless_it_is_today() -> None:
    now = time.time_ns() // 1000
    assert duration.brief(now) == time.strftime("%H:%M", time.localtime(now // 1_000_000))
    before = now - 3 * 86_400_000_000
    assert duration.brief(before) == time.strftime("%Y-%m-%d %H:%M", time.localtime(before // 1_000_000))
