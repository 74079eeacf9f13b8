"""What is left of a session beside its chunks, and when it may go (SPEC 8.3)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest

from jit_agent.chunks import Chunks
from jit_agent.cutting import MAX_CHUNK, Cut
from jit_agent.fd_store import SystemdStore
from jit_agent.model import Admission, Person
from jit_agent.room import Room
from jit_agent.scanner import Sealing
from jit_agent.sealing import Sealer
from jit_agent.segment_file import CAPACITY
from jit_agent.segments import FIRST, Segments
from jit_agent.session_state import NAME, Progress, SessionState
from jit_agent.workshop import Workshop
from jit_testing.sealed_chunks import SESSION, full, keep, write

STATE = SessionState.of(
    SESSION, Admission(None, Person(1001, "alice"), 7, (), "output", True, False, 0), sealed=0, incomplete=""
)


@pytest.fixture
def room(root: Path, chunks: Chunks) -> Room:
    return Room(root, reserve=0, limit=2**40, sealed=chunks.bytes_waiting)


@pytest.fixture
def workshop(root: Path, chunks: Chunks, room: Room) -> Workshop:
    nobody = cast(Any, None)
    return Workshop(
        root, reports=nobody, enforcer=nobody, chunks=chunks, room=room, fd_store=SystemdStore(), compress=False
    )


async def test_a_session_whose_end_a_full_disk_does_not_take_is_ended_by_the_next_start(
    root: Path, chunks: Chunks, room: Room, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = Segments(root / SESSION, room)
    segments.open()
    STATE.save(root / SESSION, durable=False)
    write(chunks, SESSION, 0, b"frames")
    with monkeypatch.context() as patch:
        full(patch)
        await workshop.clear(SESSION, segments)
    # Its room is free at once, and it is still found.
    assert sorted(path.name for path in (root / SESSION).iterdir()) == ["000000.chunk", NAME]
    again = Chunks(root)
    workshop.chunks = again
    await workshop.clear(SESSION, None)
    assert sorted(path.name for path in (root / SESSION).iterdir()) == ["000000.chunk", "finished"]
    keep(again, 0)
    assert list(root.iterdir()) == []
    await workshop.stop()


async def test_once_its_begin_is_gone_a_sessions_state_outlives_the_machine(
    root: Path, room: Room, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems leave nothing of a file that was renamed and not synced, nor of the one it replaced."""
    fdatasync, on_the_disk = os.fdatasync, set[int]()

    def synced(fd: int) -> None:
        fdatasync(fd)
        on_the_disk.add(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fdatasync", synced)
    segments = Segments(root / SESSION, room)
    segments.open()
    segments.add(segments.prepare())
    for _ in range(2):
        segments.advance(CAPACITY // 2)
    sealer = Sealer(workshop, STATE, segments, ())
    for number in range(5):
        end = (number + 1) * MAX_CHUNK
        cut = Cut(number, (b"frames",), number, number, end, 0, 0, written=False)
        sealer.add(Sealing(cut, Progress(sealed=end, chunks=number + 1)))
    sealer.finish()
    await sealer.run()
    assert not (root / SESSION / FIRST).exists()
    # What is noted of it later is on the disk as well.
    later = Sealer(workshop, sealer.state, segments, ())
    later.note(sealer.state)
    later.finish()
    await later.run()
    assert (root / SESSION / NAME).stat().st_ino in on_the_disk
    segments.close()
    await workshop.stop()
