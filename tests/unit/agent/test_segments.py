"""Segments and what is believed of them after a crash (SPEC 8.3); chunks are cut the same way again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_agent import segment_file
from jit_agent.cutting import MAX_CHUNK, Cut, Cutter
from jit_agent.errors import Malformed, SpoolUnavailable
from jit_agent.model import Admission, Person
from jit_agent.passwords import Watch
from jit_agent.room import Room
from jit_agent.scanner import Scanner
from jit_agent.segment_file import CAPACITY, PAGE, SIZE
from jit_agent.segments import Segments
from jit_agent.session_state import NAME, Progress, SessionState

SESSION = "ses-0000000000000001"


def room(root: Path, limit: int = 2**40) -> Room:
    return Room(root, reserve=0, limit=limit, sealed=lambda: 0)


def receive(segments: Segments, data: bytes) -> None:
    """As the kernel would, into whatever room there is."""
    rest = memoryview(data)
    while rest:
        if segments.wants_next:
            segments.add(segments.prepare())
        space = segments.receive()
        count = min(len(space), len(rest))
        space[:count] = rest[:count]
        segments.advance(count)
        rest = rest[count:]


@pytest.fixture
def opened(tmp_path: Path) -> Segments:
    segments = Segments(tmp_path / SESSION, room(tmp_path))
    segments.open()
    return segments


def reopened(tmp_path: Path, received: int | None, first: int = 0) -> Segments:
    segments = Segments(tmp_path / SESSION, room(tmp_path))
    segments.adopt(first, received)
    return segments


STREAM = bytes(range(251)) * (2 * CAPACITY // 251 + 5)
"""More than two segments."""


def test_a_stream_is_read_as_it_came_also_over_the_seams(tmp_path: Path, opened: Segments) -> None:
    receive(opened, STREAM)
    assert opened.read(0, len(STREAM)) == STREAM
    for seam in (CAPACITY, 2 * CAPACITY):
        assert opened.read(seam - 3, seam + 3) == STREAM[seam - 3 : seam + 3]
        assert opened.peek(seam - 3, 6) == STREAM[seam - 3 : seam + 3]
    assert opened.peek(len(STREAM) - 2, 48) == STREAM[-2:]
    assert opened.join([(5, 9), b"between", (CAPACITY - 1, CAPACITY + 1)]) == (
        STREAM[5:9] + b"between" + STREAM[CAPACITY - 1 : CAPACITY + 1]
    )
    opened.close()


def test_what_no_recording_may_hold_is_replaced_wherever_it_lies(tmp_path: Path, opened: Segments) -> None:
    receive(opened, STREAM)
    expected = bytearray(STREAM)
    for start in (7, CAPACITY - 3, 2 * CAPACITY - 3, 2 * CAPACITY + 9, len(STREAM) - 6):
        opened.overwrite(start, b"******")
        expected[start : start + 6] = b"******"
    assert opened.peek(2 * CAPACITY - 3, 6) == b"******"
    assert reopened(tmp_path, None).read(0, len(STREAM)) == expected
    opened.close()


def test_what_the_kernel_gave_is_there_after_the_agent_was_killed(tmp_path: Path, opened: Segments) -> None:
    receive(opened, STREAM)
    # Nothing is closed or written: as after SIGKILL.
    files_only = reopened(tmp_path, None)
    assert files_only.read(0, files_only.received) == STREAM
    # Received, and not noted any more: the kernel says how much.
    space = opened.receive()
    space[:7] = b"in time"
    adopted = reopened(tmp_path, len(STREAM) + 7)
    assert adopted.read(len(STREAM), adopted.received) == b"in time"
    receive(adopted, b", and more")
    assert adopted.peek(len(STREAM), 48) == b"in time, and more"
    adopted.close()
    opened.close()


def test_after_the_machine_died_only_what_was_synced_is_believed(
    tmp_path: Path, opened: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(opened, b"a" * 1_000)
    opened.sync(0, 600)
    opened.sync(0, 900)
    opened.close()
    monkeypatch.setattr(segment_file, "boot_id", lambda: bytes(16))
    assert reopened(tmp_path, None).received == 900
    # A bit that the disk lost before the last sync: what was synced before it still counts.
    path = tmp_path / SESSION / "000000.raw"
    spoil(path, PAGE + 700)
    assert reopened(tmp_path, None).received == 600
    spoil(path, PAGE + 10)
    assert reopened(tmp_path, None).received == 0


def spoil(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"x" * SIZE),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.unlink(),
    ],
    ids=["empty", "something else", "cut off", "gone"],
)
def test_a_damaged_segment_ends_what_is_believed_and_nothing_else(
    tmp_path: Path, opened: Segments, damage: Callable[[Path], object]
) -> None:
    receive(opened, STREAM)
    opened.close()
    assert reopened(tmp_path, None).received == len(STREAM)
    damage(tmp_path / SESSION / "000001.raw")
    assert reopened(tmp_path, None).received == CAPACITY


def test_sealed_segments_go_and_their_room_with_them(tmp_path: Path) -> None:
    shared = room(tmp_path, limit=3 * SIZE)
    segments = Segments(tmp_path / SESSION, shared)
    segments.open()
    receive(segments, STREAM)
    with pytest.raises(SpoolUnavailable, match="12 MiB"):
        segments.prepare()
    assert not segments.releasable(CAPACITY - 1)
    segments.release(CAPACITY)
    assert sorted(path.name for path in (tmp_path / SESSION).iterdir()) == ["000001.raw", "000002.raw"]
    shared.take(SIZE)
    segments.remove()
    shared.take(2 * SIZE)
    with pytest.raises(SpoolUnavailable, match="12 MiB"):
        shared.take(1)


def test_a_session_that_gets_no_segment_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shared = room(tmp_path, limit=SIZE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(SpoolUnavailable, match="No space left on device"):
            Segments(tmp_path / SESSION, shared).open()
    assert list(tmp_path.iterdir()) == []
    Segments(tmp_path / SESSION, shared).open()


def test_what_shall_stay_free_of_the_disk_stays_free(tmp_path: Path) -> None:
    with pytest.raises(SpoolUnavailable, match="are free for recordings"):
        Room(tmp_path, reserve=2**60, limit=2**62, sealed=lambda: 0).take(1)
    with pytest.raises(SpoolUnavailable, match="has not taken"):
        Room(tmp_path, reserve=0, limit=10, sealed=lambda: 10).take(1)


def cuts(sizes: list[int], written: list[int], stops: frozenset[int] = frozenset()) -> list[Cut]:
    """All chunks of messages of these sizes; cut in time before the messages whose numbers are stops."""
    cutter, at = Cutter(written=written), 0
    found: list[Cut] = []
    for number, size in enumerate(sizes):
        if number in stops:
            cutter.cut(at)
        cutter.add(at, at + size, 10, output=size)
        at += size
        found += cutter.cuts
        cutter.cuts.clear()
    cutter.cut(at)
    return found + list(cutter.cuts)


SIZES = st.lists(st.integers(1, 2 * MAX_CHUNK), max_size=30)


@given(SIZES)
def test_every_byte_is_in_one_chunk_and_no_chunk_is_too_big(sizes: list[int]) -> None:
    found = cuts(sizes, [])
    assert [cut.number for cut in found] == list(range(len(found)))
    stretches = [piece for cut in found for piece in cut.ranges]
    at = 0
    for piece in stretches:
        assert isinstance(piece, tuple)
        assert piece[0] == at
        at = piece[1]
    assert at == sum(sizes)
    for cut in found:
        [(start, end)] = cut.ranges
        assert end - start <= MAX_CHUNK or end - start in sizes
        assert cut.output_bytes == cut.upto


@given(SIZES, st.data())
def test_what_is_read_again_is_cut_at_the_same_places(sizes: list[int], data: st.DataObject) -> None:
    stops = frozenset(data.draw(st.lists(st.integers(0, 30), max_size=5)))
    found = cuts(sizes, [], stops)
    known = [end - start for cut in found for start, end in cut.ranges]
    again = cuts(sizes, known)
    assert [(cut.ranges, cut.start_ns, cut.end_ns) for cut in again] == [
        (cut.ranges, cut.start_ns, cut.end_ns) for cut in found
    ]
    assert all(cut.written for cut in again)


def test_chunks_of_something_else_are_noticed() -> None:
    with pytest.raises(Malformed, match="not those of this session"):
        cuts([100, 100], [150])


STATE = SessionState.of(
    SESSION, Admission(None, Person(1001, "alice"), 7, (), "output", True, False, 60), sealed=20, incomplete=""
)


def test_a_sessions_state_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / SESSION
    folder.mkdir()
    with pytest.raises(FileNotFoundError):
        SessionState.load(folder)
    for durable in (False, True):
        STATE.save(folder, durable=durable)
        assert SessionState.load(folder) == STATE


def test_a_state_that_the_disk_takes_bit_by_bit_is_whole_or_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up takes a part of what is written, without complaint."""
    folder = tmp_path / SESSION
    folder.mkdir()
    STATE.save(folder, durable=False)
    write, room = os.write, [40]

    def written(fd: int, data: memoryview) -> int:
        count = min(7, room[0], len(data))
        if not count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= count
        return write(fd, bytes(data)[:count])

    monkeypatch.setattr(os, "write", written)
    later = replace(STATE, frozen="order")
    with pytest.raises(SpoolUnavailable, match="No space left on device"):
        later.save(folder, durable=False)
    assert SessionState.load(folder) == STATE
    room[0] = 2**20
    later.save(folder, durable=True)
    assert SessionState.load(folder) == later


@given(st.data())
def test_a_spoiled_state_is_malformed_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("state") / SESSION
    folder.mkdir()
    replace(STATE, progress=Progress(terminal=Watch().show(b"Pass\xff: ").dump())).save(folder, durable=False)
    spoiled = bytearray((folder / NAME).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    (folder / NAME).write_bytes(spoiled)
    try:
        read = SessionState.load(folder)
    except Malformed:
        return
    assert read.session_id == SESSION
    Scanner(read)
