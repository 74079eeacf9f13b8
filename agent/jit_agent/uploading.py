"""The upload of recordings (SPEC 8.4): sealed chunks from the disk to the server, until it keeps them.

A stream of its own, open only while something waits.  At most a window of it is on its way and unconfirmed, at most one
chunk is in memory, and files are read in threads: however much waits, nothing else waits for it (S6).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Set
from concurrent.futures import ThreadPoolExecutor as Threads
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from jit_agent.changes import Bell
from jit_agent.chunk_format import Header
from jit_agent.chunks import Chunks, Waiting
from jit_agent.errors import AgentError, Malformed
from jit_agent.server_link import RecordingKept, RecordingStream, ServerLink
from jit_agent.text import safe

log = logging.getLogger(__name__)

PIECE = 131_072
WINDOW = 4 * 1024 * 1024
"""Bytes sent and not yet kept, beyond which no further chunk is begun."""
WATCHED_WINDOW = 1024 * 1024
"""The same for all others while somebody watches a session: what is watched shall not queue behind them."""
MAX_UNKEPT = 256
"""Chunks sent and not yet kept."""
KEPT_WITHIN_S = 120.0
"""How long nothing may go out or be kept while something is on its way."""
IDLE_S = 60.0
"""How long a stream stays open with nothing to send."""
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 15.0
STEADY_S = 5.0

T = TypeVar("T")


class Uploading:
    """Uploads for as long as it runs."""

    def __init__(self, chunks: Chunks, link: ServerLink) -> None:
        self._chunks = chunks
        self._link = link
        self._watched: frozenset[str] = frozenset()
        self._to_send = Bell()
        self._threads = Threads(2, thread_name_prefix="uploading")

    def prefer(self, watched: Set[str]) -> None:
        """The chunks of these sessions go before all others."""
        self._watched = frozenset(watched)
        self._to_send.ring()

    async def run(self) -> None:
        """For ever, once: a stream whenever something waits, with growing, jittered pauses while the server takes none.

        When it is stopped, it returns after what was being noted on the disk is noted.
        """
        loop = asyncio.get_running_loop()
        self._chunks.on_change(lambda: _ring_from_a_thread(loop, self._to_send))
        attempt, said = 0, ""
        try:
            while True:
                await self._until_something_waits()
                started = loop.time()
                try:
                    reason = await self._stream()
                except AgentError as e:
                    reason = str(e)
                if reason and reason != said:
                    log.warning("Recordings stay on this host for now: %s", safe(reason))
                if not reason:
                    attempt, said = 0, ""
                    continue
                attempt, said = 0 if loop.time() - started >= STEADY_S else attempt + 1, reason
                longest = min(LAST_RETRY_S, FIRST_RETRY_S * 1.5 ** min(attempt, 10))
                await asyncio.sleep(random.uniform(longest / 4, longest))  # noqa: S311 (spreads load, guards nothing)
        finally:
            self._chunks.on_change(lambda: None)
            self._threads.shutdown()

    async def _until_something_waits(self) -> None:
        seen = self._to_send.count
        while not self._chunks.waiting(1):
            await self._to_send.wait_beyond(seen, timeout_s=IDLE_S)
            seen = self._to_send.count

    async def _stream(self) -> str:
        """One stream, until nothing waits any more (empty), or with the reason for its end."""
        async with _opened(self._link) as stream:
            upload = _Upload(self._chunks, stream, self._threads, self._to_send)
            works = [
                asyncio.create_task(work)
                for work in (
                    upload.send(lambda: self._watched),
                    upload.hear(),
                    upload.keep(),
                    upload.expect_word(),
                    self._until_the_certificate_changes(),
                )
            ]
            try:
                await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
                return next(work for work in works if work.done()).result()
            finally:
                for work in works:
                    work.cancel()
                await asyncio.gather(*works, return_exceptions=True)

    async def _until_the_certificate_changes(self) -> str:
        await self._link.wait_replaced()
        return ""


@dataclass(slots=True)
class _Sent:
    """Of one session: the next chunk to send over this stream, and what was sent and is not yet kept."""

    next: int
    unkept: deque[Header] = field(default_factory=deque)


class _Upload:
    """One stream: what was sent, what the server said of it, and taking note of that."""

    def __init__(self, chunks: Chunks, stream: RecordingStream, threads: Threads, to_send: Bell) -> None:
        self._chunks = chunks
        self._stream = stream
        self._threads = threads
        self._to_send = to_send
        self._heard = Bell()
        self._sent: dict[str, _Sent] = {}
        self._kept: dict[str, list[Header]] = {}
        """Kept by the server, and not yet noted here."""
        self._refused: dict[str, str] = {}
        self._bytes = 0
        self._count = 0
        self._moved = asyncio.get_running_loop().time()
        """When something last went out or was kept."""

    async def send(self, watched: Callable[[], Set[str]]) -> str:
        """Chunk after chunk, as far as the window reaches; returns once there was nothing to send for a while."""
        while True:
            seen = self._to_send.count
            chosen = self._choose(watched())
            if chosen is None:
                await self._to_send.wait_beyond(seen, timeout_s=IDLE_S)
                if self._to_send.count == seen and not self._chunks.waiting(1):
                    return ""
                continue
            session_id, number = chosen
            found = await self._in_thread(self._chunks.read, session_id, number)
            sent = self._sent.setdefault(session_id, _Sent(number))
            sent.next = number + 1
            # None: what an earlier stream was told is noted only now.
            if found is not None:
                await self._send_chunk(session_id, sent, *found)

    async def _send_chunk(self, session_id: str, sent: _Sent, header: Header, data: bytes) -> None:
        # Counted before it is written: the server may keep it before the write returns.
        sent.unkept.append(header)
        self._bytes += header.size
        self._count += 1
        for offset in range(0, len(data), PIECE):
            await self._stream.send(session_id, header, offset, data[offset : offset + PIECE])
            self._moved = asyncio.get_running_loop().time()

    def _choose(self, watched: Set[str]) -> tuple[str, int] | None:
        """The chunk to send now: of a watched session before all others; None while there is none, or no room."""
        if self._count >= MAX_UNKEPT or self._bytes >= WINDOW:
            return None
        for session_id in watched:
            waiting = self._chunks.progress(session_id)
            if waiting is not None and (number := self._next_of(waiting)) is not None:
                return session_id, number
        if watched and self._bytes >= WATCHED_WINDOW:
            return None
        for waiting in self._chunks.waiting(len(self._sent) + 1):
            if (number := self._next_of(waiting)) is not None:
                return waiting.session_id, number
        return None

    def _next_of(self, waiting: Waiting) -> int | None:
        if waiting.session_id in self._refused:
            return None
        sent = self._sent.get(waiting.session_id)
        number = waiting.kept if sent is None else sent.next
        return number if number < waiting.written else None

    async def hear(self) -> str:
        async with aclosing(self._stream.kept()) as words:
            async for word in words:
                self._take(word)
        return "the server ended the stream of recordings"

    def _take(self, word: RecordingKept) -> None:
        """A word answers the oldest chunk of its session that has none: only what was compared counts as kept."""
        sent = self._sent.get(word.session_id)
        if sent is None or not sent.unkept:
            return
        header = self._answered(sent)
        if word.refused:
            self._refused[word.session_id] = word.refused
            while sent.unkept:
                self._answered(sent)
        elif header.number < word.chunks:
            self._kept.setdefault(word.session_id, []).append(header)
        else:
            raise Malformed(f"the server neither keeps nor refuses chunk {header.number} of {word.session_id}")
        self._moved = asyncio.get_running_loop().time()
        self._heard.ring()
        self._to_send.ring()

    def _answered(self, sent: _Sent) -> Header:
        header = sent.unkept.popleft()
        self._bytes -= header.size
        self._count -= 1
        return header

    async def keep(self) -> str:
        """Take note of what is kept and refused; never returns."""
        seen = 0
        while True:
            await self._heard.wait_beyond(seen, timeout_s=IDLE_S)
            seen = self._heard.count
            while self._kept:
                session_id = next(iter(self._kept))
                await self._in_thread(self._chunks.keep, session_id, self._kept.pop(session_id))
                self._forget(session_id)
            for session_id, reason in list(self._refused.items()):
                await self._in_thread(self._chunks.put_aside, session_id, safe(reason))

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _forget(self, session_id: str) -> None:
        """What is noted on the disk need not be remembered."""
        sent = self._sent.get(session_id)
        if sent is not None and not sent.unkept and session_id not in self._kept:
            waiting = self._chunks.progress(session_id)
            if waiting is None or waiting.kept == sent.next:
                del self._sent[session_id]

    async def expect_word(self) -> str:
        """Until nothing has moved for too long though something is on its way."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(KEPT_WITHIN_S / 8)
            if self._count and loop.time() - self._moved >= KEPT_WITHIN_S:
                return "the server does not say that it keeps what it is sent"


@asynccontextmanager
async def _opened(link: ServerLink) -> AsyncIterator[RecordingStream]:
    stream = link.record()
    try:
        yield stream
    finally:
        await stream.close()


def _ring_from_a_thread(loop: asyncio.AbstractEventLoop, bell: Bell) -> None:
    try:
        loop.call_soon_threadsafe(bell.ring)
    except RuntimeError:
        return  # the loop is closed: the agent ends, and the next one looks for itself
