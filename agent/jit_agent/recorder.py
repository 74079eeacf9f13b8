"""All sessions of this host that are recorded: opened before their command may run, and taken up again after a restart.

What is on the disk and what systemd kept are compared at the start: a session whose connection was kept goes on where
it was, one whose connection is gone is sealed as far as it goes and reported, and nothing is reported twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from jit_agent import segment_file
from jit_agent.chunk_format import Header
from jit_agent.errors import AgentError, Malformed, SpoolUnavailable
from jit_agent.fd_store import consumed
from jit_agent.model import Admission, is_id
from jit_agent.recording import Recording
from jit_agent.report_model import SessionEnded, SessionRejected
from jit_agent.scratch import Scratch
from jit_agent.segment_file import is_of_this_boot
from jit_agent.segments import FIRST, Segments
from jit_agent.session_orders import SessionOrders
from jit_agent.session_state import SessionState
from jit_agent.sudo_connection import Connection, Drain, FirstMessage
from jit_agent.text import safe
from jit_agent.workshop import Workshop

log = logging.getLogger(__name__)

AGENT_STOPPED = "jit on this host was stopped while sudo waited for a watcher"


class Recorder:
    def __init__(self, workshop: Workshop, orders: SessionOrders) -> None:
        self.workshop = workshop
        self.orders = orders

    async def open(self, session_id: str) -> Segments:
        """Reserve room for a session and make it known to the disk; raises `SpoolUnavailable`."""
        await self.workshop.reports.require_room()
        segments = Segments(self.workshop.folder(session_id), self.workshop.room)
        await self.workshop.on_disk(segments.open)
        return segments

    async def discard(self, session_id: str, segments: Segments) -> None:
        """Nothing came of it: sudo was not let in."""
        await self.workshop.clear(session_id, segments)

    async def wait(self, session_id: str, admission: Admission, opened: Segments | SpoolUnavailable) -> None:
        """Its sudo waits for a watcher: should we, or the machine, not live to see one, that is reported."""
        if isinstance(opened, Segments):
            state = SessionState.of(session_id, admission, sealed=0, incomplete="")
            opened.identify(replace(state, waits=True).encode())
            await self.workshop.on_disk(opened.settle)

    def begin(
        self, session_id: str, admission: Admission, opened: Segments | SpoolUnavailable, connection: Connection,
        first: FirstMessage, *, greeting: bytes,
    ) -> None:  # fmt: skip
        """Greet sudo; what it says from here on is recorded.

        With why nothing could be opened in place of segments, nothing is kept but reports.  Raises `SpoolUnavailable`.
        """
        incomplete = "" if isinstance(opened, Segments) else safe(str(opened), 300)
        state = SessionState.of(session_id, admission, sealed=first.size, incomplete=incomplete)
        if isinstance(opened, Segments):
            # Memory that the kernel keeps if we are killed: nobody waits for a file.
            opened.identify(state.encode())
            opened.append(first.said)
        # Before all that can be done while sudo goes on.
        connection.write(greeting)
        if isinstance(opened, Segments):
            recording = Recording(self.workshop, state, opened, connection)
            self.workshop.fd_store.keep(session_id, connection.socket.fileno())
        else:
            recording = Recording(self.workshop, state, Scratch(0, first.said), connection)
        connection.hand_to(recording)
        self.start(recording, new=True)

    def start(self, recording: Recording, *, new: bool) -> None:
        """Run it to its end."""
        self.workshop.start(self._run(recording, new=new))

    async def take_up(self, kept: Mapping[str, socket.socket]) -> None:
        """Go on with what an earlier run left, `kept` being the connections systemd kept for it."""
        kept = dict(kept)
        found = await self.workshop.on_disk(self._look)
        for session_id in found:
            connection = kept.pop(session_id, None)
            try:
                await self._take_up(session_id, connection)
            except (AgentError, OSError) as e:
                log.error("sudo session %s cannot be taken up: %s", session_id, safe(str(e)))
                if connection is not None:
                    connection.close()
                await self._give_up(session_id, safe(str(e), 300))
        for session_id, connection in kept.items():
            connection.close()
            self.workshop.fd_store.drop(session_id)
        try:
            await self.workshop.reports.forget_sessions(found)
        except SpoolUnavailable as e:
            # The next start does it; rights are given back, and doctors asked, on a full disk too.
            log.warning("Sessions that are over are not forgotten: %s", safe(str(e)))

    def _look(self) -> list[str]:
        """Sessions that have more on the disk than chunks that wait."""
        return sorted(
            path.name
            for path in self.workshop.root.iterdir()
            if is_id(path.name, "ses") and ((path / "session").exists() or any(path.glob("*.raw")))
        )

    async def _take_up(self, session_id: str, connection: socket.socket | None) -> None:
        workshop = self.workshop
        if await workshop.reports.is_closed(session_id):
            await workshop.clear(session_id, None)
            return
        folder = workshop.folder(session_id)
        try:
            state = await workshop.on_disk(state_of, folder)
        except FileNotFoundError:
            await self._opened_only(session_id, connection)
            return
        if state.waits:
            await self._never_let_in(state, connection)
            return
        chunks: tuple[Header, ...] = tuple(
            await workshop.in_background(workshop.chunks.resume, session_id, state.progress.chunks)
        )
        segments = Segments(folder, workshop.room)
        if connection is not None and state.incomplete:
            # How its bytes fall into messages was known in memory only.
            connection.close()
            connection = None
        received = None if connection is None else consumed(connection)
        await workshop.on_disk(segments.adopt, state.progress.sealed, received)
        if connection is None:
            log.warning("sudo session %s was cut off", session_id)
            self.start(Recording(workshop, state, segments, None, chunks), new=False)
            return
        if not segments.receive():
            # It was killed between two segments.
            segments.add(await workshop.on_disk(segments.prepare))
        connection.setblocking(False)
        taken = Connection(lambda _: None, Drain())
        recording = Recording(workshop, state, segments, taken, chunks)
        taken.hand_to(recording)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: taken, connection)
        log.info("sudo session %s goes on", session_id)
        self.start(recording, new=False)

    async def _never_let_in(self, state: SessionState, connection: socket.socket | None) -> None:
        """Its sudo waited for a watcher when we were stopped."""
        if connection is not None:
            connection.close()
        rejected = SessionRejected(state.session_id, state.person, (), AGENT_STOPPED)
        await self.workshop.reports.close_session(state.session_id, state.grant_id, rejected)
        await self.workshop.clear(state.session_id, None)

    async def _opened_only(self, session_id: str, connection: socket.socket | None) -> None:
        """Its room was reserved, and its sudo not yet greeted, unless the machine died and that was not written."""
        if connection is not None:
            connection.close()
        workshop = self.workshop
        if not await workshop.on_disk(is_of_this_boot, workshop.folder(session_id) / FIRST):
            await workshop.reports.close_session(session_id, "", SessionEnded(session_id, lost=True))
        await workshop.clear(session_id, None)

    async def _give_up(self, session_id: str, why: str) -> None:
        """Only its chunks can be read: these are reported, and what else there is of it goes at the next start."""
        workshop = self.workshop
        try:
            headers = await workshop.in_background(workshop.chunks.headers, session_id)
            digest = hashlib.sha256(b"".join(header.sha256 for header in headers)).digest() if headers else b""
            ended = SessionEnded(session_id, lost=True, chunks=len(headers), digest=digest, incomplete=why)
            await workshop.reports.close_session(session_id, "", ended)
        except SpoolUnavailable as e:
            log.error("The end of sudo session %s cannot be stored: %s", session_id, safe(str(e)))
        self.workshop.fd_store.drop(session_id)

    async def _run(self, recording: Recording, *, new: bool) -> None:
        session_id = recording.state.session_id
        self.orders.join(recording, new=new)
        try:
            await recording.run()
        finally:
            self.orders.leave(session_id)


def state_of(folder: Path) -> SessionState:
    """What was written down of it last, or else what its first segment says it began with."""
    try:
        return SessionState.load(folder)
    except (FileNotFoundError, Malformed):
        try:
            identity = segment_file.identity(folder / FIRST)
        except FileNotFoundError:
            identity = None
        if identity is None:
            raise
        return SessionState.decode(identity, folder.name)
