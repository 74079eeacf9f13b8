"""A picture that is drawn anew is the one that was there."""

from __future__ import annotations

import pyte
import pytest

from jit_ctl.recording import picture

ROWS, COLUMNS = 24, 80


def shown(text: str, rows: int) -> list[str]:
    screen = pyte.Screen(COLUMNS, rows)
    pyte.Stream(screen).feed(text)
    return [line.rstrip() for line in screen.display]


def test_after_much_output_it_still_scrolls_within_the_rows_of_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories are bounded, and the viewer's terminal may have more rows than the session's."""
    monkeypatch.setattr(picture, "_MOST", 5_000)
    made = picture.Picture(ROWS, COLUMNS)
    for number in range(1_000):
        made.record(f"line {number}\r\n")
    assert "line 1\r" not in made.redraw()
    lines = shown(made.redraw(), 2 * ROWS)
    assert lines[: ROWS - 1] == [f"line {number}" for number in range(1_000 - ROWS + 1, 1_000)]
    assert not any(lines[ROWS - 1 :])
