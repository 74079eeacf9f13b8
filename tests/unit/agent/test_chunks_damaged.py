"""Chunks that disks, crashes and power cuts spoilt (SPEC 8.3): never more trusted than their SHA-256.

A damaged one is a hole: named in the journal, put beside, and no hindrance to any other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from jit_agent.chunk_format import HEADER_SIZE
from jit_agent.chunks import Chunks, Waiting
from jit_agent.errors import SpoolUnavailable
from jit_testing.sealed_chunks import (
    FRAMES,
    OTHER,
    SESSION,
    decoded,
    emptied,
    file,
    gone,
    header_changed,
    keep,
    longer,
    read,
    seal,
    several,
    torn,
    write,
)


def another_number(path: Path) -> None:
    path.write_bytes(path.with_name("000000.chunk").read_bytes())


def another_session(path: Path) -> None:
    path.write_bytes((path.parent.parent / OTHER / path.name).read_bytes())


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def test_a_flipped_byte_is_noticed_and_leaves_a_hole(
    chunks: Chunks, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seal(chunks)
    changed = bytearray(file(root, 1).read_bytes())
    changed[-1] ^= 1
    file(root, 1).write_bytes(changed)
    header, data = read(chunks, 1)
    assert (header.is_hole, header.decoded_size, header.start_ns, header.end_ns) == (True, 0, 10, 19)
    assert zstandard.ZstdDecompressor().decompress(data) == b""
    assert f"Chunk 1 of {root / SESSION} is lost: its bytes were changed" in caplog.text
    assert file(root, 1).with_suffix(".damaged").read_bytes() == changed
    assert [decoded(read(chunks, number)) for number in (0, 2)] == [FRAMES[0], FRAMES[2]]
    caplog.clear()
    assert read(Chunks(root), 1) == (header, data)
    assert caplog.text == ""


@pytest.mark.parametrize("later", [False, True], ids=["this run", "the next run"])
@pytest.mark.parametrize(
    "damage",
    [torn, emptied, longer, gone, header_changed, another_number, another_session, a_folder, a_link],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_file_is_a_hole_and_all_others_are_whole(
    chunks: Chunks, root: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture, *, later: bool
) -> None:
    seal(chunks)
    seal(chunks, OTHER)
    whole = chunks.headers(SESSION)
    damage(file(root, 1))
    if later:
        chunks = Chunks(root)
    headers = chunks.headers(SESSION)
    assert [one.is_hole for one in headers] == [False, True, False]
    assert (headers[0], headers[2]) == (whole[0], whole[2])
    assert (headers[1].start_ns, headers[1].end_ns) == (9, 9)
    assert read(chunks, 1)[0] == headers[1]
    assert f"Chunk 1 of {root / SESSION} is lost: " in caplog.text
    assert decoded(read(chunks, 1, OTHER)) == FRAMES[1]
    keep(chunks, 0, 1, 2)
    assert Chunks(root).headers(SESSION) == headers
    chunks.finish(SESSION)
    assert not (root / SESSION).exists()


def test_chunks_that_vanished_from_the_end_are_missed(root: Path) -> None:
    first = Chunks(root)
    seal(first)
    first.finish(SESSION)
    file(root, 2).unlink()
    assert [one.is_hole for one in Chunks(root).headers(SESSION)] == [False, False, True]


def test_what_a_crash_left_of_an_unfinished_write_is_removed(root: Path) -> None:
    seal(Chunks(root), frames=FRAMES[:1])
    for name in ("000001.chunk.new", "finished.new", "refused.new"):
        (root / SESSION / name).write_bytes(b"half")
    (root / SESSION / "000000.raw").write_bytes(b"a segment, none of ours")
    again = Chunks(root)
    assert sorted(path.name for path in (root / SESSION).iterdir()) == ["000000.chunk", "000000.raw"]
    assert again.waiting(9) == [Waiting(SESSION, 0, 1)]


@pytest.mark.parametrize("damage", [torn, emptied, longer, header_changed], ids=lambda damage: damage.__name__)
def test_a_last_chunk_that_a_power_cut_tore_was_never_written(
    root: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    seal(Chunks(root))
    damage(file(root, 2))
    again = Chunks(root)
    assert f"Chunk 2 of {root / SESSION} was cut off as it was written" in caplog.text
    write(again, SESSION, 2, b"again", start_ns=20, end_ns=29, compress=False)
    assert decoded(read(again, 2)) == b"again"
    again.finish(SESSION)
    damage(file(root, 2))
    assert [one.is_hole for one in Chunks(root).headers(SESSION)] == [False, False, True]


def test_a_note_of_what_is_kept_that_a_crash_cut_off_is_made_again(root: Path) -> None:
    chunks = Chunks(root)
    seal(chunks)
    headers = chunks.headers(SESSION)
    keep(chunks, 0)
    with (root / SESSION / "kept").open("ab") as note:
        note.write(headers[1].pack(SESSION)[:-1])
    again = Chunks(root)
    assert again.waiting(9) == [Waiting(SESSION, 1, 3)]
    keep(again, 1, 2)
    assert Chunks(root).headers(SESSION) == headers


def test_a_chunk_that_was_noted_as_kept_and_not_yet_removed_goes(root: Path) -> None:
    chunks = Chunks(root)
    seal(chunks)
    left = file(root, 0).read_bytes()
    keep(chunks, 0)
    file(root, 0).write_bytes(left)
    again = Chunks(root)
    assert (file(root, 0).exists(), again.waiting(9)) == (False, [Waiting(SESSION, 1, 3)])


def test_a_damaged_note_of_what_is_kept_is_told_and_stops_nothing(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    chunks = Chunks(root)
    seal(chunks)
    keep(chunks, 0, 1)
    note = bytearray((root / SESSION / "kept").read_bytes())
    note[30] ^= 1
    (root / SESSION / "kept").write_bytes(note)
    assert [one.is_hole for one in Chunks(root).headers(SESSION)] == [True, False, False]
    assert "What is known of chunk 0" in caplog.text


def test_what_only_has_the_size_of_a_kept_header_is_no_chunk_that_is_kept(root: Path) -> None:
    seal(Chunks(root))
    file(root, 0).write_bytes(bytes(HEADER_SIZE))
    again = Chunks(root)
    assert again.waiting(9) == [Waiting(SESSION, 0, 3)]
    assert [one.is_hole for one in again.headers(SESSION)] == [True, False, False]


@pytest.mark.parametrize("note", [b"99999999999", b"99999999 00000000", b"", b"x" * 100])
def test_a_damaged_note_of_the_end_invents_no_chunks(root: Path, note: bytes) -> None:
    chunks = Chunks(root)
    seal(chunks)
    chunks.finish(SESSION)
    (root / SESSION / "finished").write_bytes(note)
    assert len(Chunks(root).headers(SESSION)) == 3


def test_a_stray_file_with_a_number_far_away_invents_no_chunks(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    seal(Chunks(root))
    file(root, 4_000_000_000).write_bytes(file(root, 0).read_bytes())
    assert len(Chunks(root).headers(SESSION)) == 3
    assert "Chunk 4000000000" in caplog.text


def test_alien_names_are_left_alone(root: Path) -> None:
    root.mkdir()
    (root / "lost+found").mkdir()
    (root / "notes.txt").write_text("mine")
    (root / SESSION).mkdir()
    (root / SESSION / "1.chunk").write_text("not a chunk's name")
    assert Chunks(root).waiting(9) == []
    assert sorted(path.name for path in root.iterdir()) == ["lost+found", "notes.txt", SESSION]


@pytest.mark.parametrize("damage", [torn, header_changed], ids=lambda damage: damage.__name__)
def test_what_the_segments_still_hold_is_made_again_where_a_chunk_is_lost(
    root: Path, damage: Callable[[Path], None]
) -> None:
    seal(Chunks(root))
    damage(file(root, 1))
    again = Chunks(root)
    assert [(one.number, one.is_hole) for one in again.resume(SESSION, 1)] == [(0, False)]
    assert again.waiting(9) == [Waiting(SESSION, 0, 1)]
    again.write_all(SESSION, 1, several(range(1, 3)), compress=True)
    assert [decoded(read(again, number)) for number in range(3)] == FRAMES
    assert again.bytes_waiting() == Chunks(root).bytes_waiting()


@pytest.mark.parametrize("number", [0, 2])
def test_what_no_segment_holds_any_more_is_a_hole_also_at_the_end(root: Path, number: int) -> None:
    seal(Chunks(root))
    torn(file(root, number))
    again = Chunks(root)
    assert [one.is_hole for one in again.resume(SESSION, 3)] == [one == number for one in range(3)]
    write(again, SESSION, 3, b"more", start_ns=30, end_ns=31, compress=False)
    assert [one.is_hole for one in Chunks(root).headers(SESSION)] == [one == number for one in range(4)]


def test_a_session_that_had_far_more_chunks_than_are_left_cannot_go_on(root: Path) -> None:
    seal(Chunks(root))
    with pytest.raises(SpoolUnavailable, match="had 5000 chunks, and 3 are left"):
        Chunks(root).resume(SESSION, 5_000)
    assert len(Chunks(root).resume(SESSION, 3)) == 3
