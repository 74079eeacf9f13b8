"""Sealed chunks on the host's disk (SPEC 8.2, 8.3): durable, in order, and never more trusted than their SHA-256."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from jit_agent.chunk_format import HEADER_SIZE, MAX_SIZE, Encoding, Header
from jit_agent.chunks import Chunks, Refused, Waiting
from jit_agent.errors import SpoolUnavailable
from jit_agent.packing import Frames

SESSION = "ses-0000000000000001"
OTHER = "ses-0000000000000002"
FRAMES = [b"first" * 100, b"second" * 100, b"third" * 100]


def seal(chunks: Chunks, session_id: str = SESSION, frames: list[bytes] = FRAMES, *, compress: bool = True) -> None:
    for number, one in enumerate(frames):
        chunks.write(session_id, number, start_ns=number * 10, end_ns=number * 10 + 9, frames=one, compress=compress)


def read(chunks: Chunks, number: int, session_id: str = SESSION) -> tuple[Header, bytes]:
    found = chunks.read(session_id, number)
    assert found is not None
    return found


def keep(chunks: Chunks, *numbers: int, session_id: str = SESSION) -> None:
    headers = chunks.headers(session_id)
    chunks.keep(session_id, [headers[number] for number in numbers])


def file(root: Path, number: int, session_id: str = SESSION) -> Path:
    return root / session_id / f"{number:06}.chunk"


def decoded(chunk: tuple[Header, bytes]) -> bytes:
    header, data = chunk
    return data if header.encoding is Encoding.NONE else zstandard.ZstdDecompressor().decompress(data)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def chunks(root: Path) -> Chunks:
    return Chunks(root)


@pytest.mark.parametrize("compress", [True, False])
def test_what_was_sealed_is_read_back_by_the_next_run(root: Path, *, compress: bool) -> None:
    seal(Chunks(root), compress=compress)
    again = Chunks(root)
    assert [decoded(read(again, number)) for number in range(3)] == FRAMES
    headers = again.headers(SESSION)
    assert [(one.number, one.start_ns, one.end_ns) for one in headers] == [(0, 0, 9), (1, 10, 19), (2, 20, 29)]
    assert {one.encoding for one in headers} == {Encoding.ZSTD if compress else Encoding.NONE}


def test_the_answer_to_a_write_is_the_sha256_of_what_is_stored(chunks: Chunks) -> None:
    digest = chunks.write(SESSION, 0, start_ns=0, end_ns=1, frames=FRAMES[0], compress=True)
    header, data = read(chunks, 0)
    assert digest == header.sha256 == hashlib.sha256(data).digest()
    assert len(data) < len(FRAMES[0]) == header.decoded_size


def test_what_does_not_shrink_is_stored_as_it_is(chunks: Chunks) -> None:
    noise = os.urandom(5_000)
    chunks.write(SESSION, 0, start_ns=0, end_ns=1, frames=noise, compress=True)
    assert read(chunks, 0)[1] == noise


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_chunk_that_is_not_the_next_is_refused(chunks: Chunks, number: int) -> None:
    chunks.write(SESSION, 0, start_ns=0, end_ns=1, frames=b"x", compress=False)
    wanted = {1: 0, 2: 2, 5: 5}[number]
    with pytest.raises(ValueError, match="is not the next"):
        chunks.write(SESSION, wanted, start_ns=0, end_ns=1, frames=b"x", compress=False)
    chunks.write(SESSION, 1, start_ns=0, end_ns=1, frames=b"x", compress=False)


@pytest.mark.parametrize("frames", [b"", b"x" * (MAX_SIZE + 1)], ids=["nothing", "too much"])
def test_a_chunk_has_some_bytes_and_not_too_many(chunks: Chunks, frames: bytes) -> None:
    with pytest.raises(ValueError, match="bytes, limit"):
        chunks.write(SESSION, 0, start_ns=0, end_ns=1, frames=frames, compress=True)
    chunks.write(SESSION, 0, start_ns=0, end_ns=1, frames=b"x" * MAX_SIZE, compress=True)


@pytest.mark.parametrize("name", ["../etc", "ses-1", "", "ses-0000000000000001/..", "req-0000000000000001"])
def test_no_path_is_built_from_what_is_no_session(chunks: Chunks, root: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not a session's id"):
        chunks.write(name, 0, start_ns=0, end_ns=1, frames=b"x", compress=False)
    assert list(root.iterdir()) == []


def test_nobody_else_may_read_a_recording(chunks: Chunks, root: Path) -> None:
    seal(chunks)
    paths = [root, root / SESSION, *(root / SESSION).iterdir()]
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_the_bytes_of_what_the_server_keeps_go_and_the_headers_stay(chunks: Chunks, root: Path) -> None:
    seal(chunks)
    before, size = chunks.headers(SESSION), chunks.bytes_waiting()
    keep(chunks, 0, 1)
    assert [file(root, number).exists() for number in range(3)] == [False, False, True]
    assert chunks.headers(SESSION) == Chunks(root).headers(SESSION) == before
    assert 0 < chunks.bytes_waiting() < size
    assert chunks.waiting(9) == Chunks(root).waiting(9) == [Waiting(SESSION, 2, 3)]
    assert chunks.read(SESSION, 1) is None
    chunks.write(SESSION, 3, start_ns=30, end_ns=31, frames=b"more", compress=False)
    keep(chunks, 2, 3)
    assert (chunks.bytes_waiting(), chunks.waiting(9), len(chunks.headers(SESSION))) == (0, [], 4)


def test_only_the_next_chunks_of_a_session_can_be_kept(chunks: Chunks) -> None:
    seal(chunks)
    keep(chunks, 1, 2)
    assert chunks.waiting(9) == [Waiting(SESSION, 0, 3)]
    keep(chunks, 0)
    keep(chunks, 0, 1)
    assert chunks.waiting(9) == [Waiting(SESSION, 2, 3)]


def test_a_finished_recording_leaves_nothing_once_all_of_it_is_kept(chunks: Chunks, root: Path) -> None:
    seal(chunks)
    (root / SESSION / "000000.raw").write_bytes(b"a segment that was sealed")
    chunks.finish(SESSION)
    keep(chunks, 0, 1)
    assert (root / SESSION).exists()
    keep(chunks, 2)
    assert list(root.iterdir()) == []
    assert (chunks.bytes_waiting(), chunks.headers(SESSION)) == (0, [])


def test_a_recording_that_is_kept_before_it_is_finished_goes_then(chunks: Chunks, root: Path) -> None:
    seal(chunks)
    keep(chunks, 0, 1, 2)
    assert (root / SESSION).exists()
    chunks.finish(SESSION)
    assert list(root.iterdir()) == []


def test_a_session_without_chunks_leaves_nothing(chunks: Chunks, root: Path) -> None:
    (root / SESSION).mkdir()
    chunks.finish(SESSION)
    chunks.finish(OTHER)
    assert list(root.iterdir()) == []


def test_the_end_of_a_recording_outlives_the_agent(root: Path) -> None:
    first = Chunks(root)
    seal(first)
    first.finish(SESSION)
    again = Chunks(root)
    with pytest.raises(ValueError, match="is not the next"):
        again.write(SESSION, 3, start_ns=0, end_ns=1, frames=b"x", compress=False)
    keep(again, 0, 1, 2)
    assert list(root.iterdir()) == []


def test_a_removal_that_a_crash_cut_off_is_finished(root: Path) -> None:
    seal(Chunks(root))
    (root / SESSION).rename(root / f"{SESSION}.gone")
    assert Chunks(root).bytes_waiting() == 0
    assert list(root.iterdir()) == []


def test_the_session_that_has_waited_longest_goes_first(root: Path) -> None:
    first = Chunks(root)
    seal(first, OTHER)
    seal(first, SESSION)
    assert [one.session_id for one in first.waiting(9)] == [OTHER, SESSION]
    os.utime(file(root, 0), ns=(1, 1))
    again = Chunks(root)
    assert [one.session_id for one in again.waiting(9)] == [SESSION, OTHER]
    assert [one.session_id for one in again.waiting(1)] == [SESSION]
    assert again.progress(OTHER) == Waiting(OTHER, 0, 3)
    assert again.bytes_waiting() == first.bytes_waiting() == sum(path.stat().st_size for path in root.rglob("*.chunk"))


def test_whoever_uploads_hears_of_each_chunk(chunks: Chunks) -> None:
    heard: list[list[Waiting]] = []
    chunks.on_change(lambda: heard.append(chunks.waiting(9)))
    seal(chunks)
    assert heard == [[Waiting(SESSION, 0, written)] for written in (1, 2, 3)]


def test_many_sessions_are_sealed_at_once(chunks: Chunks, root: Path) -> None:
    sessions = [f"ses-{number:016}" for number in range(8)]
    threads = [threading.Thread(target=seal, args=(chunks, one, [b"x" * 1000] * 20)) for one in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(one.session_id, one.written) for one in chunks.waiting(99)} == {(one, 20) for one in sessions}
    assert chunks.bytes_waiting() == Chunks(root).bytes_waiting()


# A chunk that was damaged is a hole: named in the journal, put beside, and no hindrance.


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


def torn(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def gone(path: Path) -> None:
    path.unlink()


def header_changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20] ^= 0x80
    path.write_bytes(content)


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


def test_a_hole_that_cannot_be_put_in_place_is_a_hole_all_the_same(
    chunks: Chunks, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seal(chunks)
    gone(file(root, 1))
    full(monkeypatch)
    assert read(chunks, 1)[0].is_hole
    assert "cannot be put beside: No space left on device" in caplog.text
    keep(chunks, 0, 1)
    assert chunks.waiting(9) == [Waiting(SESSION, 2, 3)]


def test_too_many_open_files_are_no_damage(chunks: Chunks, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal(chunks)

    def busy(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", busy)
        with pytest.raises(SpoolUnavailable, match="chunk 1 of ses-0000000000000001 cannot be read: Too many open"):
            chunks.read(SESSION, 1)
        with pytest.raises(SpoolUnavailable):
            chunks.headers(SESSION)
    assert decoded(read(chunks, 1)) == FRAMES[1]
    assert not file(root, 1).with_suffix(".damaged").exists()


# The disk.


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing can be written; what is there can be read and removed."""

    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", no_room)
    monkeypatch.setattr(os, "pwrite", no_room)


