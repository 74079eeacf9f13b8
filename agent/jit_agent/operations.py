"""What each request of the local socket does (SPEC 4.2).

A person acts for themselves and nobody else; root inside a grant's scope may look at that grant and end it; any other
root may only ask the doctor.  Ending needs no server (S6), and `in_force` is the enforcer's word, never the server's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from jit_agent.changes import Bell
from jit_agent.doctor import Doctor as Examine
from jit_agent.errors import AgentError, EnforcerRefused, EnforcerUnavailable, ServerUnavailable, SpoolUnavailable
from jit_agent.link_state import LinkState
from jit_agent.model import DropAsked, LiveGrant, Person, Proof
from jit_agent.peer import Caller, Root, RootInScope
from jit_agent.people_requests import (
    Cancel,
    Doctor,
    Drop,
    ListRoles,
    MakeRequest,
    MfaBegin,
    MfaConfirm,
    PeopleRequest,
    Plan,
    Status,
    Wait,
)
from jit_agent.ports import Enforcer, Json, Server
from jit_agent.reports import Reports
from jit_agent.text import safe

log = logging.getLogger(__name__)

IDLE_S = 10.0
LOOK_S = 1.0
MAX_REQUESTS_SIZE = 786_432
"""Bytes of JSON that the requests of a status may have: the 1 MiB of an answer less what its grants may take."""
GIVE_UP_S = 30.0
"""How long `wait` tries to reach a server that has not answered it once."""
_HOPELESS_REQUEST = frozenset({"denied", "cancelled", "lapsed"})
_HOPELESS_GRANT = frozenset({"ending", "ended", "unconfirmed", "refused"})


class Operations:
    """`server` and `reports` are None on a host that is not enrolled, or whose spool cannot be opened."""

    def __init__(
        self,
        *,
        enforcer: Enforcer,
        server: Server | None,
        reports: Reports | None,
        state: Callable[[], LinkState],
        host_name: str,
        examine: Examine,
        changed: Bell,
    ) -> None:
        self._enforcer = enforcer
        self._server = server
        self._reports = reports
        self._state = state
        self._host_name = host_name
        self._examine = examine
        self._changed = changed

    async def perform(self, who: Caller, request: PeopleRequest) -> AsyncGenerator[Json, None]:
        """The answer lines; raises `AgentError` for a refusal."""
        match request, who:
            case Doctor(), _:
                yield {"ok": True, "checks": [check.as_json() for check in await self._examine.checks()]}
            case Drop(), Person() | RootInScope():
                yield {"ok": True, "dropped": await self._drop(who, request.grant)}
            case Status(), Person() | RootInScope():
                yield await self._status(who, include_over=request.include_over)
            case Wait(), Person():
                async with aclosing(self._wait(who, request.request)) as lines:
                    async for line in lines:
                        yield line
            case _, Person():
                yield await self._for_person(who, request)
            case _, RootInScope():
                raise AgentError("inside an elevated session only status, drop and doctor work", code="denied")
            case _, Root():
                raise AgentError("root asks for nothing here", code="denied", hint="run jit as yourself")

    async def _for_person(self, person: Person, request: PeopleRequest) -> Json:
        match request:
            case Plan():
                return await self._plan(person, request)
            case ListRoles():
                return {"ok": True, **await self._require_server().plan(person, None, "")}
            case MakeRequest():
                made = await self._require_server().create_request(
                    person,
                    request.ask,
                    role=request.role,
                    duration_s=request.duration_s,
                    reason=request.reason,
                    ticket=request.ticket,
                    otp=request.otp,
                )
                return {"ok": True, "request": made}
            case Cancel():
                return {"ok": True, "request": await self._require_server().cancel_request(person, request.request)}
            case MfaBegin():
                return {"ok": True, **await self._require_server().begin_totp(person, request.token)}
            case MfaConfirm():
                await self._require_server().confirm_totp(person, request.token, request.otp)
                return {"ok": True}
            case _:
                raise AgentError("the request asks for nothing the agent knows", code="usage")

    async def _plan(self, person: Person, request: Plan) -> Json:
        """A live grant decides on the host, without the server; the one that lives longest is shown."""
        try:
            live = [grant for grant in await self._live(person) if grant.covers(request.ask)]
        except EnforcerUnavailable:
            # Without the enforcer nothing is in force that could be used; what may be asked for is still worth showing.
            live = []
        live = [grant for grant in live if request.role in ("", grant.role)]
        if live:
            best = max(live, key=lambda grant: grant.not_after)
            return {"ok": True, "live": best.as_json(), "choices": [], "refusals": [], "mfa_enrolled": True}
        plan = await self._require_server().plan(person, request.ask, request.role)
        return {"ok": True, "live": None, **plan}

    async def _status(self, who: Person | RootInScope, *, include_over: bool) -> Json:
        state = self._state()
        answer: Json = {
            "ok": True,
            "host": self._host_name,
            "server": {"connected": state.connected, "error": safe(state.error)},
            "enforcer": {"connected": True, "error": ""},
            "live": [],
            "requests": [],
        }
        try:
            answer["live"] = [grant.as_json() for grant in await self._live(who)]
        except EnforcerUnavailable as e:
            answer["enforcer"] = {"connected": False, "error": safe(str(e))}
        if isinstance(who, Person) and self._server is not None:
            try:
                answer["requests"] = _fitting(await self._server.list_mine(who, include_over=include_over))
            except ServerUnavailable as e:
                answer["server"] = {"connected": False, "error": safe(str(e))}
            except AgentError as e:
                # What is in force is told nevertheless: who wants to give it back looks here first (S6).
                if not answer["live"]:
                    raise
                answer["server"] = {"connected": state.connected, "error": safe(str(e))}
        return answer

    async def _drop(self, who: Person | RootInScope, wanted: str) -> list[Json]:
        """The enforcer first: a right that is given back is gone before anybody is told (S6)."""
        live = [g for g in await self._live(who) if not wanted or _names(wanted, g.grant_id)]
        if wanted and not live:
            raise AgentError(f"you have no live grant {wanted[:40]!a} here", code="not_found", hint="see: jit status")
        if wanted and len(live) > 1:
            raise AgentError(f"{wanted[:40]!a} names {len(live)} grants", code="usage", hint="type more of the id")
        proofs = []
        for grant in live:
            proof = await self._end(grant)
            self._changed.ring()
            await self._report_drop(grant)
            if proof is None:
                raise AgentError("the end of the grant is not proved yet", code="try_again", hint="see: jit status")
            proofs.append(proof.as_json())
        return proofs

    async def _end(self, grant: LiveGrant) -> Proof | None:
        try:
            return await self._enforcer.end(grant.grant_id, "dropped")
        except EnforcerRefused as e:
            # Not a refusal to end, which there is none of, but to call an end proved; it goes on trying.
            log.warning("The end of %s is not proved yet: %s", grant.grant_id, e)
            return None

    async def _report_drop(self, grant: LiveGrant) -> None:
        if self._reports is None:
            return
        try:
            await self._reports.drop_asked(grant.grant_id, DropAsked(Person(grant.uid, grant.user)))
        except SpoolUnavailable as e:
            # The end itself stays with the enforcer until it is stored; only who asked for it is lost.
            log.error("A drop cannot be reported: %s", e)

    async def _wait(self, person: Person, request_id: str) -> AsyncGenerator[Json, None]:
        """Lines until the request is in force here or never will be; a server that restarts is waited for."""
        watch = _Watch(self._require_server(), person, request_id, self._changed)
        task = asyncio.create_task(watch.run())
        loop = asyncio.get_running_loop()
        said, said_at = None, loop.time()
        try:
            while True:
                # Both are read before the look, so what happens meanwhile is looked at once more.
                seen, ended = self._changed.count, task.done()
                line = await self._line(watch)
                if line is not None and line != said:
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
                await self._changed.wait_beyond(seen, timeout_s=LOOK_S)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _line(self, watch: _Watch) -> Json | None:
        request = watch.request
        if request is None:
            return None
        in_force = False
        if request["grant"] is not None and request["grant"]["state"] not in _HOPELESS_GRANT:
            try:
                live = {grant.grant_id for grant in await self._live(watch.person)}
            except EnforcerUnavailable:
                live = set()
            in_force = request["grant"]["grant_id"] in live
        return {"ok": True, "request": request, "in_force": in_force}

    async def _live(self, who: Person | RootInScope) -> list[LiveGrant]:
        live = (await self._enforcer.status()).live
        if isinstance(who, RootInScope):
            return [grant for grant in live if grant.grant_id == who.grant_id]
        return [grant for grant in live if grant.uid == who.uid]

    def _require_server(self) -> Server:
        if self._server is None:
            raise AgentError(self._state().error, code="unavailable", hint="see: jit doctor")
        return self._server


class _Watch:
    """The newest word of the server about one request; keeps asking while the server is away."""

    def __init__(self, server: Server, person: Person, request_id: str, changed: Bell) -> None:
        self._server = server
        self.person = person
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
                    async for request in self._server.watch_request(self.person, self._request_id):
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


def _fitting(requests: list[Json]) -> list[Json]:
    """The same requests; raises `AgentError` when one answer (SPEC 4.1) cannot hold them beside the grants."""
    size = len(json.dumps(requests, separators=(",", ":")))
    if size > MAX_REQUESTS_SIZE:
        raise AgentError(
            f"your {len(requests)} requests here are {size} bytes long, the limit is {MAX_REQUESTS_SIZE}",
            code="invalid",
            hint="jitctl requests ls shows them, jitctl requests cancel takes some back",
        )
    return requests


def _names(wanted: str, grant_id: str) -> bool:
    return grant_id.startswith(wanted) or grant_id.removeprefix("gnt-").startswith(wanted)


def _hopeless(request: Json) -> bool:
    """It is not in force and never will be."""
    grant = request["grant"]
    return request["state"] in _HOPELESS_REQUEST or (grant is not None and grant["state"] in _HOPELESS_GRANT)
