"""Sealed chunks on the host's disk (SPEC 8.2, 8.3): durable, in order, and gone once the server keeps them."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from jit_agent.chunk_format import MAX_SIZE, Encoding
from jit_agent.chunks import Chunks, Refused, Waiting
from jit_testing.sealed_chunks import FRAMES, OTHER, SESSION, decoded, file, keep, read, seal, several, write


@pytest.mark.parametrize("compress", [True, False])
def test_what_was_sealed_is_read_back_by_the_next_run(root: Path, *, compress: bool) -> None:
    seal(Chunks(root), compress=compress)
    again = Chunks(root)
    assert [decoded(read(again, number)) for number in range(3)] == FRAMES
    headers = again.headers(SESSION)
    assert [(one.number, one.start_ns, one.end_ns) for one in headers] == [(0, 0, 9), (1, 10, 19), (2, 20, 29)]
    assert {one.encoding for one in headers} == {Encoding.ZSTD if compress else Encoding.NONE}


def test_the_answer_to_a_write_is_the_sha256_of_what_is_stored(chunks: Chunks) -> None:
    digest = write(chunks, SESSION, 0, FRAMES[0], start_ns=0, end_ns=1, compress=True)
    header, data = read(chunks, 0)
    assert digest == header.sha256 == hashlib.sha256(data).digest()
    assert len(data) < len(FRAMES[0]) == header.decoded_size


def test_what_does_not_shrink_is_stored_as_it_is(chunks: Chunks) -> None:
    noise = os.urandom(5_000)
    write(chunks, SESSION, 0, noise, start_ns=0, end_ns=1, compress=True)
    assert read(chunks, 0)[1] == noise


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_chunk_that_is_not_the_next_is_refused(chunks: Chunks, number: int) -> None:
    write(chunks, SESSION, 0, b"x")
    wanted = {1: 0, 2: 2, 5: 5}[number]
    with pytest.raises(ValueError, match="is not the next"):
        write(chunks, SESSION, wanted, b"x")
    write(chunks, SESSION, 1, b"x")


@pytest.mark.parametrize("frames", [b"", b"x" * (MAX_SIZE + 1)], ids=["nothing", "too much"])
def test_a_chunk_has_some_bytes_and_not_too_many(chunks: Chunks, frames: bytes) -> None:
    with pytest.raises(ValueError, match="bytes, limit"):
        write(chunks, SESSION, 0, frames, start_ns=0, end_ns=1, compress=True)
    write(chunks, SESSION, 0, b"x" * MAX_SIZE, start_ns=0, end_ns=1, compress=True)


@pytest.mark.parametrize("name", ["../etc", "ses-1", "", "ses-0000000000000001/..", "req-0000000000000001"])
def test_no_path_is_built_from_what_is_no_session(chunks: Chunks, root: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not a session's id"):
        write(chunks, name, 0, b"x")
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
    write(chunks, SESSION, 3, b"more", start_ns=30, end_ns=31, compress=False)
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
        write(again, SESSION, 3, b"x")
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
    write(again, SESSION, 3, b"goes on")
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
