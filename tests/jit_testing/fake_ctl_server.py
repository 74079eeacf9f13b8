"""The server as `jitctl` sees it: both listeners over real TLS, data in memory that a test may bend.

It keeps the contracts jitctl relies on (SPEC 1.1 prefixes, 4.3 error words in
trailing metadata) and nothing else: no policy, no store.
"""

# ruff: noqa: N802 - the methods have the names of the .proto files
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import quote

import grpc

from jit_protos.v1 import admin_pb2, audit_pb2, common_pb2, people_pb2
from jit_protos.v1.admin_pb2_grpc import AdminServiceServicer, add_AdminServiceServicer_to_server
from jit_protos.v1.audit_pb2_grpc import AuditServiceServicer, add_AuditServiceServicer_to_server
from jit_protos.v1.people_pb2_grpc import (
    AccessServicer,
    PeopleServiceServicer,
    add_AccessServicer_to_server,
    add_PeopleServiceServicer_to_server,
)
from jit_testing.ctl_certificates import Authority, pem

PASSWORD = "correct horse"
CODE = "123456"
TOKEN = "one-time-token"
ALICE = "usr-0000000000000001"
PENDING = common_pb2.REQUEST_STATE_PENDING

Context = grpc.ServicerContext


def refuse(context: Context, status: grpc.StatusCode, message: str, code: str = "", hint: str = "") -> NoReturn:
    if code:
        context.set_trailing_metadata((("jit-error-code", code), ("jit-error-hint", quote(hint))))
    context.abort(status, message)
    raise AssertionError("abort returns never")


def now_us() -> int:
    return time.time_ns() // 1000


def request(number: int, **changes: Any) -> common_pb2.Request:
    """A pending request of bob, as a server would send it."""
    made = common_pb2.Request(
        request_id=f"req-{number:016d}",
        user="bob",
        host="web1",
        role="web-operator",
        ask=common_pb2.Ask(argv=["/usr/bin/systemctl", "restart", "nginx.service"], run_as_user="root"),
        reason="nginx hangs",
        ticket="OPS-17",
        duration_s=1800,
        state=PENDING,
        created_at=now_us() - 180_000_000,
        lapses_at=now_us() + 3_600_000_000,
        approvals_needed=1,
        approvers=["alice", "carol"],
        role_commands=["/usr/bin/systemctl restart nginx.service", "/usr/bin/journalctl"],
        mfa_passed=True,
    )
    made.MergeFrom(common_pb2.Request(**changes))
    return made


def grant(number: int, **changes: Any) -> common_pb2.Grant:
    made = common_pb2.Grant(
        grant_id=f"gnt-{number:016d}",
        request_id=f"req-{number:016d}",
        user="bob",
        host="web1",
        role="web-operator",
        run_as_user="root",
        commands=["/usr/bin/systemctl restart nginx.service"],
        state=common_pb2.GRANT_STATE_ACTIVE,
        not_before=now_us(),
        not_after=now_us() + 1_800_000_000,
        reason="nginx hangs",
        approved_by=["alice"],
    )
    made.MergeFrom(common_pb2.Grant(**changes))
    return made


