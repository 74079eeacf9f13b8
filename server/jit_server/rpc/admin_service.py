"""AdminService: hosts and users; who may do what the services decide, in the transaction of the call."""

from __future__ import annotations

from jit_protos.v1 import admin_pb2
from jit_server.errors import Invalid
from jit_server.rpc import wire
from jit_server.rpc.dispatch import Service
from jit_server.rpc.identity import Admission, LoggedIn
from jit_server.services import Services
from jit_server.services.people import NewUser


class AdminService:
    """Turns messages into calls of the host and people services.

    `bootstrap` is host:port of the bootstrap listener, `ca_fingerprint` what a host that enrols has to pin.
    """

    def __init__(self, services: Services, bootstrap: str, ca_fingerprint: str) -> None:
        self._services = services
        self._bootstrap = bootstrap
        self._ca_fingerprint = ca_fingerprint

    def service(self, admission: Admission) -> Service[LoggedIn]:
        return Service(
            admin_pb2.DESCRIPTOR.services_by_name["AdminService"],
            admission.person,
            {
                "CreateEnrollToken": self._create_enroll_token,
                "ListHosts": self._list_hosts,
                "RemoveHost": self._remove_host,
                "CreateUser": self._create_user,
                "ListUsers": self._list_users,
                "DisableUser": self._disable_user,
                "EnableUser": self._enable_user,
                "ResetMfa": self._reset_mfa,
            },
        )

    async def _create_enroll_token(
        self, caller: LoggedIn, request: admin_pb2.CreateEnrollTokenRequest
    ) -> admin_pb2.CreateEnrollTokenResponse:
        issued = await self._services.hosts.create_token(
            caller.person,
            wire.required(request.host_name, "the name of the host"),
            dict(request.labels),
            request.valid_s,
        )
        return admin_pb2.CreateEnrollTokenResponse(
            token=issued.token,
            expires_at=issued.expires_at,
            bootstrap=self._bootstrap,
            ca_fingerprint=self._ca_fingerprint,
        )

    async def _list_hosts(self, caller: LoggedIn, _: admin_pb2.ListHostsRequest) -> admin_pb2.ListHostsResponse:
        views = await self._services.hosts.list_all(caller.person)
        return admin_pb2.ListHostsResponse(hosts=[wire.host_message(view) for view in views])

    async def _remove_host(self, caller: LoggedIn, request: admin_pb2.HostRef) -> admin_pb2.Host:
        host = wire.required(request.host, "the host")
        return wire.host_message(await self._services.hosts.remove(caller.person, host))

    async def _create_user(
        self, caller: LoggedIn, request: admin_pb2.CreateUserRequest
    ) -> admin_pb2.CreateUserResponse:
        name, duties = wire.required(request.name, "the name of the user"), wire.duties(request.duties)
        account = wire.bounded(request.account, "the account")
        if request.service:
            if duties:
                raise Invalid("a service has no duties", hint="add it without them")
            view = await self._services.people.create_service(caller.person, name, account)
            return admin_pb2.CreateUserResponse(user=wire.user_message(view))
        return _new_user_message(await self._services.people.create(caller.person, name, account, duties))

    async def _list_users(self, caller: LoggedIn, _: admin_pb2.ListUsersRequest) -> admin_pb2.ListUsersResponse:
        views = await self._services.people.list_all(caller.person)
        return admin_pb2.ListUsersResponse(users=[wire.user_message(view) for view in views])

    async def _disable_user(self, caller: LoggedIn, request: admin_pb2.UserRef) -> admin_pb2.User:
        user = wire.required(request.user, "the user")
        return wire.user_message(await self._services.people.disable(caller.person, user))

    async def _enable_user(self, caller: LoggedIn, request: admin_pb2.UserRef) -> admin_pb2.User:
        user = wire.required(request.user, "the user")
        return wire.user_message(await self._services.people.enable(caller.person, user))

    async def _reset_mfa(self, caller: LoggedIn, request: admin_pb2.UserRef) -> admin_pb2.CreateUserResponse:
        user = wire.required(request.user, "the user")
        return _new_user_message(await self._services.people.reset_mfa(caller.person, user))


def _new_user_message(created: NewUser) -> admin_pb2.CreateUserResponse:
    return admin_pb2.CreateUserResponse(
        user=wire.user_message(created.view),
        mfa_token=created.token.token,
        mfa_token_expires_at=created.token.expires_at,
    )
