"""A disk that takes no more of a recording, or fails: what was sealed stays, and one line says what is wrong."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jit_agent.chunk_format import HEADER_SIZE
from jit_agent.chunks import Chunks, Waiting
from jit_agent.errors import SpoolUnavailable
from jit_agent.packing import Frames
from jit_testing.sealed_chunks import (
    FRAMES,
    OTHER,
    SESSION,
    decoded,
    file,
    full,
    gone,
    header_changed,
    keep,
    read,
    seal,
    several,
    write,
)


def test_a_full_disk_takes_no_chunk_and_says_so(chunks: Chunks, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal(chunks, frames=FRAMES[:1])
    with monkeypatch.context() as patch:
        full(patch)
        with pytest.raises(SpoolUnavailable, match="chunk 1 of ses-0000000000000001 cannot be written: No space"):
            write(chunks, SESSION, 1, b"x")
    assert [path.name for path in (root / SESSION).iterdir()] == ["000000.chunk"]
    write(chunks, SESSION, 1, b"x")
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
    chunks: Chunks, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(chunks)
    with monkeypatch.context() as patch:
        full(patch)
        with pytest.raises(SpoolUnavailable, match="is finished cannot be noted: No space left on device"):
            chunks.finish(SESSION)
    keep(chunks, 0, 1, 2)
    assert list(root.iterdir()) == []


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


def test_a_folder_that_cannot_be_read_is_named_and_hides_no_other(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    seal(Chunks(root), OTHER)
    (root / SESSION).write_text("a file, where a folder should be")
    assert [one.session_id for one in Chunks(root).waiting(9)] == [OTHER]
    assert f"The recording in {root / SESSION} cannot be read: Not a directory" in caplog.text


def test_without_its_folder_there_is_one_line_to_tell(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("")
    with pytest.raises(SpoolUnavailable, match="recordings cannot be read: "):
        Chunks(tmp_path / "recordings")
