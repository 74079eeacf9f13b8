"""SessionService: what sudo ran, for people; what was recorded of it is in `recording_calls`."""

from __future__ import annotations

from jit_protos.v1 import sessions_pb2
from jit_server.rpc import session_wire, wire
from jit_server.rpc.dispatch import Service
from jit_server.rpc.identity import Admission, LoggedIn
from jit_server.rpc.recording_calls import RecordingCalls
from jit_server.services import Services


class SessionService:
    """Turns messages into calls of the sessions service."""

    def __init__(self, services: Services, recordings: RecordingCalls) -> None:
        self._services = services
        self._recordings = recordings

    def service(self, admission: Admission) -> Service[LoggedIn]:
        return Service(
            sessions_pb2.DESCRIPTOR.services_by_name["SessionService"],
            admission.person,
            {
                "ListSessions": self._list_sessions,
                "GetSession": self._get_session,
                "ControlSession": self._control_session,
                "ReadRecording": self._recordings.read,
                "VerifyRecordings": self._recordings.verify,
            },
        )

    async def _list_sessions(
        self, caller: LoggedIn, request: sessions_pb2.ListSessionsRequest
    ) -> sessions_pb2.ListSessionsResponse:
        query, limit = session_wire.session_query(request), wire.listed(request.limit)
        return session_wire.list_message(await self._services.sessions.list_visible(caller.person, query, limit))

    async def _get_session(self, caller: LoggedIn, request: sessions_pb2.SessionRef) -> sessions_pb2.SessionDetails:
        wanted = wire.required(request.session_id, "the id of the session")
        return session_wire.details_message(await self._services.sessions.get(caller.person, wanted))

    async def _control_session(
        self, caller: LoggedIn, request: sessions_pb2.ControlSessionRequest
    ) -> sessions_pb2.Session:
        wanted = wire.required(request.session_id, "the id of the session")
        act = wire.required(request.act, "what to do to the session")
        reason = wire.bounded(request.reason, "the reason", wire.MAX_DECISION_REASON)
        return session_wire.session_message(await self._services.sessions.control(caller.person, wanted, act, reason))
