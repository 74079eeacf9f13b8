"""The host's stream (SPEC 5): hello, reports up, desired state down; again and again, for the agent's whole life.

Nothing of a stream outlives it.  A new one says hello, sends what the server has not kept, and gets the whole desired
state, so it does not matter where the last one broke.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from jit_agent import __version__, desired, wire
from jit_agent.account_queries import AccountQueries
from jit_agent.changes import Bell, forward
from jit_agent.errors import AgentError, Malformed
from jit_agent.link_state import LinkState
from jit_agent.model import DesiredState, SessionOrder
from jit_agent.ports import Clock, Enforcer
from jit_agent.report_flow import ReportFlow
from jit_agent.reports import Reports
from jit_agent.server_link import ServerLink, failures_as_errors
from jit_agent.text import safe

if TYPE_CHECKING:
    from jit_agent.server_link import ServerMessage, SessionCall

log = logging.getLogger(__name__)

HEARTBEAT_S = 30.0
PROBLEMS_S = 30.0
"""How often the host is looked at for problems; the server hears of them in a new hello."""
MENDED_S = 5.0
"""How often while it has some: people wait for them to go."""
LOOK_AFTER_S = 0.2
IDLE_S = 60.0
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 10.0
LEASE_RETRY_S = 1.0
"""A lease runs out while the server is not heard (SPEC 2.6), so a host that holds one comes back sooner."""
STEADY_S = 5.0
MAX_PROBLEMS = 50

Facts = tuple[str, str, tuple[str, ...]]
"""Boot id, sudo version and problems, as a hello tells them."""


class ServerSession:
    """Keeps one stream open; `applied` rings whenever the desired state was settled, `ordered` hears what is ordered
    about sessions.
    """

    def __init__(
        self,
        link: ServerLink,
        enforcer: Enforcer,
        reports: Reports,
        clock: Clock,
        *,
        applied: Bell,
        enforcer_back: Bell,
        ordered: Callable[[Sequence[SessionOrder]], None],
    ) -> None:
        self._link = link
        self._enforcer = enforcer
        self._reports = reports
        self._clock = clock
        self._applied = applied
        self._enforcer_back = enforcer_back
        self._ordered = ordered
        self._boot_id = ""
        self.state = LinkState()

    async def run(self) -> None:
        """For ever: one stream after the other, with growing, jittered pauses while the server is away."""
        attempt, said = 0, ""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            stream = _Stream(
                self._link, self._enforcer, self._reports, self._clock,
                state=self.state, applied=self._applied, ordered=self._ordered,
            )  # fmt: skip
            stream.boot_id = self._boot_id
            try:
                reason = await stream.run(self._enforcer_back)
            except AgentError as e:
                reason = str(e)
            self._boot_id = stream.boot_id
            if reason != said:
                log.warning("No connection to the server: %s", safe(reason))
                said = reason
            self.state.down(self._clock.now_us(), reason)
            # A stream that was taken and broken off at once is no better than one that was refused.
            attempt = 0 if loop.time() - started >= STEADY_S else attempt + 1
            longest = longest_pause(attempt, lease=await self._holds_lease())
            await asyncio.sleep(random.uniform(longest / 4, longest))  # noqa: S311 (spreads load, guards nothing)

    async def _holds_lease(self) -> bool:
        try:
            return any(grant.not_after < grant.until for grant in (await self._enforcer.status()).live)
        except AgentError:
            return False


def longest_pause(attempt: int, *, lease: bool) -> float:
    """Seconds to wait at most before the next stream, after so many that did not last."""
    longest = min(LAST_RETRY_S, FIRST_RETRY_S * 1.5 ** min(attempt, 10))
    return min(longest, LEASE_RETRY_S) if lease else longest


class _Stream:
    """One stream, from hello to its end."""

    def __init__(
        self, link: ServerLink, enforcer: Enforcer, reports: Reports, clock: Clock, *,
        state: LinkState, applied: Bell, ordered: Callable[[Sequence[SessionOrder]], None],
    ) -> None:  # fmt: skip
        self._link = link
        self._enforcer = enforcer
        self._reports = reports
        self._clock = clock
        self._state = state
        self._applied = applied
        self._ordered = ordered
        self._facts: Facts = ("", "", ())
        self.boot_id = ""
        """What the enforcer last called the boot: in a container our own sandbox may show us the machine's instead."""
        self._desired: DesiredState | None = None
        self._states = 0
        """Desired states heard."""
        self._settled: tuple[int, int] | None = None
        """The newest of them that is settled, and its generation."""
        self._to_send = Bell()
        self._flow = ReportFlow(reports, self._to_send)
        self._to_settle = Bell()
        self._accounts = AccountQueries(self._to_send)

    async def run(self, enforcer_back: Bell) -> str:
        """Until the stream ends; says why, or raises `AgentError`."""
        self._facts = await self._look()
        call = self._link.session()
        try:
            return await _first_to_end(
                self._receive(call),
                self._send(call),
                self._settle(enforcer_back),
                self._flow.keep(),
                forward(self._reports.stored, self._to_send),
                forward(enforcer_back, self._to_settle),
                self._end_when_the_host_changes(),
                self._end_when_the_certificate_changes(),
            )
        finally:
            call.cancel()
            await self._accounts.close()

    async def _receive(self, call: SessionCall) -> str:
        with failures_as_errors():
            async for message in call:
                self._take(message)
        return "the server ended the stream"

    def _take(self, message: ServerMessage) -> None:
        if not self._state.connected:
            self._state.up(self._clock.now_us())
            log.info("Connected to the server")
        match message.WhichOneof("body"):
            case "desired":
                self._desired = wire.parse_desired(message.desired)
                self._states += 1
                self._to_settle.ring()
            case "kept":
                self._flow.hear(message.kept.sequence)
            case "orders":
                self._ordered(wire.parse_orders(message.orders))
            case "account":
                self._accounts.ask(wire.parse_account_query(message.account))
            case "time":
                self._state.skew_us = self._clock.now_us() - wire.parse_server_time(message.time)
            case _:
                raise Malformed("the server says something we do not know")

    async def _send(self, call: SessionCall) -> str:
        boot_id, sudo_version, problems = self._facts
        hello = wire.hello_message(
            boot_id=boot_id,
            now=self._clock.now_us(),
            agent_version=__version__,
            sudo_version=sudo_version,
            spool_id=self._reports.spool_id,
            problems=problems,
        )
        with failures_as_errors():
            await call.write(hello)
            return await self._send_what_comes(call)

    async def _send_what_comes(self, call: SessionCall) -> str:
        """Answers, reports as they are stored, each settled state after its reports, and heartbeats; never returns."""
        told = None
        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + HEARTBEAT_S
        while True:
            seen = self._to_send.count
            # Read before the reports are: what a settled state reported is sent before it is called settled.
            settled = self._settled
            for number, person in self._accounts.answers():
                await call.write(wire.account_message(number, person))
            async with aclosing(self._flow.unsent()) as reports:
                async for sequence, encoded in reports:
                    await call.write(wire.report_message(sequence, encoded))
            if settled is not None and settled != told:
                await call.write(wire.settled_message(settled[1]))
                told = settled
            if loop.time() >= heartbeat_at:
                await call.write(wire.heartbeat_message(self._clock.now_us()))
                heartbeat_at = loop.time() + HEARTBEAT_S
            await self._to_send.wait_beyond(seen, timeout_s=max(0.0, heartbeat_at - loop.time()))

    async def _settle(self, enforcer_back: Bell) -> str:
        """Settle the newest desired state when it comes and when the enforcer came back; again until it is settled."""
        seen, pause, due, mended = 0, FIRST_RETRY_S, False, -1
        while True:
            await self._to_settle.wait_beyond(seen, timeout_s=pause if due else IDLE_S)
            rung, seen = self._to_settle.count > seen, self._to_settle.count
            if self._desired is None or not (due or rung):
                # What rang is heard all the same: a wait that returns at once never lets go of the event loop.
                continue
            back, wanted, state = enforcer_back.count, self._desired, self._states
            try:
                settled = await desired.settle(
                    wanted,
                    self._enforcer,
                    self._reports,
                    # A new stream, an enforcer that was away, a failure: what was done before is not relied on.
                    everything=mended != back,
                    superseded=partial(self._newer_than, state),
                    applied=self._applied.ring,
                )
            except AgentError as e:
                log.warning("Desired state %d is not settled: %s", wanted.generation, safe(str(e)))
                due, mended, pause = True, -1, min(LAST_RETRY_S, pause * random.uniform(1.5, 2))  # noqa: S311 (jitter)
                continue
            if not settled:
                # The newer one has rung already, and is next.
                continue
            due, pause, mended = False, FIRST_RETRY_S, back
            self._settled = state, wanted.generation
            self._applied.ring()
            self._to_send.ring()

    def _newer_than(self, state: int) -> bool:
        return self._states > state

    async def _end_when_the_host_changes(self) -> str:
        """Looks after ends and applied grants too: a host that can no longer keep grants ends or refuses them."""
        seen = self._applied.count
        while await self._look() == self._facts:
            has_problems = bool(self._facts[2])
            await self._applied.wait_beyond(seen, timeout_s=MENDED_S if has_problems else PROBLEMS_S)
            # Many grants come and go together, and one look is enough for them.
            await asyncio.sleep(LOOK_AFTER_S)
            seen = self._applied.count
        return "the host changed"

    async def _end_when_the_certificate_changes(self) -> str:
        await self._link.wait_replaced()
        return "the certificate was renewed"

    async def _look(self) -> Facts:
        try:
            status = await self._enforcer.status()
        except AgentError as e:
            return self.boot_id or await asyncio.to_thread(_boot_id), "", (safe(str(e)),)
        self.boot_id = status.boot_id
        problems = tuple(safe(problem) for problem in status.problems[:MAX_PROBLEMS])
        return status.boot_id, status.sudo_version, problems


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


async def _first_to_end(*works: Coroutine[Any, Any, str]) -> str:
    """Run all until one returns or raises; then stop the others, and return or raise what that one did."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
