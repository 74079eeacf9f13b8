"""Keys of the player: what a terminal sends for one key may come in pieces."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator

import pytest

from jit_ctl.recording.terminal import Terminal


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What is written to it is typed at the terminal that is our standard input and output."""
    ours, theirs = pty.openpty()
    with open(theirs, encoding="utf-8") as stdin, open(os.dup(theirs), "w", encoding="utf-8") as stdout:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("sys.stdout", stdout)
        yield ours
    os.close(ours)


def test_news_in_the_middle_of_a_key_leave_it_whole(keyboard: int) -> None:
    with Terminal() as terminal:
        os.write(keyboard, b"\x1b")
        assert terminal.wait(10) == []
        terminal.wake()
        assert terminal.wait(10) == []
        os.write(keyboard, b"[C")
        assert terminal.wait(10) == ["right"]


def test_escape_alone_is_a_key_once_nothing_follows(keyboard: int) -> None:
    with Terminal() as terminal:
        os.write(keyboard, b"\x1b")
        assert [terminal.wait(10), terminal.wait(10)] == [[], ["\x1b"]]