def test_a_full_disk_takes_no_chunk_and_says_so(chunks: Chunks, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal(chunks, frames=FRAMES[:1])
    with monkeypatch.context() as patch:
        full(patch)
        with pytest.raises(SpoolUnavailable, match="chunk 1 of ses-0000000000000001 cannot be written: No space"):
            chunks.write(SESSION, 1, start_ns=0, end_ns=1, frames=b"x", compress=False)
    assert [path.name for path in (root / SESSION).iterdir()] == ["000000.chunk"]
    chunks.write(SESSION, 1, start_ns=0, end_ns=1, frames=b"x", compress=False)
    assert len(Chunks(root).headers(SESSION)) == 2


def test_a_full_disk_is_freed_by_what_the_server_keeps(
    chunks: Chunks, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(chunks, frames=[*FRAMES, b"fourth"])
    headers = chunks.headers(SESSION)
    keep(chunks, 0)
    with monkeypatch.context() as patch:
        full(patch)
        keep(chunks, 1, 2)
    assert [file(root, number).stat().st_size for number in (1, 2)] == [HEADER_SIZE] * 2
    again = Chunks(root)
    assert again.headers(SESSION) == chunks.headers(SESSION) == headers
    assert again.waiting(9) == chunks.waiting(9) == [Waiting(SESSION, 3, 4)]
    spoilt = Chunks(root)
    header_changed(file(root, 1))
    assert [one.is_hole for one in spoilt.headers(SESSION)] == [False, True, False, False]
    header_changed(file(root, 1))
    keep(again, 3)
    assert [path.name for path in (root / SESSION).iterdir()] == ["kept"]
    assert Chunks(root).headers(SESSION) == headers


def test_an_end_that_cannot_be_noted_still_counts_while_the_agent_lives(
    chunks: Chunks, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seal(chunks)
    with monkeypatch.context() as patch:
        full(patch)
        chunks.finish(SESSION)
    assert "cannot be noted: No space left on device" in caplog.text
    keep(chunks, 0, 1, 2)
    assert list(root.iterdir()) == []


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
    again.write(SESSION, 2, start_ns=20, end_ns=29, frames=b"again", compress=False)
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


def test_a_folder_that_cannot_be_read_is_named_and_hides_no_other(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    seal(Chunks(root), OTHER)
    (root / SESSION).write_text("a file, where a folder should be")
    assert [one.session_id for one in Chunks(root).waiting(9)] == [OTHER]
    assert f"The recording in {root / SESSION} cannot be read: Not a directory" in caplog.text


def test_without_its_folder_there_is_one_line_to_tell(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("")
    with pytest.raises(SpoolUnavailable, match="recordings cannot be read: "):
        Chunks(tmp_path / "recordings")


# What the server refuses.


def test_a_refused_recording_is_told_once_put_aside_and_stays(
    chunks: Chunks, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seal(chunks)
    seal(chunks, OTHER)
    size = chunks.bytes_waiting()
    for _ in range(3):
        chunks.put_aside(SESSION, "chunk 0 is another than the server has")
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    where = f"The server refuses the recording of {SESSION}, which stays in {root / SESSION}"
    assert [record.getMessage() for record in told] == [f"{where}: chunk 0 is another than the server has"]
    again = Chunks(root)
    for one in (chunks, again):
        assert [waiting.session_id for waiting in one.waiting(9)] == [OTHER]
        assert one.bytes_waiting() == size
    again.write(SESSION, 3, start_ns=0, end_ns=1, frames=b"goes on", compress=False)
    again.finish(SESSION)
    assert [waiting.session_id for waiting in again.waiting(9)] == [OTHER]
    assert len(Chunks(root).headers(SESSION)) == 4


def test_a_refusal_is_taken_back_by_removing_its_note(chunks: Chunks, root: Path) -> None:
    seal(chunks)
    chunks.put_aside(SESSION, "no")
    (root / SESSION / "refused").unlink()
    assert Chunks(root).waiting(9) == [Waiting(SESSION, 0, 3)]


def test_what_is_refused_is_counted_for_whoever_has_to_mend_it(chunks: Chunks, root: Path) -> None:
    seal(chunks)
    assert chunks.refused() == Refused(0, 0)
    size = chunks.bytes_waiting()
    seal(chunks, OTHER)
    chunks.put_aside(SESSION, "no")
    assert chunks.refused() == Chunks(root).refused() == Refused(1, size)


# Several at once.


def several(numbers: range) -> Iterator[Frames]:
    for number in numbers:
        yield Frames(number * 10, number * 10 + 9, FRAMES[number])


def test_chunks_that_are_sealed_together_are_those_that_are_sealed_one_by_one(chunks: Chunks, root: Path) -> None:
    seal(chunks, OTHER)
    digests = chunks.write_all(SESSION, 0, several(range(2)), compress=True)
    digests += chunks.write_all(SESSION, 2, several(range(2, 3)), compress=True)
    again = Chunks(root)
    assert again.headers(SESSION) == chunks.headers(SESSION) == again.headers(OTHER)
    assert digests == [header.sha256 for header in chunks.headers(OTHER)]
    assert [decoded(read(again, number)) for number in range(3)] == FRAMES
    assert chunks.bytes_waiting() == again.bytes_waiting()


def test_nothing_is_uploaded_before_all_of_it_is_on_the_disk(
    chunks: Chunks, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[list[Waiting]] = []
    fdatasync = os.fdatasync

    def syncing(fd: int) -> None:
        assert not list((root / SESSION).glob("*.chunk"))
        synced.append(chunks.waiting(9))
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", syncing)
    chunks.write_all(SESSION, 0, several(range(3)), compress=True)
    assert synced == [[], [], []]
    assert chunks.waiting(9) == [Waiting(SESSION, 0, 3)]


def test_a_disk_that_fills_up_takes_the_first_of_several(chunks: Chunks, root: Path) -> None:
    def cut_off(upto: int) -> Iterator[Frames]:
        yield from several(range(upto))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(SpoolUnavailable, match="chunk 0 of ses-0000000000000001 cannot be written: No space"):
        chunks.write_all(SESSION, 0, cut_off(0), compress=False)
    assert len(chunks.write_all(SESSION, 0, cut_off(2), compress=False)) == 2
    assert sorted(path.name for path in (root / SESSION).iterdir()) == ["000000.chunk", "000001.chunk"]
    chunks.write_all(SESSION, 2, several(range(2, 3)), compress=False)
    assert [decoded(read(chunks, number)) for number in range(3)] == FRAMES


def test_a_disk_that_fails_while_several_are_synced_has_none_of_them(
    chunks: Chunks, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(SpoolUnavailable, match="Input/output error"):
            chunks.write_all(SESSION, 0, several(range(3)), compress=False)
    assert list((root / SESSION).iterdir()) == []
    assert (chunks.waiting(9), chunks.bytes_waiting()) == ([], 0)
    assert len(chunks.write_all(SESSION, 0, several(range(3)), compress=False)) == 3


# A session that goes on after a restart.


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
    again.write(SESSION, 3, start_ns=30, end_ns=31, frames=b"more", compress=False)
    assert [one.is_hole for one in Chunks(root).headers(SESSION)] == [one == number for one in range(4)]


def test_a_session_that_had_far_more_chunks_than_are_left_cannot_go_on(root: Path) -> None:
    seal(Chunks(root))
    with pytest.raises(SpoolUnavailable, match="had 5000 chunks, and 3 are left"):
        Chunks(root).resume(SESSION, 5_000)
    assert len(Chunks(root).resume(SESSION, 3)) == 3
