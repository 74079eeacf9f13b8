"""HostService: what a host asks for the people on it, and its certificate.  Its streams are in `host_session` and
`recording_uploads`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jit_protos.v1 import common_pb2, host_pb2, sessions_pb2
from jit_server.domain.identity import HostCaller
from jit_server.ports import Changes
from jit_server.rpc import host_wire, session_wire, wire
from jit_server.rpc.access import MAX_CSR
from jit_server.rpc.dispatch import Service
from jit_server.rpc.eligibility_calls import EligibilityCalls
from jit_server.rpc.finishing import finished
from jit_server.rpc.host_session import HostSessions
from jit_server.rpc.identity import Admission
from jit_server.rpc.recording_uploads import RecordingUploads
from jit_server.rpc.watching import is_final, woken
from jit_server.services import Services


class HostService:
    """Turns messages of hosts into calls of the services."""

    def __init__(self, services: Services, changes: Changes, sessions: HostSessions, uploads: RecordingUploads) -> None:
        self._services = services
        self._changes = changes
        self._sessions = sessions
        self._uploads = uploads

    def service(self, admission: Admission) -> Service[HostCaller]:
        return Service(
            host_pb2.DESCRIPTOR.services_by_name["HostService"],
            admission.host,
            {
                "Session": self._sessions.serve,
                "Record": self._uploads.serve,
                "RenewCertificate": self._renew_certificate,
                "Plan": self._plan,
                "CreateRequest": self._create_request,
                "WatchRequest": self._watch_request,
                "CancelRequest": self._cancel_request,
                "ExtendGrant": self._extend_grant,
                "ListMine": self._list_mine,
                "ListMySessions": self._list_my_sessions,
                "GetMySession": self._get_my_session,
                "BeginTotp": self._begin_totp,
                "ConfirmTotp": self._confirm_totp,
                **EligibilityCalls(self._services).local_handlers(),
            },
        )

    async def _renew_certificate(
        self, caller: HostCaller, request: host_pb2.RenewCertificateRequest
    ) -> host_pb2.RenewCertificateResponse:
        csr = wire.required(request.csr, "the certificate request", MAX_CSR)
        renewed = await self._services.hosts.renew(caller, csr)
        return host_pb2.RenewCertificateResponse(certificate=renewed.certificate.pem, ca=renewed.ca)

    async def _plan(self, caller: HostCaller, request: host_pb2.PlanRequest) -> host_pb2.PlanResponse:
        ask = host_wire.ask(request.ask) if request.HasField("ask") else None
        role = wire.bounded(request.role, "the role")
        return host_wire.plan_message(
            await self._services.requests.plan(
                caller, host_wire.local_user(request), ask, host_wire.login(request), role
            )
        )

    async def _create_request(self, caller: HostCaller, request: host_pb2.CreateRequestRequest) -> common_pb2.Request:
        user, wanted = host_wire.local_user(request), host_wire.new_request(request)
        service = self._services.batches if wanted.hosts else self._services.requests
        return wire.request_message(await service.create(caller, user, wanted))

    async def _watch_request(
        self, caller: HostCaller, request: host_pb2.LocalRequestRef
    ) -> AsyncIterator[common_pb2.Request]:
        """The request at once, then each change, until it can change no more."""
        user = host_wire.local_user(request)
        wanted = wire.required(request.request_id, "the id of the request")
        # What was typed may be a prefix; changes are told by the whole id.
        first = await finished(self._services.requests.get_local(caller, user, wanted))
        request_id = first.request.request_id
        topics = [request_id, first.request.extends, *(host.request_id for host in first.batch)]
        shown: common_pb2.Request | None = None
        with self._changes.subscribe([topic for topic in topics if topic]) as changed:
            while True:
                view = await finished(self._services.requests.get_local(caller, user, request_id))
                now = wire.request_message(view)
                if now != shown:
                    yield now
                    shown = now
                if is_final(now):
                    return
                await woken(changed)

    async def _cancel_request(self, caller: HostCaller, request: host_pb2.LocalRequestRef) -> common_pb2.Request:
        wanted = wire.required(request.request_id, "the id of the request")
        user = host_wire.local_user(request)
        return wire.request_message(await self._services.requests.cancel_local(caller, user, wanted))

    async def _extend_grant(self, caller: HostCaller, request: host_pb2.ExtendGrantRequest) -> common_pb2.Request:
        user, wanted = host_wire.local_user(request), host_wire.new_extension(request)
        return wire.request_message(await self._services.extensions.extend(caller, user, wanted))

    async def _list_mine(self, caller: HostCaller, request: host_pb2.ListMineRequest) -> host_pb2.ListMineResponse:
        user = host_wire.local_user(request)
        views = await self._services.requests.list_mine(caller, user, over_too=request.all)
        return host_pb2.ListMineResponse(requests=[wire.request_message(view) for view in views])

    async def _list_my_sessions(
        self, caller: HostCaller, request: host_pb2.LocalListSessionsRequest
    ) -> sessions_pb2.ListSessionsResponse:
        user, limit = host_wire.local_user(request), wire.listed(request.limit)
        return session_wire.list_message(await self._services.sessions.list_local(caller, user, limit))

    async def _get_my_session(
        self, caller: HostCaller, request: host_pb2.LocalSessionRef
    ) -> sessions_pb2.SessionDetails:
        user, wanted = host_wire.local_user(request), wire.required(request.session_id, "the id of the session")
        return session_wire.details_message(await self._services.sessions.get_local(caller, user, wanted))

    async def _begin_totp(self, caller: HostCaller, request: host_pb2.LocalBeginTotpRequest) -> common_pb2.TotpOffer:
        user, token = host_wire.local_user(request), wire.required(request.token, "the token")
        return wire.totp_offer_message(await self._services.factors.begin_local(caller, user, token))

    async def _confirm_totp(
        self, caller: HostCaller, request: host_pb2.LocalConfirmTotpRequest
    ) -> host_pb2.LocalConfirmTotpResponse:
        await self._services.factors.confirm_local(
            caller,
            host_wire.local_user(request),
            wire.required(request.token, "the token"),
            wire.required(request.otp, "the one-time code"),
        )
        return host_pb2.LocalConfirmTotpResponse()
