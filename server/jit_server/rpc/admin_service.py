"""AdminService: hosts, users and policy; who may do what the services decide, in the transaction of the call."""

from __future__ import annotations

from jit_protos.v1 import admin_pb2
from jit_server.rpc import wire
from jit_server.rpc.dispatch import Service
from jit_server.rpc.identity import Admission, LoggedIn
from jit_server.rpc.server import POLICY_LIMIT
from jit_server.services import Services
from jit_server.services.people import NewUser


class AdminService:
    """Turns messages into calls of the host, people and policy services.

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
                "LintPolicy": self._lint_policy,
                "ApplyPolicy": self._apply_policy,
                "ShowPolicy": self._show_policy,
            },
            limits={"LintPolicy": POLICY_LIMIT, "ApplyPolicy": POLICY_LIMIT},
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
        created = await self._services.people.create(
            caller.person,
            wire.required(request.name, "the name of the user"),
            wire.bounded(request.account, "the account"),
            wire.duties(request.duties),
        )
        return _new_user_message(created)

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

    async def _lint_policy(self, caller: LoggedIn, request: admin_pb2.PolicyText) -> admin_pb2.PolicyReport:
        report = await self._services.policies.lint(caller.person, wire.policy_files(request))
        return wire.policy_report_message(report.version, report.findings, report.grants_ended)

    async def _apply_policy(self, caller: LoggedIn, request: admin_pb2.ApplyPolicyRequest) -> admin_pb2.PolicyReport:
        report = await self._services.policies.apply(
            caller.person,
            wire.policy_files(request.policy),
            expected_version=wire.policy_version(request.expected_version),
            dry_run=request.dry_run,
        )
        return wire.policy_report_message(report.version, report.findings, report.grants_ended)

    async def _show_policy(
        self, caller: LoggedIn, request: admin_pb2.ShowPolicyRequest
    ) -> admin_pb2.ShowPolicyResponse:
        stored = await self._services.policies.show(caller.person, wire.policy_version(request.version))
        return admin_pb2.ShowPolicyResponse(
            version=stored.version,
            policy=wire.policy_text_message(stored.files),
            applied_by=stored.applied_by,
            applied_at=stored.applied_at,
        )


def _new_user_message(created: NewUser) -> admin_pb2.CreateUserResponse:
    return admin_pb2.CreateUserResponse(
        user=wire.user_message(created.view),
        mfa_token=created.token.token,
        mfa_token_expires_at=created.token.expires_at,
    )
