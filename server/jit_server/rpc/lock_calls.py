"""The calls of PeopleService about locks and alerts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jit_protos.v1 import people_pb2
from jit_server.rpc import lock_wire, wire
from jit_server.rpc.identity import LoggedIn
from jit_server.services import Services
from jit_server.services.locks import NewLock


class LockCalls:
    """Turns messages into calls of the lock and alert services."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def handlers(self) -> Mapping[str, Callable[[LoggedIn, Any], Awaitable[object]]]:
        return {
            "CreateLock": self._create_lock,
            "LiftLock": self._lift_lock,
            "ListLocks": self._list_locks,
            "ListAlerts": self._list_alerts,
        }

    async def _create_lock(self, caller: LoggedIn, request: people_pb2.CreateLockRequest) -> people_pb2.Lock:
        wanted = NewLock(
            kind=wire.required(request.kind, "what to lock"),
            target=wire.required(request.target, "the name of what to lock"),
            reason=wire.bounded(request.reason, "the reason", wire.MAX_DECISION_REASON),
            duration_s=request.duration_s,
        )
        return lock_wire.lock_message(await self._services.locks.create(caller.person, wanted))

    async def _lift_lock(self, caller: LoggedIn, request: people_pb2.LockRef) -> people_pb2.Lock:
        wanted = wire.required(request.lock_id, "the id of the lock")
        reason = wire.bounded(request.reason, "the reason", wire.MAX_DECISION_REASON)
        return lock_wire.lock_message(await self._services.locks.lift(caller.person, wanted, reason))

    async def _list_locks(self, caller: LoggedIn, request: people_pb2.ListLocksRequest) -> people_pb2.ListLocksResponse:
        locks = await self._services.locks.list_visible(caller.person, over_too=request.all)
        return people_pb2.ListLocksResponse(locks=[lock_wire.lock_message(lock) for lock in locks])

    async def _list_alerts(self, caller: LoggedIn, _: people_pb2.ListAlertsRequest) -> people_pb2.ListAlertsResponse:
        alerts = await self._services.alerts.list_visible(caller.person)
        return people_pb2.ListAlertsResponse(alerts=[lock_wire.alert_message(alert) for alert in alerts])
