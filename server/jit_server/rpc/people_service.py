"""PeopleService: what people ask, decide and give back; the person is who their certificate says."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jit_protos.v1 import common_pb2, people_pb2
from jit_server.errors import NotFound, Unauthenticated
from jit_server.ports import REQUESTS, Changes, Clock
from jit_server.rpc import wire
from jit_server.rpc.dispatch import Service
from jit_server.rpc.finishing import finished
from jit_server.rpc.identity import Admission, LoggedIn
from jit_server.rpc.lock_calls import LockCalls
from jit_server.rpc.watching import is_final, woken
from jit_server.services import Services


class PeopleService:
    """Turns messages into calls of the request and grant services."""

    def __init__(self, services: Services, changes: Changes, clock: Clock) -> None:
        self._services = services
        self._changes = changes
        self._clock = clock

    def service(self, admission: Admission) -> Service[LoggedIn]:
        return Service(
            people_pb2.DESCRIPTOR.services_by_name["PeopleService"],
            admission.person,
            {
                "WhoAmI": self._who_am_i,
                "ListRequests": self._list_requests,
                "GetRequest": self._get_request,
                "WatchRequests": self._watch_requests,
                "Approve": self._approve,
                "Deny": self._deny,
                "Cancel": self._cancel,
                "ListGrants": self._list_grants,
                "GetGrant": self._get_grant,
                "Revoke": self._revoke,
                "Drop": self._drop,
                **LockCalls(self._services).handlers(),
            },
        )

    async def _who_am_i(self, caller: LoggedIn, _: people_pb2.WhoAmIRequest) -> people_pb2.WhoAmIResponse:
        return wire.who_am_i_message(await self._services.people.whoami(caller.person), caller.expires_at)

    async def _list_requests(
        self, caller: LoggedIn, request: people_pb2.ListRequestsRequest
    ) -> people_pb2.ListRequestsResponse:
        views = await self._services.requests.list_visible(
            caller.person, wire.request_states(request.states), wire.listed(request.limit)
        )
        return people_pb2.ListRequestsResponse(requests=[wire.request_message(view) for view in views])

    async def _get_request(self, caller: LoggedIn, request: people_pb2.RequestRef) -> common_pb2.Request:
        wanted = wire.required(request.request_id, "the id of the request")
        return wire.request_message(await self._services.requests.get(caller.person, wanted))

    async def _watch_requests(
        self, caller: LoggedIn, _: people_pb2.WatchRequestsRequest
    ) -> AsyncIterator[common_pb2.Request]:
        """Pending requests, then each change of one, until the caller's certificate ends."""
        followed: dict[str, bytes] = {}
        with self._changes.subscribe([REQUESTS]) as changed:
            while True:
                for message in await finished(self._look(caller, frozenset(followed))):
                    state = message.SerializeToString(deterministic=True)
                    if followed.get(message.request_id) != state:
                        yield message
                    if is_final(message):
                        followed.pop(message.request_id, None)
                    else:
                        followed[message.request_id] = state
                await woken(changed)
                if self._clock.now() >= caller.expires_at:
                    raise Unauthenticated("the client certificate has expired", hint="log in again: jitctl login")

    async def _look(self, caller: LoggedIn, followed: frozenset[str]) -> list[common_pb2.Request]:
        """What is pending, oldest first, and what was pending when the stream last looked."""
        pending = await self._services.requests.list_visible(caller.person, limit=wire.MAX_LISTED)
        views = list(reversed(pending))
        for request_id in sorted(followed - {view.request.request_id for view in pending}):
            try:
                views.append(await self._services.requests.get(caller.person, request_id))
            except NotFound:  # A change of policy took it out of the caller's sight.
                continue
        return [wire.request_message(view) for view in views]

    async def _approve(self, caller: LoggedIn, request: people_pb2.DecideRequest) -> common_pb2.Request:
        wanted = wire.required(request.request_id, "the id of the request")
        reason = wire.bounded(request.reason, "the reason", wire.MAX_DECISION_REASON)
        return wire.request_message(await self._services.decisions.approve(caller.person, wanted, reason))

    async def _deny(self, caller: LoggedIn, request: people_pb2.DecideRequest) -> common_pb2.Request:
        wanted = wire.required(request.request_id, "the id of the request")
        reason = wire.bounded(request.reason, "the reason", wire.MAX_DECISION_REASON)
        return wire.request_message(await self._services.decisions.deny(caller.person, wanted, reason))

    async def _cancel(self, caller: LoggedIn, request: people_pb2.RequestRef) -> common_pb2.Request:
        wanted = wire.required(request.request_id, "the id of the request")
        return wire.request_message(await self._services.requests.cancel(caller.person, wanted))

    async def _list_grants(
        self, caller: LoggedIn, request: people_pb2.ListGrantsRequest
    ) -> people_pb2.ListGrantsResponse:
        views = await self._services.grants.list_visible(
            caller.person, wire.grant_states(request.states), wire.listed(request.limit)
        )
        return people_pb2.ListGrantsResponse(grants=[wire.grant_message(view) for view in views])

    async def _get_grant(self, caller: LoggedIn, request: people_pb2.GrantRef) -> common_pb2.Grant:
        wanted = wire.required(request.grant_id, "the id of the grant")
        return wire.grant_message(await self._services.grants.get(caller.person, wanted))

    async def _revoke(self, caller: LoggedIn, request: people_pb2.RevokeRequest) -> common_pb2.Grant:
        wanted = wire.required(request.grant_id, "the id of the grant")
        reason = wire.bounded(request.reason, "the reason", wire.MAX_DECISION_REASON)
        return wire.grant_message(await self._services.grants.revoke(caller.person, wanted, reason))

    async def _drop(self, caller: LoggedIn, request: people_pb2.GrantRef) -> common_pb2.Grant:
        wanted = wire.required(request.grant_id, "the id of the grant")
        return wire.grant_message(await self._services.grants.drop(caller.person, wanted))
