"""AuditService: events in their one total order, read in pages so that no answer is held in memory as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from jit_protos.v1 import audit_pb2
from jit_server.errors import Unauthenticated
from jit_server.ports import AUDIT, Changes, Clock
from jit_server.rpc import wire
from jit_server.rpc.dispatch import Service
from jit_server.rpc.finishing import finished
from jit_server.rpc.identity import Admission, LoggedIn
from jit_server.rpc.watching import woken
from jit_server.services import Services

PAGE = 500


class AuditService:
    """Turns questions into calls of the audit service."""

    def __init__(self, services: Services, changes: Changes, clock: Clock) -> None:
        self._services = services
        self._changes = changes
        self._clock = clock

    def service(self, admission: Admission) -> Service[LoggedIn]:
        return Service(audit_pb2.DESCRIPTOR.services_by_name["AuditService"], admission.person, {"Query": self._query})

    async def _query(self, caller: LoggedIn, request: audit_pb2.QueryRequest) -> AsyncIterator[audit_pb2.Event]:
        """At most `limit` events; then, to follow, everything that is added, until the caller's certificate ends."""
        query = wire.query(request)
        left = query.limit
        with self._changes.subscribe([AUDIT]) as changed:
            while True:
                # The newest are chosen by one question; everything else can be cut into pages.
                page = query if query.newest else replace(query, limit=min(left, PAGE))
                events = await finished(self._services.audit.query(caller.person, page))
                for recorded in events:
                    yield wire.event_message(recorded)
                    query = replace(query, after=recorded.sequence)
                query = replace(query, newest=False)
                if not request.follow:
                    left -= len(events)
                    if left <= 0 or len(events) < page.limit:
                        return
                elif len(events) < page.limit:
                    await woken(changed)
                    if self._clock.now() >= caller.expires_at:
                        raise Unauthenticated("the client certificate has expired", hint="log in again: jitctl login")
