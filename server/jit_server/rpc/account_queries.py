"""Asking a connected host, over its stream, whose account a name is there (SPEC 9.7)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from jit_protos.v1 import host_pb2
from jit_server.domain.identity import LocalUser
from jit_server.errors import Unavailable
from jit_server.rpc.host_wire import Account, account_query_message

ANSWER_S = 3.0

Say = Callable[[host_pb2.ServerMessage], Awaitable[None]]


class AccountQueries:
    """`ports.Accounts` over the streams of the hosts that are connected to this process."""

    def __init__(self) -> None:
        self._streams: dict[str, Say] = {}
        self._numbers = itertools.count(1)
        self._open: dict[tuple[str, int], asyncio.Future[LocalUser | None]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def of(self, host_id: str, account: str) -> LocalUser | None:
        say = self._streams.get(host_id)
        if say is None:
            raise Unavailable("it is not connected")
        query = next(self._numbers)
        answer: asyncio.Future[LocalUser | None] = asyncio.get_running_loop().create_future()
        self._open[host_id, query] = answer
        self._ask(say, account_query_message(query, account), answer)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            raise Unavailable("it does not answer") from None
        finally:
            del self._open[host_id, query]

    def _ask(self, say: Say, message: host_pb2.ServerMessage, answer: asyncio.Future[LocalUser | None]) -> None:
        """In a task of its own, for a write that is cut in the middle would break the stream."""

        async def ask() -> None:
            await say(message)

        def asked(task: asyncio.Task[None]) -> None:
            self._asking.discard(task)
            # What the stream broke with is told by who serves it.
            if not task.cancelled() and task.exception() is not None and not answer.done():
                answer.set_exception(Unavailable("its connection broke"))

        task = asyncio.create_task(ask())
        self._asking.add(task)
        task.add_done_callback(asked)

    @contextmanager
    def stream(self, host_id: str, say: Say) -> Iterator[None]:
        """Ask over this stream while it is served; a newer one of the same host takes its place."""
        self._streams[host_id] = say
        try:
            yield
        finally:
            if self._streams.get(host_id) is say:
                del self._streams[host_id]

    def hear(self, host_id: str, account: Account) -> None:
        """A host answers; what it was not asked, or no longer, is nothing to anybody."""
        waiting = self._open.get((host_id, account.query))
        if waiting is not None and not waiting.done():
            waiting.set_result(account.user)