class FakeServer(AccessServicer, PeopleServiceServicer, AdminServiceServicer, AuditServiceServicer):
    """Start it with `with`; `bootstrap` and `mtls` are its addresses."""

    def __init__(
        self,
        authority: Authority,
        *,
        show_ca: bool = True,
        server_authority: Authority | None = None,
        mtls_port: int = 0,
    ) -> None:
        self.authority = authority
        self.requests: dict[str, common_pb2.Request] = {}
        self.grants: dict[str, common_pb2.Grant] = {}
        self.hosts: list[admin_pb2.Host] = []
        self.users: list[admin_pb2.User] = []
        self.events: list[audit_pb2.Event] = []
        self.policy: admin_pb2.ShowPolicyResponse | None = None
        self.findings: list[admin_pb2.Finding] = []
        self.asked: list[Any] = []
        self.failure: tuple[grpc.StatusCode, str, str, str] | None = None
        self.enrolled = False
        self.lifetime_s = 3600
        self._changed = threading.Condition()
        self._changes: list[common_pb2.Request] = []
        self._stopped = False
        key, certificate = (server_authority or authority).server()
        chain = pem(certificate) + (authority.pem if show_ca else b"")
        self._bootstrap = grpc.server(ThreadPoolExecutor(4))
        self._mtls = grpc.server(ThreadPoolExecutor(8))
        add_AccessServicer_to_server(self, self._bootstrap)
        add_PeopleServiceServicer_to_server(self, self._mtls)
        add_AdminServiceServicer_to_server(self, self._mtls)
        add_AuditServiceServicer_to_server(self, self._mtls)
        port = self._bootstrap.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
        self.bootstrap = f"127.0.0.1:{port}"
        port = self._mtls.add_secure_port(
            f"127.0.0.1:{mtls_port}",
            grpc.ssl_server_credentials([(key, chain)], authority.pem, require_client_auth=True),
        )
        self.mtls = f"127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._bootstrap.start()
        self._mtls.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for listener in (self._bootstrap, self._mtls):
            listener.stop(None).wait()

    # What a test does to it

    def put(self, *requests: common_pb2.Request) -> None:
        """Add or change requests; those who watch hear of it."""
        with self._changed:
            for one in requests:
                self.requests[one.request_id] = one
                self._changes.append(one)
            self._changed.notify_all()

    def log(self, *events: audit_pb2.Event) -> None:
        with self._changed:
            self.events.extend(events)
            self._changed.notify_all()

    def _note(self, message: Any, context: Context) -> None:
        self.asked.append(message)
        if self.failure:
            status, text, code, hint = self.failure
            refuse(context, status, text, code, hint)

    def _find(self, ref: str, known: Sequence[str], kind: str, context: Context) -> str:
        found = [name for name in known if name.startswith((ref, f"{kind}-{ref}"))]
        if not found:
            refuse(context, grpc.StatusCode.NOT_FOUND, f"no {kind} {ref}", "not_found", "list them first")
        if len(found) > 1:
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"{ref} names {len(found)}", "invalid", "type more of it")
        return found[0]

    # Access

    def Login(self, message: people_pb2.LoginRequest, context: Context) -> people_pb2.LoginResponse:
        self._note(message, context)
        if message.password != PASSWORD or message.otp != CODE:
            refuse(
                context,
                grpc.StatusCode.UNAUTHENTICATED,
                "password or code is wrong",
                "unauthenticated",
                "wait for the next code",
            )
        return people_pb2.LoginResponse(
            certificate=self.authority.person(message.csr, ALICE),
            ca=self.authority.pem.decode(),
            expires_at=now_us() + self.lifetime_s * 1_000_000,
            server=self.mtls,
        )

    def BeginTotp(self, message: people_pb2.BeginTotpRequest, context: Context) -> common_pb2.TotpOffer:
        self._note(message, context)
        if message.token != TOKEN:
            refuse(context, grpc.StatusCode.UNAUTHENTICATED, "the token is not valid", "unauthenticated")
        return common_pb2.TotpOffer(uri="otpauth://totp/jit:alice?secret=ABC", qr=["█▀▀█", "█▄▄█"])

    def ConfirmTotp(self, message: people_pb2.ConfirmTotpRequest, context: Context) -> people_pb2.ConfirmTotpResponse:
        self._note(message, context)
        if message.token != TOKEN or message.otp != CODE:
            refuse(context, grpc.StatusCode.UNAUTHENTICATED, "the code is wrong", "unauthenticated")
        self.enrolled = True
        return people_pb2.ConfirmTotpResponse()

    # People

    def WhoAmI(self, message: people_pb2.WhoAmIRequest, context: Context) -> people_pb2.WhoAmIResponse:
        self._note(message, context)
        identity: Any = context.auth_context()  # typed as bytes, in truth lists of them
        (name,) = identity["x509_subject_alternative_name"]
        return people_pb2.WhoAmIResponse(
            user_id=name.decode().rpartition("/")[2],
            name="alice",
            duties=["admin"],
            groups=["ops"],
            approver_of=["web-operator"],
            expires_at=now_us() + 3_600_000_000,
            mfa_enrolled=True,
        )

    def ListRequests(
        self, message: people_pb2.ListRequestsRequest, context: Context
    ) -> people_pb2.ListRequestsResponse:
        self._note(message, context)
        states = list(message.states) or [PENDING]
        found = [one for one in reversed(self.requests.values()) if one.state in states]
        return people_pb2.ListRequestsResponse(requests=found[: message.limit or 100])

    def GetRequest(self, message: people_pb2.RequestRef, context: Context) -> common_pb2.Request:
        self._note(message, context)
        return self.requests[self._find(message.request_id, list(self.requests), "req", context)]

    def WatchRequests(self, message: people_pb2.WatchRequestsRequest, context: Context) -> Iterator[common_pb2.Request]:
        self._note(message, context)
        context.add_callback(self._wake)
        with self._changed:
            seen = len(self._changes)
            pending = [one for one in self.requests.values() if one.state == PENDING]
        yield from pending
        while fresh := self._wait(partial(self._since, seen), context):
            seen += len(fresh)
            yield from fresh

    def _since(self, place: int) -> list[common_pb2.Request]:
        return self._changes[place:]

    def _wait(self, find: Callable[[], list[Any]], context: Context) -> list[Any]:
        """What `find` gives once it gives something; nothing when the call or the server is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not context.is_active() or find(), timeout=60)
            return [] if self._stopped else find()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _decide(self, message: people_pb2.DecideRequest, context: Context, *, approved: bool) -> common_pb2.Request:
        self._note(message, context)
        one = self.requests[self._find(message.request_id, list(self.requests), "req", context)]
        if one.state != PENDING:
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, f"{one.request_id} is already decided", "conflict")
        if one.user == "alice":
            refuse(context, grpc.StatusCode.PERMISSION_DENIED, "nobody approves themselves", "denied")
        one.decisions.add(by="alice", approved=approved, reason=message.reason, at=now_us())
        if not approved:
            one.state = common_pb2.REQUEST_STATE_DENIED
        elif len(one.decisions) >= one.approvals_needed:
            one.state = common_pb2.REQUEST_STATE_APPROVED
            number = int(one.request_id[4:])
            one.grant.CopyFrom(grant(number, state=common_pb2.GRANT_STATE_ISSUED))
            self.grants[one.grant.grant_id] = one.grant
        self.put(one)
        return one

    def Approve(self, message: people_pb2.DecideRequest, context: Context) -> common_pb2.Request:
        return self._decide(message, context, approved=True)

    def Deny(self, message: people_pb2.DecideRequest, context: Context) -> common_pb2.Request:
        return self._decide(message, context, approved=False)

    def Cancel(self, message: people_pb2.RequestRef, context: Context) -> common_pb2.Request:
        self._note(message, context)
        one = self.requests[self._find(message.request_id, list(self.requests), "req", context)]
        one.state = common_pb2.REQUEST_STATE_CANCELLED
        self.put(one)
        return one

    def ListGrants(self, message: people_pb2.ListGrantsRequest, context: Context) -> people_pb2.ListGrantsResponse:
        self._note(message, context)
        over = {common_pb2.GRANT_STATE_ENDED, common_pb2.GRANT_STATE_REFUSED}
        found = [
            one
            for one in self.grants.values()
            if (one.state in message.states if message.states else one.state not in over)
        ]
        return people_pb2.ListGrantsResponse(grants=found[: message.limit or 100])

    def GetGrant(self, message: people_pb2.GrantRef, context: Context) -> common_pb2.Grant:
        self._note(message, context)
        return self.grants[self._find(message.grant_id, list(self.grants), "gnt", context)]

    def _end(self, ref: str, reason: str, context: Context) -> common_pb2.Grant:
        one = self.grants[self._find(ref, list(self.grants), "gnt", context)]
        one.state, one.end_reason = common_pb2.GRANT_STATE_ENDING, reason
        return one

    def Revoke(self, message: people_pb2.RevokeRequest, context: Context) -> common_pb2.Grant:
        self._note(message, context)
        return self._end(message.grant_id, "revoked", context)

    def Drop(self, message: people_pb2.GrantRef, context: Context) -> common_pb2.Grant:
        self._note(message, context)
        return self._end(message.grant_id, "dropped", context)

    # Administration

    def CreateEnrollToken(
        self, message: admin_pb2.CreateEnrollTokenRequest, context: Context
    ) -> admin_pb2.CreateEnrollTokenResponse:
        self._note(message, context)
        return admin_pb2.CreateEnrollTokenResponse(
            token="host-token",
            expires_at=now_us() + message.valid_s * 1_000_000,
            bootstrap=self.bootstrap,
            ca_fingerprint=self.authority.fingerprint,
        )

    def ListHosts(self, message: admin_pb2.ListHostsRequest, context: Context) -> admin_pb2.ListHostsResponse:
        self._note(message, context)
        return admin_pb2.ListHostsResponse(hosts=self.hosts)

    def RemoveHost(self, message: admin_pb2.HostRef, context: Context) -> admin_pb2.Host:
        self._note(message, context)
        (one,) = (host for host in self.hosts if host.name == message.host)
        one.removed = True
        return one

    def _user(self, name: str, context: Context) -> admin_pb2.User:
        for one in self.users:
            if one.name == name:
                return one
        refuse(context, grpc.StatusCode.NOT_FOUND, f"no user {name}", "not_found")

    def CreateUser(self, message: admin_pb2.CreateUserRequest, context: Context) -> admin_pb2.CreateUserResponse:
        self._note(message, context)
        if any(one.name == message.name for one in self.users):
            refuse(context, grpc.StatusCode.ALREADY_EXISTS, f"user {message.name} exists", "conflict")
        made = admin_pb2.User(
            user_id=f"usr-{len(self.users):016d}",
            name=message.name,
            account=message.account or message.name,
            duties=message.duties,
            created_at=now_us(),
        )
        self.users.append(made)
        return self._with_token(made)

    def _with_token(self, user: admin_pb2.User) -> admin_pb2.CreateUserResponse:
        return admin_pb2.CreateUserResponse(user=user, mfa_token=TOKEN, mfa_token_expires_at=now_us() + 3_600_000_000)

    def ListUsers(self, message: admin_pb2.ListUsersRequest, context: Context) -> admin_pb2.ListUsersResponse:
        self._note(message, context)
        return admin_pb2.ListUsersResponse(users=self.users)

    def DisableUser(self, message: admin_pb2.UserRef, context: Context) -> admin_pb2.User:
        self._note(message, context)
        one = self._user(message.user, context)
        one.disabled = True
        return one

    def EnableUser(self, message: admin_pb2.UserRef, context: Context) -> admin_pb2.User:
        self._note(message, context)
        one = self._user(message.user, context)
        one.disabled = False
        return one

    def ResetMfa(self, message: admin_pb2.UserRef, context: Context) -> admin_pb2.CreateUserResponse:
        self._note(message, context)
        return self._with_token(self._user(message.user, context))

    def LintPolicy(self, message: admin_pb2.PolicyText, context: Context) -> admin_pb2.PolicyReport:
        self._note(message, context)
        return admin_pb2.PolicyReport(findings=self.findings)

    def ApplyPolicy(self, message: admin_pb2.ApplyPolicyRequest, context: Context) -> admin_pb2.PolicyReport:
        self._note(message, context)
        current = self.policy.version if self.policy else 0
        if message.expected_version and message.expected_version != current:
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, f"version {current} is in force", "conflict")
        if any(finding.severity == "error" for finding in self.findings):
            return admin_pb2.PolicyReport(findings=self.findings)
        if message.dry_run:
            return admin_pb2.PolicyReport(findings=self.findings, grants_ended=1)
        self.policy = admin_pb2.ShowPolicyResponse(
            version=current + 1, policy=message.policy, applied_by="alice", applied_at=now_us()
        )
        return admin_pb2.PolicyReport(version=current + 1, findings=self.findings, grants_ended=2)

    def ShowPolicy(self, message: admin_pb2.ShowPolicyRequest, context: Context) -> admin_pb2.ShowPolicyResponse:
        self._note(message, context)
        if self.policy is None:
            refuse(context, grpc.StatusCode.NOT_FOUND, "no policy is in force", "not_found")
        return self.policy

    # Audit

    def Query(self, message: audit_pb2.QueryRequest, context: Context) -> Iterator[audit_pb2.Event]:
        self._note(message, context)
        context.add_callback(self._wake)

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
        while fresh := self._wait(partial(matching, last), context):
            last = fresh[-1].sequence
            yield from fresh
