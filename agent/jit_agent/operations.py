"""What each request of the local socket does (SPEC 4.2).

A person acts for themselves and nobody else; root inside a grant's scope may look at that grant, end it and extend it,
in its owner's name (REVIEW 14); any other root may only ask the doctor.  Ending needs no server (S6).
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

from jit_agent import session_log, waiting
from jit_agent.changes import Bell
from jit_agent.doctor import Doctor as Examine
from jit_agent.errors import AgentError, EnforcerRefused, EnforcerUnavailable, ServerUnavailable, SpoolUnavailable
from jit_agent.link_state import LinkState
from jit_agent.model import Extension, LiveGrant, Login, NewRequest, Person, Proof
from jit_agent.peer import Caller, Root, RootInScope
from jit_agent.people_requests import (
    Cancel,
    Doctor,
    Drop,
    Extend,
    ListEligibilities,
    ListRoles,
    Log,
    MakeRequest,
    MfaBegin,
    MfaConfirm,
    PeopleRequest,
    Plan,
    Renew,
    Status,
    Wait,
)
from jit_agent.ports import Enforcer, Json, Server
from jit_agent.report_model import DropAsked
from jit_agent.reports import Reports
from jit_agent.text import safe

log = logging.getLogger(__name__)

MAX_REQUESTS_SIZE = 786_432
"""Bytes of JSON that the requests of a status may have: the 1 MiB of an answer less what its grants may take."""

Somebody = Login | RootInScope


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
                session = who.session if isinstance(who, Login) else None
                yield {"ok": True, "checks": [check.as_json() for check in await self._examine.checks(session)]}
            case Drop(), Login() | RootInScope():
                yield {"ok": True, "dropped": await self._drop(who, request.grant)}
            case Extend(), Login() | RootInScope():
                yield {"ok": True, "request": await self._extend(who, request)}
            case Status(), Login() | RootInScope():
                yield await self._status(who, include_over=request.include_over)
            case Wait(), Login() | RootInScope():
                async with aclosing(await self._wait(who, request.request)) as lines:
                    async for line in lines:
                        yield line
            case _, Login():
                yield await self._for_person(who, request)
            case _, RootInScope():
                raise AgentError("inside an elevated session only status, extend, drop and doctor work", code="denied")
            case _, Root():
                raise AgentError("root asks for nothing here", code="denied", hint="run jit as yourself")

    async def _for_person(self, who: Login, request: PeopleRequest) -> Json:
        person = who.person
        match request:
            case Plan():
                return await self._plan(who, request)
            case ListRoles():
                return {"ok": True, **await self._require_server().plan(who, None, "")}
            case MakeRequest():
                made = await self._require_server().create_request(person, _new(request, who))
                return {"ok": True, "request": made}
            case ListEligibilities():
                return {"ok": True, **await self._require_server().list_my_eligibilities(person)}
            case Renew():
                return {"ok": True, "renewal": await self._require_server().renew(person, request.role, request.reason)}
            case Cancel():
                return {"ok": True, "request": await self._require_server().cancel_request(person, request.request)}
            case Log():
                server = self._require_server()
                if request.session:
                    return {"ok": True, **await session_log.one(server, person, request.session)}
                return {"ok": True, **await session_log.newest(server, person, request.limit)}
            case MfaBegin():
                return {"ok": True, **await self._require_server().begin_totp(person, request.token)}
            case MfaConfirm():
                await self._require_server().confirm_totp(person, request.token, request.otp)
                return {"ok": True}
            case _:
                raise AgentError("the request asks for nothing the agent knows", code="usage")

    async def _plan(self, who: Login, request: Plan) -> Json:
        """A live grant decides on the host, without the server; the one that lives longest is shown."""
        try:
            live = [grant for grant in await self._live(who) if grant.covers(request.ask, who.session)]
        except EnforcerUnavailable:
            # Without the enforcer nothing is in force that could be used; what may be asked for is still worth showing.
            live = []
        live = [grant for grant in live if request.role in ("", grant.role)]
        if live:
            best = max(live, key=lambda grant: grant.until)
            return {"ok": True, "live": best.as_json(), "choices": [], "refusals": [], "mfa_enrolled": True}
        plan = await self._require_server().plan(who, request.ask, request.role)
        return {"ok": True, "live": None, **plan}

    async def _status(self, who: Somebody, *, include_over: bool) -> Json:
        state = self._state()
        answer: Json = {
            "ok": True,
            "host": self._host_name,
            "server": _server(state, state.error),
            "enforcer": {"connected": True, "error": ""},
            "live": [],
            "requests": [],
        }
        try:
            answer["live"] = [grant.as_json() for grant in await self._live(who)]
        except EnforcerUnavailable as e:
            answer["enforcer"] = {"connected": False, "error": safe(str(e))}
        if isinstance(who, Login) and self._server is not None:
            try:
                answer["requests"] = _fitting(await self._server.list_mine(who.person, include_over=include_over))
            except ServerUnavailable as e:
                answer["server"] = _server(state, str(e)) | {"connected": False}
            except AgentError as e:
                # What is in force is told nevertheless: who wants to give it back looks here first (S6).
                if not answer["live"]:
                    raise
                answer["server"] = _server(state, str(e))
        return answer

    async def _drop(self, who: Somebody, wanted: str) -> list[Json]:
        """The enforcer first: a right that is given back is gone before anybody is told (S6)."""
        live = await self._live(who)
        if wanted:
            live = [_named(live, wanted)]
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

    async def _extend(self, who: Somebody, request: Extend) -> Json:
        """The owner's policy decides on the server; which grant is meant is decided here, where it lives."""
        server = self._require_server()
        grant = _named(await self._live(who), request.grant)
        extension = Extension(
            grant.grant_id, duration_s=request.duration_s, reason=request.reason, ticket=request.ticket, otp=request.otp
        )
        return await server.extend_grant(_owner(who, grant), extension)

    async def _wait(self, who: Somebody, request_id: str) -> AsyncGenerator[Json, None]:
        """As the person, or, inside a grant's scope, for what extends that grant."""
        only = "" if isinstance(who, Login) else who.grant_id
        person = who.person if isinstance(who, Login) else _owner(who, _named(await self._live(who), ""))
        live = partial(self._live, who)
        return waiting.lines(
            self._require_server(), person, request_id, live=live, changed=self._changed, only_extending=only
        )

    async def _live(self, who: Somebody) -> list[LiveGrant]:
        live = (await self._enforcer.status()).live
        if isinstance(who, RootInScope):
            return [grant for grant in live if grant.grant_id == who.grant_id]
        return [grant for grant in live if grant.uid == who.person.uid]

    def _require_server(self) -> Server:
        if self._server is None:
            raise AgentError(self._state().error, code="unavailable", hint="see: jit doctor")
        return self._server


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


