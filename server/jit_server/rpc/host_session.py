"""The one stream of a host (SPEC 5): what it must hold goes down, what it saw comes up.

A host has one stream: a new one replaces the old, whose connection the server may not know to be dead yet.  What the
host is to hold does not wait for what it reports to be stored: a revocation overtakes a thousand reports.  Nor do the
orders about its sessions (SPEC 8.5), which go down beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence

from jit_protos.v1 import host_pb2
from jit_server.domain.identity import HostCaller
from jit_server.domain.report import Hello, Report
from jit_server.domain.session_order import REPEAT_S, Order
from jit_server.errors import Invalid, Unauthenticated, Unavailable
from jit_server.ports import Changes, Clock, Subscription, orders_of
from jit_server.rpc import host_wire, session_wire
from jit_server.rpc.account_queries import AccountQueries
from jit_server.rpc.dispatch import Write
from jit_server.rpc.finishing import finished, first_to_end
from jit_server.rpc.replacing import Newest
from jit_server.rpc.watching import LOOK_AGAIN_S
from jit_server.services import Services
from jit_server.services.delivery import DesiredState

HELLO_S = 30.0
SILENCE_S = 120.0
"""A host sends a heartbeat every 30 s; one that is silent for this long is taken for dead."""

LEAVE_S = 5.0
"""A removed host gets this long to end what it holds."""

AT_ONCE = 20
"""Reports that are stored in one transaction: a host that was away has hundreds, and a revocation that is asked for
meanwhile waits for the one that is under way."""

Messages = AsyncIterator[host_pb2.HostMessage]
_Inbox = asyncio.Queue[host_pb2.HostMessage | None]
"""None: the host has closed its side."""


class HostSessions:
    """All streams of hosts that this process serves."""

    def __init__(self, services: Services, changes: Changes, clock: Clock, accounts: AccountQueries) -> None:
        self._services = services
        self._changes = changes
        self._clock = clock
        self._accounts = accounts
        self._newest = Newest("stream")

    async def serve(self, caller: HostCaller, messages: Messages, write: Write) -> None:
        """Serve one stream until the host ends it, or a newer one of the same host takes its place."""
        hello = await _hello(messages)
        async with self._newest.alone(caller.host_id) as mine:
            with self._changes.subscribe([caller.host_id]) as changed:
                try:
                    kept = await finished(self._services.hosts.hello(caller, hello))
                except Unauthenticated:
                    if await _takes_leave(messages, write):
                        await finished(self._services.delivery.left(caller))
                    raise
                try:
                    await write(host_wire.time_message(self._clock.now()))
                    await write(host_wire.kept_message(kept))
                    with self._changes.subscribe([orders_of(caller.host_id)]) as ordered:
                        exchange = _Exchange(self._services, caller, hello, write, self._accounts)
                        await exchange.run(messages, changed, ordered)
                finally:
                    if self._newest.is_newest(caller.host_id, mine):
                        await finished(self._services.hosts.disconnected(caller))


class _Exchange:
    """What goes to and fro once the host has said who it is."""

    def __init__(
        self, services: Services, caller: HostCaller, hello: Hello, write: Write, accounts: AccountQueries
    ) -> None:
        self._services = services
        self._caller = caller
        self._hello = hello
        self._write = write
        self._accounts = accounts
        self._sent_generation = -1
        self._heard = self._sent = self._now()
        self._renew_at = math.inf
        """When a lease in what was sent last is to be renewed."""
        self._choosing = asyncio.Lock()
        self._saying = asyncio.Lock()

    async def run(self, messages: Messages, changed: Subscription, ordered: Subscription) -> None:
        """Go on until the host closes its side; raises `Unavailable` when it fell silent."""
        with self._accounts.stream(self._caller.host_id, self._say):
            await first_to_end(self._hear(messages), self._tell(changed), self._order(ordered))

    async def _hear(self, messages: Messages) -> None:
        inbox: _Inbox = asyncio.Queue(AT_ONCE)
        await first_to_end(self._receive(messages, inbox), self._take_all(inbox))

    async def _receive(self, messages: Messages, inbox: _Inbox) -> None:
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    message = await _next(messages)
            except TimeoutError:
                raise Unavailable("the host has been silent for too long") from None
            self._heard = self._now()
            await inbox.put(message)
            if message is None:
                # The stream is over once what came before is taken.
                await asyncio.Event().wait()

    async def _take_all(self, inbox: _Inbox) -> None:
        """Take what the host said in order; reports that came meanwhile are kept together."""
        reports: list[Report] = []
        while (message := await inbox.get()) is not None:
            try:
                heard = host_wire.host_message(message)
            except Invalid:
                await self._keep(reports)
                raise
            if isinstance(heard, Report):
                reports.append(heard)
                if len(reports) < AT_ONCE and not inbox.empty():
                    continue
            await self._keep(reports)
            reports = []
            if not isinstance(heard, Report):
                await self._take(heard)
            if self._renewal_due():
                await self._send_desired()
        await self._keep(reports)

    async def _keep(self, reports: Sequence[Report]) -> None:
        if reports:
            delivery = self._services.delivery
            kept = await finished(delivery.record_reports(self._caller, self._hello.spool_id, reports))
            await self._say(host_wire.kept_message(kept))

    async def _tell(self, changed: Subscription) -> None:
        while True:
            await self._send_desired()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await changed.wait()

    async def _order(self, ordered: Subscription) -> None:
        """Say what is ordered about the host's sessions: at first, at each change, also when a watcher falls silent.

        While a watched session is open it is said again and again, for the host freezes it when it hears nothing.
        """
        sent: tuple[Order, ...] | None = None
        while True:
            orders = await finished(self._services.sessions.orders(self._caller))
            if orders.orders != sent or orders.repeat:
                await self._say(session_wire.orders_message(orders))
                sent = orders.orders
            pause = min(
                LOOK_AGAIN_S if orders.look_again_s is None else orders.look_again_s,
                REPEAT_S if orders.repeat else LOOK_AGAIN_S,
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await ordered.wait()

    async def _take(self, heard: Hello | host_wire.Settled | host_wire.Heartbeat | host_wire.Account) -> None:
        match heard:
            case host_wire.Heartbeat(now):
                await finished(self._services.hosts.seen(self._caller, now))
            case host_wire.Settled(generation):
                await finished(self._services.delivery.settled(self._caller, generation))
            case host_wire.Account() as account:
                self._accounts.hear(self._caller.host_id, account)
            case Hello():
                raise Invalid("the host said hello twice")

    async def _send_desired(self) -> None:
        """Send the whole set if it is another than the last one sent (SPEC 5.2), or a lease in it is to be renewed."""
        delivery = self._services.delivery
        async with self._choosing:
            same = await finished(delivery.generation(self._caller)) == self._sent_generation
            if same and not self._renewal_due():
                return
            desired = await finished(delivery.desired_state(self._caller, self._hello.boot_id))
            self._sent = self._now()
            self._renew_at = math.inf if desired.renew_in_s is None else self._sent + desired.renew_in_s
            await self._say(host_wire.desired_message(desired))
            self._sent_generation = desired.generation

    async def _say(self, message: host_pb2.ServerMessage) -> None:
        async with self._saying:
            await self._write(message)

    def _renewal_due(self) -> bool:
        """Whether a lease is to be renewed: only for a host that has said something since it was last sent one."""
        return self._renew_at <= self._now() and self._heard > self._sent

    def _pause(self) -> float:
        """How long to wait for a change, in seconds; a renewal that is late waits for the host's next message."""
        left = self._renew_at - self._now()
        return min(LOOK_AGAIN_S, left) if left > 0 else LOOK_AGAIN_S

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _hello(messages: Messages) -> Hello:
    try:
        async with asyncio.timeout(HELLO_S):
            first = await _next(messages)
    except TimeoutError:
        raise Unavailable("the host did not say hello") from None
    match None if first is None else host_wire.host_message(first):
        case Hello() as hello:
            return hello
        case _:
            raise Invalid("the host's stream must begin with hello")


async def _takes_leave(messages: Messages, write: Write) -> bool:
    """A removed host holds nothing of ours (S1): give it the empty set, and time to act on it before it is refused.

    Returns whether it has settled it.
    """
    await write(host_wire.desired_message(DesiredState(0, ())))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_S):
            while (message := await _next(messages)) is not None:
                if message.WhichOneof("body") == "settled":
                    return True
    return False


async def _next(messages: Messages) -> host_pb2.HostMessage | None:
    """The next message, or None when the host has closed its side."""
    return await anext(messages, None)
