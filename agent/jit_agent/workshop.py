"""What all recordings share: the disk and its threads, the spool, the enforcer, and systemd's store of connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from jit_agent.chunks import Chunks
from jit_agent.errors import SpoolUnavailable
from jit_agent.fd_store import FdStore
from jit_agent.ports import Enforcer
from jit_agent.report_model import SessionEnded, SessionEvent
from jit_agent.reports import Reports
from jit_agent.room import Room
from jit_agent.segments import Segments
from jit_agent.session_state import NAME, SessionState
from jit_agent.text import safe

log = logging.getLogger(__name__)

RETRY_S = 1.0

P = ParamSpec("P")
T = TypeVar("T")


class Workshop:
    """Made once; `stop` waits for what its threads are doing."""

    def __init__(
        self,
        root: Path,
        *,
        reports: Reports,
        enforcer: Enforcer,
        chunks: Chunks,
        room: Room,
        fd_store: FdStore,
        compress: bool,
    ) -> None:
        self.root = root
        self.reports = reports
        self.enforcer = enforcer
        self.chunks = chunks
        self.room = room
        self.fd_store = fd_store
        self.compress = compress
        # Apart, so that a command that ends never waits behind the chunks of one that floods its terminal.
        self._disk = ThreadPoolExecutor(max_workers=4, thread_name_prefix="segments")
        self._sealing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sealing")
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone: list[str] = []

    def folder(self, session_id: str) -> Path:
        return self.root / session_id

    async def on_disk(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Something short, for which a person may be waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, lambda: work(*args, **kwargs))

    async def in_background(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._sealing, lambda: work(*args, **kwargs))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this until it ends, or until `stop`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._disk.shutdown()
        self._sealing.shutdown()

    async def close(
        self,
        state: SessionState,
        ended: SessionEnded | None,
        segments: Segments | None,
        events: Sequence[tuple[int, SessionEvent]] = (),
    ) -> None:
        """Store what is left of a session's events, and its last report; then let go of everything but its chunks.

        Until the disk takes it.
        """
        session_id, said = state.session_id, ""
        while True:
            gone = self._gone[:]
            try:
                await self.reports.close_session(session_id, state.grant_id, ended, gone, events)
                break
            except SpoolUnavailable as e:
                if str(e) != said:
                    log.error("The end of sudo session %s cannot be stored: %s", session_id, safe(str(e)))
                said = str(e)
            await asyncio.sleep(RETRY_S)
        del self._gone[: len(gone)]
        await self.clear(session_id, segments)

    async def clear(self, session_id: str, segments: Segments | None) -> None:
        """Remove what a session that is over, and reported, has left beside its chunks."""
        self.fd_store.drop(session_id)
        try:
            await self.on_disk(self._clear, session_id, segments)
        except (OSError, SpoolUnavailable) as e:
            # The next start does it.
            log.warning("What session %s left cannot be removed: %s", session_id, safe(str(e)))
        else:
            self._gone.append(session_id)

    def _clear(self, session_id: str, segments: Segments | None) -> None:
        folder = self.folder(session_id)
        if segments is not None:
            segments.remove()
        for path in folder.glob("*.raw"):
            path.unlink(missing_ok=True)
        self.chunks.finish(session_id)
        # Last: by its state the next start finds a session that is not finished.
        for path in (folder / NAME, folder / f"{NAME}.new"):
            path.unlink(missing_ok=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A recording stopped unexpectedly", exc_info=error)
