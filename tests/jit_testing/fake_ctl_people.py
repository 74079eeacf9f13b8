"""Access and PeopleService of the fake server: logins, requests, grants, locks, alerts."""

# ruff: noqa: N802 - the methods have the names of the .proto files
from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc

from jit_protos.v1 import common_pb2, people_pb2
from jit_protos.v1.people_pb2_grpc import AccessServicer, PeopleServiceServicer
from jit_testing.ctl_values import PENDING, grant, lock, now_us
from jit_testing.fake_ctl_state import ALICE, CODE, PASSWORD, TOKEN, Context, FakeState, refuse


class FakeAccess(FakeState, AccessServicer):
    def Login(self, message: people_pb2.LoginRequest, context: Context) -> people_pb2.LoginResponse:
        self.note(message, context)
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
        self.note(message, context)
        if message.token != TOKEN:
            refuse(context, grpc.StatusCode.UNAUTHENTICATED, "the token is not valid", "unauthenticated")
        return common_pb2.TotpOffer(uri="otpauth://totp/jit:alice?secret=ABC", qr=["█▀▀█", "█▄▄█"])

    def ConfirmTotp(self, message: people_pb2.ConfirmTotpRequest, context: Context) -> people_pb2.ConfirmTotpResponse:
        self.note(message, context)
        if message.token != TOKEN or message.otp != CODE:
            refuse(context, grpc.StatusCode.UNAUTHENTICATED, "the code is wrong", "unauthenticated")
        self.enrolled = True
        return people_pb2.ConfirmTotpResponse()


class FakePeople(FakeState, PeopleServiceServicer):
    def WhoAmI(self, message: people_pb2.WhoAmIRequest, context: Context) -> people_pb2.WhoAmIResponse:
        self.note(message, context)
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
        self.note(message, context)
        states = list(message.states) or [PENDING]
        found = [one for one in reversed(self.requests.values()) if one.state in states]
        return people_pb2.ListRequestsResponse(requests=found[: message.limit or 100])

    def GetRequest(self, message: people_pb2.RequestRef, context: Context) -> common_pb2.Request:
        self.note(message, context)
        return self.requests[self.find(message.request_id, list(self.requests), "req", context)]

    def WatchRequests(self, message: people_pb2.WatchRequestsRequest, context: Context) -> Iterator[common_pb2.Request]:
        self.note(message, context)
        context.add_callback(self.wake)
        with self.changed:
            seen = len(self.changes)
            pending = [one for one in self.requests.values() if one.state == PENDING]
        yield from pending
        while fresh := self.wait(partial(self._since, seen), context):
            seen += len(fresh)
            yield from fresh

    def _since(self, place: int) -> list[common_pb2.Request]:
        return self.changes[place:]

    def _decide(self, message: people_pb2.DecideRequest, context: Context, *, approved: bool) -> common_pb2.Request:
        self.note(message, context)
        one = self.requests[self.find(message.request_id, list(self.requests), "req", context)]
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
        self.note(message, context)
        one = self.requests[self.find(message.request_id, list(self.requests), "req", context)]
        one.state = common_pb2.REQUEST_STATE_CANCELLED
        self.put(one)
        return one

    def ListGrants(self, message: people_pb2.ListGrantsRequest, context: Context) -> people_pb2.ListGrantsResponse:
        self.note(message, context)
        over = {common_pb2.GRANT_STATE_ENDED, common_pb2.GRANT_STATE_REFUSED}
        found = [
            one
            for one in self.grants.values()
            if (one.state in message.states if message.states else one.state not in over)
        ]
        return people_pb2.ListGrantsResponse(grants=found[: message.limit or 100])

    def GetGrant(self, message: people_pb2.GrantRef, context: Context) -> common_pb2.Grant:
        self.note(message, context)
        return self.grants[self.find(message.grant_id, list(self.grants), "gnt", context)]

    def _end(self, ref: str, reason: str, context: Context) -> common_pb2.Grant:
        one = self.grants[self.find(ref, list(self.grants), "gnt", context)]
        one.state, one.end_reason = common_pb2.GRANT_STATE_ENDING, reason
        return one

    def Revoke(self, message: people_pb2.RevokeRequest, context: Context) -> common_pb2.Grant:
        self.note(message, context)
        return self._end(message.grant_id, "revoked", context)

    def Drop(self, message: people_pb2.GrantRef, context: Context) -> common_pb2.Grant:
        self.note(message, context)
        return self._end(message.grant_id, "dropped", context)

    def CreateLock(self, message: people_pb2.CreateLockRequest, context: Context) -> people_pb2.Lock:
        self.note(message, context)
        one = lock(
            len(self.locks) + 1,
            kind=message.kind,
            target=message.target,
            reason=message.reason,
            created_by="alice",
            expires_at=now_us() + message.duration_s * 1_000_000 if message.duration_s else 0,
            grants_ended=2,
            requests_cancelled=1,
        )
        self.locks[one.lock_id] = one
        return one

    def LiftLock(self, message: people_pb2.LockRef, context: Context) -> people_pb2.Lock:
        self.note(message, context)
        one = self.locks[self.find(message.lock_id, list(self.locks), "lck", context)]
        if one.lifted_at:
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "the lock stands no more", "conflict")
        one.lifted_at, one.lifted_by = now_us(), "alice"
        return one

    def ListLocks(self, message: people_pb2.ListLocksRequest, context: Context) -> people_pb2.ListLocksResponse:
        self.note(message, context)
        found = [one for one in reversed(self.locks.values()) if message.all or not one.lifted_at]
        return people_pb2.ListLocksResponse(locks=found)

    def ListAlerts(self, message: people_pb2.ListAlertsRequest, context: Context) -> people_pb2.ListAlertsResponse:
        self.note(message, context)
        return people_pb2.ListAlertsResponse(alerts=self.alerts)
