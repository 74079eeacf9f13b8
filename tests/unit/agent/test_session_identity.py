"""Whose session it is stands in its first segment (SPEC 8.3), for a run that finds nothing else of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jit_agent import segment_file
from jit_agent.errors import Malformed, SpoolUnavailable
from jit_agent.model import Admission, Person
from jit_agent.recorder import state_of
from jit_agent.room import Room
from jit_agent.segments import FIRST, Segments
from jit_agent.session_state import NAME, Progress, SessionState

SESSION = "ses-0000000000000001"
STATE = SessionState.of(
    SESSION,
    Admission("gnt-0000000000000001", Person(1000, "alice"), 42, ("sudo", "id"), "output", True, False, 0),
    sealed=20,
    incomplete="",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / SESSION


@pytest.fixture
def opened(folder: Path) -> Segments:
    segments = Segments(folder, Room(folder.parent, reserve=0, limit=2**40, sealed=lambda: 0))
    segments.open()
    return segments


def test_a_session_that_was_killed_at_its_begin_is_known_by_its_first_segment(folder: Path, opened: Segments) -> None:
    opened.identify(STATE.encode())
    # As after SIGKILL: nothing is closed or written.
    assert state_of(folder) == STATE


def test_what_was_written_down_later_counts_and_the_first_word_where_that_is_spoilt(
    folder: Path, opened: Segments
) -> None:
    opened.identify(STATE.encode())
    later = replace(STATE, progress=Progress(sealed=90, chunks=1, accepted=True))
    later.save(folder, durable=False)
    assert state_of(folder) == later
    # A power cut can leave a file that was renamed and not yet written.
    (folder / NAME).write_bytes(b"")
    assert state_of(folder) == STATE


def test_a_session_that_never_began_or_is_spoilt_is_nobodys(folder: Path, opened: Segments) -> None:
    with pytest.raises(FileNotFoundError):
        state_of(folder)
    opened.identify(STATE.encode())
    opened.sync(0, 0)
    with (folder / FIRST).open("r+b") as file:
        file.seek(2_600)
        file.write(b"\xff")
    assert segment_file.identity(folder / FIRST) is None
    with pytest.raises(FileNotFoundError):
        state_of(folder)
    (folder / NAME).write_bytes(b"{}")
    with pytest.raises(Malformed):
        state_of(folder)


def test_a_state_that_waits_is_overwritten_by_the_one_that_runs(folder: Path, opened: Segments) -> None:
    opened.identify(STATE.encode() + b" " * 40)
    opened.identify(STATE.encode())
    assert segment_file.identity(folder / FIRST) == STATE.encode()


def test_an_identity_that_does_not_fit_is_refused(opened: Segments) -> None:
    opened.identify(b"x" * 1_500)
    with pytest.raises(SpoolUnavailable, match="do not fit"):
        opened.identify(b"x" * 1_600)


def test_a_spoilt_state_of_a_session_whose_begin_is_gone_is_not_taken_for_one_that_never_began(
    folder: Path, opened: Segments
) -> None:
    opened.identify(STATE.encode())
    (folder / NAME).write_bytes(b"")
    assert state_of(folder) == STATE
    (folder / FIRST).unlink()
    with pytest.raises(Malformed):
        state_of(folder)
    (folder / NAME).unlink()
    with pytest.raises(FileNotFoundError):
        state_of(folder)
