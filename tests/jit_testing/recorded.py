"""Sessions with recordings, as hosts tell of them: chunks of any bytes, ends that name them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import zstandard

from jit_server.domain.grant import Record
from jit_server.domain.identity import HostCaller, LocalUser
from jit_server.domain.recording import Chunk
from jit_server.domain.report import SessionEnded, SessionStarted
from jit_server.domain.session import Session
from jit_server.services.recordings import Kept, Refused, Wanted
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import an_id

MS = 1_000_000
"""Nanoseconds."""


def a_session_id() -> str:
    return an_id("ses")


def a_chunk(session_id: str, number: int, frames: bytes, *, compress: bool = True) -> tuple[Chunk, bytes]:
    """A chunk of a hundred milliseconds, with its bytes."""
    content = zstandard.ZstdCompressor(level=1).compress(frames) if compress else frames
    chunk = Chunk(
        session_id=session_id,
        number=number,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        decoded_size=len(frames),
        start_ns=number * 100 * MS,
        end_ns=(number + 1) * 100 * MS,
        encoding="zstd" if compress else "none",
    )
    return chunk, content


def digest_of(chunks: Iterable[Chunk]) -> str:
    """The recording's digest, as SPEC 8.2 says it."""
    return hashlib.sha256(b"".join(bytes.fromhex(chunk.sha256) for chunk in chunks)).hexdigest()


def start(session_id: str, *, account: str = "alice", record: Record = Record.OUTPUT) -> SessionStarted:
    return SessionStarted(
        session_id=session_id,
        user=LocalUser(1001, account),
        run_as_user="root",
        argv=("/usr/bin/id",),
        command="/usr/bin/id",
        cwd="/",
        tty="/dev/pts/0",
        standing=False,
        record=record,
    )


def end(session_id: str, chunks: Iterable[Chunk], *, incomplete: str = "") -> SessionEnded:
    chunks = list(chunks)
    return SessionEnded(
        session_id=session_id,
        exit_value=0,
        signal="",
        run_time_us=1_000_000,
        lost=False,
        chunks=len(chunks),
        digest=digest_of(chunks) if chunks else "",
        output_bytes=sum(chunk.decoded_size for chunk in chunks),
        incomplete=incomplete,
    )


async def send(world: CoreWorld, host: HostCaller, chunk: Chunk, content: bytes) -> Kept | Refused:
    """What an upload does with one chunk."""
    answer = await world.services.recordings.weigh(host, chunk)
    return await keep(world, host, chunk, content) if isinstance(answer, Wanted) else answer


async def keep(world: CoreWorld, host: HostCaller, chunk: Chunk, content: bytes) -> Kept | Refused:
    """What it does with one that is wanted."""
    wrong = await world.services.recordings.put(chunk, content)
    if wrong:
        return await world.services.recordings.refuse(host, chunk, wrong)
    return await world.services.recordings.keep(host, chunk)


async def recorded(
    world: CoreWorld,
    host: HostCaller,
    *frames: bytes,
    session_id: str = "",
    grant_id: str = "",
    account: str = "alice",
    incomplete: str = "",
) -> tuple[str, list[Chunk]]:
    """A session that began, was recorded, and ended; its id and chunks."""
    session_id = session_id or a_session_id()
    await world.report(host, grant_id, start(session_id, account=account))
    chunks = []
    for number, part in enumerate(frames):
        chunk, content = a_chunk(session_id, number, part)
        kept = await send(world, host, chunk, content)
        if kept != Kept(number + 1):
            raise AssertionError(f"not kept: {kept}")
        chunks.append(chunk)
    await world.report(host, grant_id, end(session_id, chunks, incomplete=incomplete))
    return session_id, chunks


async def session_of(world: CoreWorld, session_id: str) -> Session:
    async with world.store.read() as tx:
        session = await tx.sessions.get(session_id)
    if session is None:
        raise AssertionError(f"no session {session_id}")
    return session
