"""`wait` of the local socket (SPEC 4.2): from a request to its grant in force here, over restarts of the server.

`in_force` is the enforcer's word, never the server's; only of a request for several hosts it is what these told it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from jit_agent.changes import Bell
from jit_agent.errors import AgentError, EnforcerUnavailable, ServerUnavailable
from jit_agent.model import LiveGrant, Person
from jit_agent.ports import Json, Server

IDLE_S = 10.0
LOOK_S = 1.0
GIVE_UP_S = 30.0
"""How long a server that has not answered once is tried."""
_HOPELESS_REQUEST = frozenset({"denied", "cancelled", "lapsed"})
_HOPELESS_GRANT = frozenset({"ending", "ended", "unconfirmed", "refused"})

Live = Callable[[], Awaitable[Sequence[LiveGrant]]]


async def lines(
    server: Server, person: Person, request_id: str, *, live: Live, changed: Bell, only_extending: str = ""
) -> AsyncGenerator[Json, None]:
    """Lines until the request is in force here or never will be; empty ones while nothing happens.

    `live` tells the grants in force; `only_extending`: nothing is told of a request that does not extend this grant.
    Raises `AgentError` when the server refuses, or never answered.
    """
    watch = _Watch(server, person, request_id, changed)
    task = asyncio.create_task(watch.run())
    loop = asyncio.get_running_loop()
    said, said_at = None, loop.time()
    try:
        while True:
            # Both are read before the look, so what happens meanwhile is looked at once more.
            seen, ended = changed.count, task.done()
            line = await _line(watch.request, live)
            if line is not None and line != said:
                if only_extending and line["request"]["extends"] != only_extending:
                    raise AgentError("this request is not about the grant you are in", code="denied")
                said, said_at = line, loop.time()
                yield line
                if line["in_force"] or _hopeless(line["request"]):
                    return
            elif loop.time() - said_at >= IDLE_S:
                said_at = loop.time()
                yield {}
            if ended:
                task.result()
                raise ServerUnavailable("the server ended the wait before the request was decided")
            # The enforcer's state also changes without a bell, when somebody else spoke to it.
            await changed.wait_beyond(seen, timeout_s=LOOK_S)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _line(request: Json | None, live: Live) -> Json | None:
    if request is None:
        return None
    in_force = False
    if request["batch"]:
        in_force = _in_force_everywhere(request)
    elif request["state"] == "approved" and request["grant"] is not None and not _hopeless(request):
        try:
            in_force = _in_force(request, await live())
        except EnforcerUnavailable:
            # Nothing is in force that anybody could use.
            in_force = False
    return {"ok": True, "request": request, "in_force": in_force}


def _in_force(request: Json, live: Sequence[LiveGrant]) -> bool:
    """An extension is once the host promises the new end, a grant once it is there."""
    promised = request["grant"]["not_after"] if request["extends"] else 0
    return any(grant.grant_id == request["grant"]["grant_id"] and grant.until >= promised for grant in live)


def _in_force_everywhere(request: Json) -> bool:
    """Of a request for several hosts it is the hosts' word to the server, for each that has not come to nothing."""
    under_way = [host for host in request["batch"] if not _over(host)]
    return bool(under_way) and all(host["grant_state"] == "active" for host in under_way)


def _over(host: Json) -> bool:
    if not host["request_id"]:
        return True
    return host["state"] in _HOPELESS_REQUEST or host["grant_state"] in _HOPELESS_GRANT


def _hopeless(request: Json) -> bool:
    """It is not in force and never will be."""
    if request["batch"]:
        return all(_over(host) for host in request["batch"])
    grant = request["grant"]
    return request["state"] in _HOPELESS_REQUEST or (grant is not None and grant["state"] in _HOPELESS_GRANT)


class _Watch:
    """The newest word of the server about one request; keeps asking while the server is away."""

    def __init__(self, server: Server, person: Person, request_id: str, changed: Bell) -> None:
        self._server = server
        self._person = person
        self._request_id = request_id
        self._changed = changed
        self.request: Json | None = None

    async def run(self) -> None:
        """Until the request can change no more; raises `AgentError` when the server refuses, or never answered."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + GIVE_UP_S
        try:
            while True:
                try:
                    async for request in self._server.watch_request(self._person, self._request_id):
                        self.request = request
                        # A prefix may name something else later; from now on it is this request.
                        self._request_id = request["request_id"]
                        self._changed.ring()
                    if self.request is not None and _hopeless(self.request):
                        return
                except ServerUnavailable:
                    if self.request is None and loop.time() >= give_up_at:
                        raise
                await asyncio.sleep(random.uniform(0.3, 1.5))  # noqa: S311 (spreads load, guards nothing)
        finally:
            self._changed.ring()
