"""AdminService and AuditService of the fake server."""

# ruff: noqa: N802 - the methods have the names of the .proto files
from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import grpc

from jit_protos.v1 import admin_pb2, audit_pb2
from jit_protos.v1.admin_pb2_grpc import AdminServiceServicer
from jit_protos.v1.audit_pb2_grpc import AuditServiceServicer
from jit_testing.ctl_values import now_us
from jit_testing.fake_ctl_state import TOKEN, Context, FakeState, refuse


class FakeAdmin(FakeState, AdminServiceServicer):
    def CreateEnrollToken(
        self, message: admin_pb2.CreateEnrollTokenRequest, context: Context
    ) -> admin_pb2.CreateEnrollTokenResponse:
        self.note(message, context)
        return admin_pb2.CreateEnrollTokenResponse(
            token="host-token",
            expires_at=now_us() + message.valid_s * 1_000_000,
            bootstrap=self.bootstrap,
            ca_fingerprint=self.authority.fingerprint,
        )

    def ListHosts(self, message: admin_pb2.ListHostsRequest, context: Context) -> admin_pb2.ListHostsResponse:
        self.note(message, context)
        return admin_pb2.ListHostsResponse(hosts=self.hosts)

    def RemoveHost(self, message: admin_pb2.HostRef, context: Context) -> admin_pb2.Host:
        self.note(message, context)
        (one,) = (host for host in self.hosts if host.name == message.host)
        one.removed = True
        return one

    def _user(self, name: str, context: Context) -> admin_pb2.User:
        named = [one for one in self.users if one.name == name]
        if not named:
            refuse(context, grpc.StatusCode.NOT_FOUND, f"no user {name}", "not_found")
        return named[0]

    def CreateUser(self, message: admin_pb2.CreateUserRequest, context: Context) -> admin_pb2.CreateUserResponse:
        self.note(message, context)
        if any(one.name == message.name for one in self.users):
            refuse(context, grpc.StatusCode.ALREADY_EXISTS, f"user {message.name} exists", "conflict")
        made = admin_pb2.User(
            user_id=f"usr-{len(self.users):016d}",
            name=message.name,
            account=message.account or message.name,
            duties=message.duties,
            service=message.service,
            created_at=now_us(),
        )
        self.users.append(made)
        return admin_pb2.CreateUserResponse(user=made) if made.service else self._with_token(made)

    def _with_token(self, user: admin_pb2.User) -> admin_pb2.CreateUserResponse:
        return admin_pb2.CreateUserResponse(user=user, mfa_token=TOKEN, mfa_token_expires_at=now_us() + 3_600_000_000)

    def ListUsers(self, message: admin_pb2.ListUsersRequest, context: Context) -> admin_pb2.ListUsersResponse:
        self.note(message, context)
        return admin_pb2.ListUsersResponse(users=self.users)

    def DisableUser(self, message: admin_pb2.UserRef, context: Context) -> admin_pb2.User:
        self.note(message, context)
        one = self._user(message.user, context)
        one.disabled = True
        return one

    def EnableUser(self, message: admin_pb2.UserRef, context: Context) -> admin_pb2.User:
        self.note(message, context)
        one = self._user(message.user, context)
        one.disabled = False
        return one

    def ResetMfa(self, message: admin_pb2.UserRef, context: Context) -> admin_pb2.CreateUserResponse:
        self.note(message, context)
        return self._with_token(self._user(message.user, context))


class FakeAudit(FakeState, AuditServiceServicer):
    def Query(self, message: audit_pb2.QueryRequest, context: Context) -> Iterator[audit_pb2.Event]:
        self.note(message, context)
        context.add_callback(self.wake)

        def matching(after: int) -> list[audit_pb2.Event]:
            return [
                event
                for event in self.events
                if event.sequence > after
                and message.user in {"", event.user}
                and event.kind.startswith(message.kind)
                and event.at >= message.since
            ]

        limit = message.limit or 1000
        found = matching(message.after)
        if not message.follow:
            yield from found[-limit:] if message.newest else found[:limit]
            return
        last = message.after
        while fresh := self.wait(partial(matching, last), context):
            last = fresh[-1].sequence
            yield from fresh