def _new(request: MakeRequest, who: Login) -> NewRequest:
    """What the server is asked; raises `AgentError` for a login session that the kernel does not know."""
    if request.this_session and not who.session:
        raise AgentError(
            "this host does not track login sessions, or no login started this one",
            code="config",
            hint="ask without --this-session; jit doctor says more",
        )
    return NewRequest(
        role=request.role,
        ask=request.ask,
        duration_s=request.duration_s,
        reason=request.reason,
        ticket=request.ticket,
        otp=request.otp,
        once=request.once,
        session=who.session if request.this_session else 0,
        starts_at=request.starts_at,
        arrival=who.arrival,
        hosts=request.hosts,
        dry_run=request.dry_run,
    )


def _server(state: LinkState, error: str) -> Json:
    return {"connected": state.connected, "error": safe(error), "since": state.since}


def _owner(who: Somebody, grant: LiveGrant) -> Person:
    return who.person if isinstance(who, Login) else Person(grant.uid, grant.user)


def _named(live: Sequence[LiveGrant], wanted: str) -> LiveGrant:
    """The one grant that an id or a prefix of one names, or that there is; raises `AgentError`."""
    found = [g for g in live if g.grant_id.startswith(wanted) or g.grant_id.removeprefix("gnt-").startswith(wanted)]
    if not found:
        what = f"grant {wanted[:40]!a}" if wanted else "grant"
        raise AgentError(f"you have no live {what} here", code="not_found", hint="see: jit status")
    if len(found) > 1:
        names = f"{wanted[:40]!a} names {len(found)} grants" if wanted else f"you have {len(found)} live grants here"
        raise AgentError(names, code="usage", hint="type more of the id")
    return found[0]
