"""Ties the parts together for as long as the agent runs; holds no rule of its own.

Without enrolment, or with a spool that cannot be opened, people can still ask the doctor and give rights back; sudo is
refused at the gate, because nothing could be recorded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from jit_agent import __version__, connections, endings, identity, tcp_peer
from jit_agent.changes import Bell
from jit_agent.chunks import Chunks, Refused
from jit_agent.config import Config, Enrolment, load_or_explain
from jit_agent.connections import Listeners, Service
from jit_agent.doctor import Doctor, Subject
from jit_agent.enforcer_link import EnforcerLink
from jit_agent.errors import Misconfigured, SpoolUnavailable
from jit_agent.fd_store import SystemdStore
from jit_agent.footprints import Footprints
from jit_agent.link_state import LinkState
from jit_agent.operations import Operations
from jit_agent.people import People
from jit_agent.people_requests import MAX_LINE
from jit_agent.recorder import Recorder
from jit_agent.renewal import Renewal
from jit_agent.reports import Reports
from jit_agent.room import Room
from jit_agent.server_link import ServerLink
from jit_agent.server_session import ServerSession
from jit_agent.session_orders import SessionOrders
from jit_agent.spool import Spool
from jit_agent.sudo_log import SudoLog
from jit_agent.uploading import Uploading
from jit_agent.workshop import Workshop

log = logging.getLogger(__name__)

TRY_AGAIN = 75
"""Exit status that makes systemd start us again: something we had to do without is there now."""
LOOK_S = 5.0


class Daemon:
    """One run of the agent."""

    def __init__(self, config: Config, config_path: Path) -> None:
        self._config = config
        self._config_path = config_path
        self._problem = config.problem
        self._disk_problem = ""
        self._clock = WallClock()
        self._changed = Bell()
        self._enforcer = EnforcerLink(config.enforcer_socket)
        self._renewal: Renewal | None = None
        self._session: ServerSession | None = None

    async def run(self) -> int:
        """Until SIGTERM or SIGINT; returns the exit status, and raises `Misconfigured` when it cannot even listen."""
        async with AsyncExitStack() as stack:
            # What was opened last is closed first, whenever we are stopped.
            listeners = connections.listeners(self._config)
            stack.callback(listeners.close)
            stack.callback(self._enforcer.close)
            reports = self._open_spool()
            if reports is not None:
                stack.callback(reports.close)
            recorder = None if reports is None else self._recorder(reports)
            if recorder is not None:
                stack.push_async_callback(recorder.workshop.stop)
            enforcer_back = Bell()
            link = None if reports is None or recorder is None else self._link(reports, enforcer_back, recorder.orders)
            if link is not None:
                stack.push_async_callback(link.close)
            await self._serve(stack, listeners, reports, recorder, link)
            notify("READY=1\nSTATUS=" + (self._problem or self._disk_problem or "Serving"))
            stack.callback(notify, "STOPPING=1")
            return await _first_status(self._works(reports, recorder, link, enforcer_back))

    def _works(
        self, reports: Reports | None, recorder: Recorder | None, link: ServerLink | None, enforcer_back: Bell
    ) -> list[Coroutine[Any, Any, object]]:
        works: list[Coroutine[Any, Any, object]] = [_stop_signal(), _watchdog()]
        if recorder is not None:
            works.append(recorder.orders.run())
            if link is not None:
                uploading = Uploading(recorder.workshop.chunks, link)
                recorder.orders.on_watched = uploading.prefer
                works.append(uploading.run())
        if reports is not None:
            ended = Bell()
            works += [
                endings.watch(self._enforcer, reports, changed=self._changed, connected=enforcer_back, ended=ended),
                Footprints(self._config.footprint_directory, reports).watch(ended),
            ]
        if self._session is not None and self._renewal is not None:
            works += [self._session.run(), self._renewal.run()]
        if link is None:
            works.append(self._what_was_missing(disk_missing=recorder is None))
        return works

    def _open_spool(self) -> Reports | None:
        enrolment = self._config.enrolment
        if enrolment is None:
            return None
        try:
            spool = Spool(self._config.spool_path, enrolment.host_id, limit=self._config.spool_limit)
        except SpoolUnavailable as e:
            log.error("Nothing can be recorded: %s", e)
            self._disk_problem = str(e)
            return None
        return Reports(spool, self._clock)

    def _recorder(self, reports: Reports) -> Recorder | None:
        config = self._config
        root = config.recordings_directory
        try:
            chunks = Chunks(root)
        except SpoolUnavailable as e:
            log.error("Nothing can be recorded: %s", e)
            self._disk_problem = str(e)
            return None
        workshop = Workshop(
            root,
            reports=reports,
            enforcer=self._enforcer,
            chunks=chunks,
            room=Room(root, reserve=config.record_reserve, limit=config.record_limit, sealed=chunks.bytes_waiting),
            fd_store=SystemdStore(),
            compress=config.record_compress,
        )
        return Recorder(workshop, SessionOrders(self._enforcer, reports, self._clock))

    def _link(self, reports: Reports, enforcer_back: Bell, orders: SessionOrders) -> ServerLink | None:
        if self._config.enrolment is None:
            return None
        try:
            current = identity.load(self._config.pki_directory)
            identity.require_host(current.certificate, self._config.enrolment.host_id)
        except Misconfigured as e:
            log.error("There is no way to the server: %s", e)
            self._problem = str(e)
            return None
        link = ServerLink(self._config.enrolment.server, current)
        self._renewal = Renewal(self._config.pki_directory, current, link, self._clock)
        self._session = ServerSession(
            link, self._enforcer, reports, self._clock,
            applied=self._changed, enforcer_back=enforcer_back, ordered=orders.hear,
        )  # fmt: skip
        return link

    async def _serve(
        self,
        stack: AsyncExitStack,
        listeners: Listeners,
        reports: Reports | None,
        recorder: Recorder | None,
        link: ServerLink | None,
    ) -> None:
        if recorder is not None:
            # Before the first new session: what is there now is what an earlier run left.
            await recorder.take_up(listeners.kept)
        subject = Subject(
            config=self._config,
            enforcer=self._enforcer,
            clock=self._clock,
            activated=listeners.activated,
            problem=self._problem,
            disk_problem=self._disk_problem,
            state=self._state,
            reports=reports,
            refused=lambda: Refused(0, 0) if recorder is None else recorder.workshop.chunks.refused(),
            expires_at=lambda: None if self._renewal is None else self._renewal.current.not_after,
            renewal_error=lambda: "" if self._renewal is None else self._renewal.error,
        )
        operations = Operations(
            enforcer=self._enforcer,
            server=link,
            reports=reports,
            state=self._state,
            host_name="" if self._config.enrolment is None else self._config.enrolment.host_name,
            examine=Doctor(subject),
            changed=self._changed,
        )
        people = Service(People(operations).serve)
        stack.push_async_callback(people.stop)
        await people.start(listeners.people, limit=MAX_LINE)
        gate = SudoLog(self._enforcer, recorder, server_id=f"jit-agent {__version__}", find_owner=tcp_peer.owner)
        stack.push_async_callback(gate.stop)
        await gate.start(listeners.sudo_log)

    def _state(self) -> LinkState:
        problem = self._problem or self._disk_problem
        return LinkState(error=problem) if self._session is None else self._session.state

    async def _what_was_missing(self, *, disk_missing: bool) -> int:
        """Return once there is an enrolment that was not, or room to record: then starting again is worth it."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = load_or_explain(self._config_path)
            if now.enrolment is None:
                continue
            if now.enrolment != self._config.enrolment or (disk_missing and _can_open(now, now.enrolment)):
                log.info("What was missing is there; starting again")
                return TRY_AGAIN


class WallClock:
    def now_us(self) -> int:
        return time.time_ns() // 1_000


def notify(state: str) -> None:
    """Tell systemd, if it started us."""
    from systemd import daemon

    daemon.notify(state)


def _can_open(config: Config, enrolment: Enrolment) -> bool:
    try:
        Spool(config.spool_path, enrolment.host_id).close()
        Chunks(config.recordings_directory)
    except SpoolUnavailable:
        return False
    return True


async def _stop_signal() -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    return 0


async def _watchdog() -> None:
    """Pings from the event loop, so that a stuck loop is noticed."""
    interval_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    while interval_us:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval_us / 2_000_000)
    await asyncio.Event().wait()


async def _first_status(works: Sequence[Coroutine[Any, Any, object]]) -> int:
    """Run all until one returns a status or fails; what fails here is a bug, and is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        status = next(task for task in tasks if task.done()).result()
        return status if isinstance(status, int) else 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
