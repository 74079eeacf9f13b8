"""The upload of recordings (SPEC 8.4) over real gRPC: all that was sealed arrives once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from jit_agent import keys, uploading
from jit_agent.chunks import Chunks
from jit_agent.identity import Identity
from jit_agent.server_link import ServerLink
from jit_agent.uploading import Uploading
from jit_testing.fake_server import FakeServer
from jit_testing.sealed_chunks import OTHER, SESSION, write

THIRD = "ses-0000000000000003"


def identity(server: FakeServer) -> Identity:
    key, csr = keys.new_key_and_csr()
    return Identity(key, server.issue(csr), server.authority.pem, 0, 2**52)


@dataclass
class Host:
    """The recordings of a host, and its link to the server."""

    root: Path
    chunks: Chunks
    server: FakeServer
    link: ServerLink

    async def seal(self, session_id: str = SESSION, *frames: bytes) -> None:
        """These frames are the next chunks of a session."""
        first = len(await asyncio.to_thread(self.chunks.headers, session_id))
        for number, one in enumerate(frames, first):
            await asyncio.to_thread(
                write, self.chunks, session_id, number, one, start_ns=number, end_ns=number + 1, compress=True
            )

    @asynccontextmanager
    async def uploading(self, *watched: str) -> AsyncIterator[Uploading]:
        upload = Uploading(self.chunks, self.link)
        upload.prefer(set(watched))
        task = asyncio.create_task(upload.run())
        try:
            yield upload
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def uploaded(self, within_s: float = 20.0) -> None:
        """Wait until the host has nothing left that the server does not keep, and knows it."""
        await until(lambda: not self.chunks.waiting(1), within_s)


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as started:
        yield started
        assert started.recordings.wrong == []


@pytest.fixture
async def host(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    monkeypatch.setattr(uploading, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(uploading, "LAST_RETRY_S", 0.1)
    async with AsyncExitStack() as stack:
        link = ServerLink(server.address, identity(server))
        stack.push_async_callback(link.close)
        yield Host(tmp_path / "recordings", Chunks(tmp_path / "recordings"), server, link)


def some(count: int, size: int = 1000) -> list[bytes]:
    return [b"%d " % number + os.urandom(size) for number in range(count)]


async def test_what_was_sealed_before_and_during_the_upload_arrives_in_order(host: Host) -> None:
    before, during = some(20), some(20)
    await host.seal(SESSION, *before)
    await host.seal(OTHER, *some(3))
    async with host.uploading():
        await host.seal(SESSION, *during)
        await asyncio.to_thread(host.chunks.finish, SESSION)
        await host.uploaded()
    kept = host.server.recordings
    assert kept.frames(SESSION) == b"".join(before + during)
    assert [chunk.number for chunk in kept.chunks[SESSION]] == list(range(40))
    assert [(chunk.start_ns, chunk.end_ns) for chunk in kept.chunks[OTHER]] == [(0, 1), (1, 2), (2, 3)]
    await until(lambda: not (host.root / SESSION).exists())
    headers = host.chunks.headers(OTHER)
    digest = hashlib.sha256(b"".join(one.sha256 for one in headers)).digest()
    assert (digest, kept.streams) == (kept.digest(OTHER), 1)


async def test_a_chunk_goes_in_pieces_that_a_message_can_hold(host: Host) -> None:
    noise = os.urandom(2 * 1024 * 1024)
    await host.seal(SESSION, noise)
    async with host.uploading():
        await host.uploaded()
    assert host.server.recordings.frames(SESSION) == noise
    assert host.server.recordings.largest_piece == uploading.PIECE == 131_072


async def test_without_anything_to_send_no_stream_is_open(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "IDLE_S", 0.05)
    async with host.uploading():
        await host.seal(SESSION, b"one")
        await host.uploaded()
        await until(lambda: host.server.recordings.open == 0)
        await host.seal(SESSION, b"two")
        await host.uploaded()
    assert (host.server.recordings.streams, host.server.recordings.frames(SESSION)) == (2, b"onetwo")


async def test_the_oldest_session_goes_first_and_a_watched_one_before_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "MAX_UNKEPT", 1)
    for session in (SESSION, OTHER, THIRD):
        await host.seal(session, *some(4))
    async with host.uploading(OTHER):
        await host.uploaded()
    assert host.server.recordings.order == [(one, n) for one in (OTHER, SESSION, THIRD) for n in range(4)]


async def test_a_session_that_somebody_begins_to_watch_overtakes_the_others(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "WINDOW", 3000)
    host.server.recordings.keeps = False
    for session in (SESSION, OTHER):
        await host.seal(session, *some(10))
    async with host.uploading() as upload:
        await until(lambda: len(host.server.recordings.order) == 3)
        upload.prefer({OTHER})
        host.server.recordings.keeps = True
        # What was not kept is told by a new stream; which session goes first there is what counts.
        await host.server.stop()
        host.server.recordings.order.clear()
        await host.server.start()
        await host.uploaded()
    order = host.server.recordings.order
    assert [one for one, _ in order[:10]] == [OTHER] * 10


async def test_no_more_than_a_window_is_on_its_way(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.server.recordings.answers = False
    await host.seal(SESSION, *some(20, 1024 * 1024 - 10))
    async with host.uploading():
        await until(lambda: len(host.server.recordings.order) >= 4)
        with pytest.raises(TimeoutError):
            await until(lambda: len(host.server.recordings.order) > 5, within_s=0.5)
    assert host.server.recordings.unkept <= uploading.WINDOW + 2 * 1024 * 1024


async def test_watched_chunks_find_room_when_all_others_have_filled_theirs(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.server.recordings.answers = False
    await host.seal(SESSION, *some(20, 1024 * 1024 - 10))
    async with host.uploading(OTHER):
        await until(lambda: len(host.server.recordings.order) >= 2)
        await host.seal(OTHER, b"what the watcher waits for")
        await until(lambda: (OTHER, 0) in host.server.recordings.order)
    assert len(host.server.recordings.order) <= 3


async def test_a_server_that_was_away_gets_all_of_it(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    frames = some(30)
    await host.server.stop()
    await host.seal(SESSION, *frames[:10])
    async with host.uploading():
        await until(lambda: "Recordings stay on this host for now: " in caplog.text)
        await host.seal(SESSION, *frames[10:])
        await host.server.start()
        await host.uploaded()
    assert host.server.recordings.frames(SESSION) == b"".join(frames)


async def test_an_upload_that_is_cut_goes_on_where_the_server_was(host: Host) -> None:
    frames = some(12, 300_000)
    await host.seal(SESSION, *frames)
    kept = host.server.recordings
    async with host.uploading():
        for pieces in (1, 4, 7, 2):
            # In the middle of a chunk, or between two.
            kept.break_after = pieces
            await until(lambda: kept.break_after is None or not host.chunks.waiting(1))
        await host.uploaded()
    assert kept.frames(SESSION) == b"".join(frames)
    assert kept.streams >= 4


async def test_a_chunk_the_server_has_already_is_not_stored_twice(host: Host) -> None:
    frames = some(5)
    host.server.recordings.answers = False
    await host.seal(SESSION, *frames)
    async with host.uploading():
        await until(lambda: len(host.server.recordings.chunks.get(SESSION, [])) == 5)
    host.server.recordings.answers = True
    async with host.uploading():
        await host.uploaded()
    assert [chunk.number for chunk in host.server.recordings.chunks[SESSION]] == list(range(5))


async def test_an_agent_that_was_killed_uploads_what_it_left(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = some(9)
    await host.seal(SESSION, *frames)
    monkeypatch.setattr(uploading, "MAX_UNKEPT", 2)
    async with host.uploading():
        await until(lambda: len(host.server.recordings.chunks.get(SESSION, [])) >= 4)
    host.chunks = Chunks(host.root)
    async with host.uploading():
        await host.uploaded()
    assert host.server.recordings.frames(SESSION) == b"".join(frames)


async def test_a_refused_recording_is_told_once_and_holds_up_no_other(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # What is on its way when the refusal is heard fills the window, and is never answered.
    monkeypatch.setattr(uploading, "WINDOW", 1_500)
    host.server.recordings.refuse[SESSION] = "it was deleted\x1b[2J"
    await host.seal(SESSION, b"short", *some(4))
    await host.seal(OTHER, *some(5))
    async with host.uploading():
        await until(lambda: len(host.server.recordings.chunks.get(OTHER, [])) == 5)
        await host.seal(SESSION, b"more of it")
        await host.seal(OTHER, b"more of it")
        await until(lambda: len(host.server.recordings.chunks.get(OTHER, [])) == 6)
        await until((host.root / SESSION / "refused").exists)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert f"refuses the recording of {SESSION}" in told[0]
    assert r"it was deleted\x1b[2J" in told[0]
    assert len(list((host.root / SESSION).glob("*.chunk"))) == 6
    caplog.clear()
    async with host.uploading():
        await host.seal(OTHER, b"and more")
        await until(lambda: len(host.server.recordings.chunks[OTHER]) == 7)
    assert caplog.text == ""


async def test_a_chunk_other_than_the_server_has_is_refused_and_kept_here(host: Host) -> None:
    await host.seal(SESSION, b"one", b"two")
    async with host.uploading():
        await host.uploaded()
    # The host was set back, and recorded something else under the same number.
    other = Chunks(host.root.parent / "restored")
    write(other, SESSION, 0, b"another")
    set_back = Host(host.root.parent / "restored", other, host.server, host.link)
    async with set_back.uploading():
        await until((set_back.root / SESSION / "refused").exists)
    assert host.server.recordings.frames(SESSION) == b"onetwo"
    assert (set_back.root / SESSION / "000000.chunk").exists()


async def test_a_damaged_chunk_is_a_hole_and_what_follows_it_arrives(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    frames = some(5)
    await host.seal(SESSION, *frames)
    await host.seal(OTHER, b"another")
    path = host.root / SESSION / "000002.chunk"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    async with host.uploading():
        await host.uploaded()
    assert [chunk.frames for chunk in host.server.recordings.chunks[SESSION]] == [*frames[:2], b"", *frames[3:]]
    assert f"Chunk 2 of {host.root / SESSION} is lost: its bytes were changed" in caplog.text
    assert host.server.recordings.frames(OTHER) == b"another"


async def test_a_server_that_never_says_what_it_keeps_is_tried_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uploading, "KEPT_WITHIN_S", 0.1)
    host.server.recordings.answers = False
    await host.seal(SESSION, *some(2))
    async with host.uploading():
        await until(lambda: host.server.recordings.streams > 1)
        host.server.recordings.answers = True
        await host.uploaded()
    assert "the server does not say that it keeps what it is sent" in caplog.text
    assert host.chunks.waiting(1) == []


async def test_a_renewed_certificate_is_used_at_once(host: Host) -> None:
    await host.seal(SESSION, b"before")
    async with host.uploading():
        await host.uploaded()
        await host.link.use(identity(host.server))
        await until(lambda: host.server.recordings.open == 0)
        await host.seal(SESSION, b"after")
        await host.uploaded()
    assert (host.server.recordings.frames(SESSION), host.server.recordings.streams) == (b"beforeafter", 2)


async def test_another_hosts_session_in_the_servers_words_is_nothing_to_us(host: Host) -> None:
    """A word about a session that was not sent over this stream makes nothing kept."""
    await host.seal(SESSION, b"one")
    await host.seal(OTHER, b"two")
    host.server.recordings.refuse[OTHER] = "no"
    async with host.uploading():
        await until((host.root / OTHER / "refused").exists)
        await until(lambda: host.server.recordings.frames(SESSION) == b"one")
    assert (host.root / OTHER / "000000.chunk").exists()


async def test_what_waits_on_the_disk_is_not_in_memory(host: Host) -> None:
    noise = os.urandom(1024 * 1024)
    await host.seal(SESSION, *[noise] * 64)
    before = resident()
    most = before
    async with host.uploading():
        while host.chunks.waiting(1):
            most = max(most, resident())
            await asyncio.sleep(0.005)
    # The window, what gRPC makes of it on both ends, and what the fake server keeps of it.
    assert most - before < 64_000_000 + 45_000_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
