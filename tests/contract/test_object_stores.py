"""One suite, every ObjectStore; below it what only a directory can be asked."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from jit_server.adapters.objects import THREADS, LocalObjects
from jit_server.errors import NotFound, Unavailable
from jit_server.ports import ObjectStore
from jit_testing.server_fakes import SECOND, FakeClock, FakeObjects

HOUR = 3_600 * SECOND
DAY = 24 * HOUR


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["fake", "local"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[ObjectStore]:
    if request.param == "fake":
        yield FakeObjects(clock)
        return
    local = LocalObjects(tmp_path / "objects", clock)
    yield local
    local.close()


@pytest.fixture
def local(tmp_path: Path, clock: FakeClock) -> Iterator[LocalObjects]:
    local = LocalObjects(tmp_path / "objects", clock)
    yield local
    local.close()


async def test_what_was_put_comes_back_under_its_sha256(objects: ObjectStore) -> None:
    for content in (b"a", b"\x00" * 100_000, os.urandom(1024)):
        digest = await objects.put(content)
        assert digest == sha256(content).hexdigest()
        assert await objects.get(digest) == content


async def test_what_is_not_there_is_not_found(objects: ObjectStore) -> None:
    nothing = "0" * 64
    with pytest.raises(NotFound):
        await objects.get(nothing)
    assert await objects.delete(nothing, put_before=2**62)


@pytest.mark.parametrize(
    "name", ["", "x", "../../../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "/etc/passwd"]
)
async def test_what_is_no_digest_names_nothing(objects: ObjectStore, name: str) -> None:
    with pytest.raises(NotFound):
        await objects.get(name)
    assert await objects.delete(name, put_before=2**62)
    assert Path("/etc/passwd").exists()


async def test_a_content_is_kept_once_whoever_puts_it(objects: ObjectStore) -> None:
    digests = await asyncio.gather(*(objects.put(b"same") for _ in range(20)))
    assert len(set(digests)) == 1
    assert await objects.get(digests[0]) == b"same"


async def test_only_what_was_put_before_is_deleted(objects: ObjectStore, clock: FakeClock) -> None:
    digest = await objects.put(b"old")
    assert not await objects.delete(digest, put_before=clock.now())
    assert await objects.get(digest) == b"old"
    assert await objects.delete(digest, put_before=clock.now() + 1)
    with pytest.raises(NotFound):
        await objects.get(digest)
    assert await objects.delete(digest, put_before=clock.now() + 1)


async def test_what_is_put_again_counts_as_new(objects: ObjectStore, clock: FakeClock) -> None:
    digest = await objects.put(b"again")
    clock.advance(3_600)
    await objects.put(b"again")
    assert not await objects.delete(digest, put_before=clock.now())
    assert await objects.get(digest) == b"again"


async def test_old_contents_are_listed_by_how_they_begin(objects: ObjectStore, clock: FakeClock) -> None:
    digests = {await objects.put(str(number).encode()) for number in range(40)}
    clock.advance(3_600)
    new = await objects.put(b"new")
    listed: set[str] = set()
    for number in range(256):
        beginning = f"{number:02x}"
        found = await objects.listed(beginning, put_before=clock.now())
        assert all(digest.startswith(beginning) for digest in found)
        listed.update(found)
    assert listed == digests
    assert new in await objects.listed(new[:2], put_before=clock.now() + 1)


# What only a directory can be asked.


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_nobody_else_can_read_the_directory(local: LocalObjects, tmp_path: Path) -> None:
    await local.put(b"secret")
    root = tmp_path / "objects"
    directories = [root, *(path for path in root.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in directories} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in _files(root)} == {0o400}


async def test_a_directory_that_others_could_read_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "objects"
    root.mkdir()
    root.chmod(0o755)
    LocalObjects(root, FakeClock()).close()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


async def test_a_damaged_file_is_repaired_by_putting_the_content_again(local: LocalObjects, tmp_path: Path) -> None:
    digest = await local.put(b"sound")
    (file,) = _files(tmp_path / "objects")
    file.chmod(0o600)
    file.write_bytes(b"other")
    assert await local.get(digest) == b"other"
    await local.put(b"sound")
    assert await local.get(digest) == b"sound"


async def test_what_was_put_is_there_for_the_next_process(
    local: LocalObjects, tmp_path: Path, clock: FakeClock
) -> None:
    digest = await local.put(b"kept")
    again = LocalObjects(tmp_path / "objects", clock)
    try:
        assert await again.get(digest) == b"kept"
    finally:
        again.close()


async def test_a_process_that_is_killed_while_it_writes_leaves_no_half_content(tmp_path: Path) -> None:
    """The process dies at the sync before the rename: the draft is there, under no digest."""
    script = (
        "import asyncio, os, sys, pathlib\n"
        "from jit_server.adapters.objects import THREADS, LocalObjects\n"
        "from jit_server.adapters.clock import SystemClock\n"
        "objects = LocalObjects(pathlib.Path(sys.argv[1]), SystemClock())\n"
        "os.fsync = lambda descriptor: os._exit(9)\n"
        "asyncio.run(objects.put(b'x' * 1000000))\n"
    )
    root = tmp_path / "objects"
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, str(root)], env={**os.environ}, check=False
    )
    assert died.returncode == 9
    digest = sha256(b"x" * 1000000).hexdigest()
    clock = FakeClock(2**40 * 1_000)
    later = LocalObjects(root, clock)
    try:
        assert _files(root) == [], "a draft of long ago is dropped"
        with pytest.raises(NotFound):
            await later.get(digest)
        await later.put(b"x" * 1000000)
        assert await later.get(digest) == b"x" * 1000000
    finally:
        later.close()


async def test_a_draft_that_another_server_is_writing_stays(local: LocalObjects, tmp_path: Path) -> None:
    draft = tmp_path / "objects" / "drafts" / "0123"
    draft.write_bytes(b"half")
    now = FakeClock(int(draft.stat().st_ctime_ns / 1_000) + HOUR)
    LocalObjects(tmp_path / "objects", now).close()
    assert draft.exists()
    now.advance(24 * 3_600)
    LocalObjects(tmp_path / "objects", now).close()
    assert not draft.exists()


async def test_deleting_never_takes_what_is_put_at_the_same_time(tmp_path: Path) -> None:
    """Two servers of one directory: one deletes what is old while the other puts it again, over and over."""

    class Ticking:
        def __init__(self) -> None:
            self.at = 1_790_000_000 * SECOND

        def now(self) -> int:
            return self.at

    clock = Ticking()
    one, other = LocalObjects(tmp_path / "objects", clock), LocalObjects(tmp_path / "objects", clock)
    try:
        digest = await one.put(b"wanted")
        kept = 0
        for _ in range(300):
            clock.at += SECOND
            before = clock.now()
            _, gone = await asyncio.gather(one.put(b"wanted"), other.delete(digest, put_before=before))
            kept += not gone
            assert await one.get(digest) == b"wanted"
        assert kept, "in some rounds the delete came second, and left it"
    finally:
        one.close()
        other.close()


async def test_a_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="recordings in"):
        LocalObjects(tmp_path / "file" / "objects", FakeClock())


async def test_a_disk_that_hangs_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    """A pipe whose writer says nothing lets a reader wait as a dead disk does; the event loop and its threads go on."""
    local = LocalObjects(tmp_path / "objects", FakeClock())
    digest = await local.put(b"slow")
    (file,) = _files(tmp_path / "objects")
    file.unlink()
    os.mkfifo(file)
    writer = os.open(file, os.O_RDWR)
    try:
        readings = [asyncio.create_task(local.get(digest)) for _ in range(THREADS)]
        done, _ = await asyncio.wait(readings, timeout=0.2)
        assert not done
        assert await asyncio.to_thread(lambda: "the other threads are free")
    finally:
        os.close(writer)
        await asyncio.wait(readings, timeout=10)
        local.close()
    assert {reading.result() for reading in readings} == {b""}
