"""The server as one object: each method is one call, values in and out.

With `access` and `policy_client` the only module that knows the service stubs.  Every method
raises `CtlError`; see `channel` for the codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

import grpc

from jit_protos.v1 import admin_pb2, audit_pb2, people_pb2, sessions_pb2
from jit_protos.v1.admin_pb2_grpc import AdminServiceStub
from jit_protos.v1.audit_pb2_grpc import AuditServiceStub
from jit_protos.v1.people_pb2_grpc import PeopleServiceStub
from jit_protos.v1.sessions_pb2_grpc import SessionServiceStub

from . import channel, model, session_model, session_wire, state, times, wire
from .errors import CtlError
from .policy_client import PolicyClient

Answer = TypeVar("Answer")


class Server:
    """The mTLS listener, asked as the person whose certificate the channel holds."""

    def __init__(self, name: str, connection: grpc.Channel, timeout: float) -> None:
        self.name = name
        self._connection = connection
        self._timeout = timeout
        self._people = PeopleServiceStub(connection)
        self._admin = AdminServiceStub(connection)
        self._audit = AuditServiceStub(connection)
        self._sessions = SessionServiceStub(connection)
        self.policy = PolicyClient(name, connection, timeout)

    @classmethod
    def of_session(cls, timeout: float) -> Self:
        """Connect with the stored login; raise `CtlError` (unauthenticated) without a valid one."""
        session, ca = state.read_session(), state.read_ca()
        if session is None or ca is None:
            raise CtlError("unauthenticated", "you are not logged in", "run 'jitctl login'")
        if session.ends <= times.now():
            raise CtlError("unauthenticated", f"your login ended at {session.expires_at}", "run 'jitctl login'")
        connection = channel.secure(session.server, ca, session.key.encode(), session.certificate.encode())
        return cls(session.server, connection, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _call(self, call: Callable[[], Answer]) -> Answer:
        with channel.told(self.name):
            return call()

    # People

    def who_am_i(self) -> model.WhoAmI:
        return wire.who_am_i(self._call(lambda: self._people.WhoAmI(people_pb2.WhoAmIRequest(), timeout=self._timeout)))

    def requests(self, states: Sequence[model.RequestState], limit: int) -> list[model.Request]:
        """Newest first; no states: those that are pending."""
        query = people_pb2.ListRequestsRequest(states=map(wire.request_state_number, states), limit=limit)
        answer = self._call(lambda: self._people.ListRequests(query, timeout=self._timeout))
        return [wire.request(message) for message in answer.requests]

    def request(self, ref: str) -> model.Request:
        query = people_pb2.RequestRef(request_id=ref)
        return wire.request(self._call(lambda: self._people.GetRequest(query, timeout=self._timeout)))

    def watch_requests(self) -> Iterator[model.Request]:
        """Every pending request the person may see, then each change; does not end by itself."""
        with channel.told(self.name):
            for message in self._people.WatchRequests(people_pb2.WatchRequestsRequest()):
                yield wire.request(message)

    def approve(self, ref: str, reason: str) -> model.Request:
        vote = people_pb2.DecideRequest(request_id=ref, reason=reason)
        return wire.request(self._call(lambda: self._people.Approve(vote, timeout=self._timeout)))

    def deny(self, ref: str, reason: str) -> model.Request:
        vote = people_pb2.DecideRequest(request_id=ref, reason=reason)
        return wire.request(self._call(lambda: self._people.Deny(vote, timeout=self._timeout)))

    def cancel(self, ref: str) -> model.Request:
        query = people_pb2.RequestRef(request_id=ref)
        return wire.request(self._call(lambda: self._people.Cancel(query, timeout=self._timeout)))

    def grants(self, states: Sequence[model.GrantState], limit: int) -> list[model.Grant]:
        """No states: those that are not over yet."""
        query = people_pb2.ListGrantsRequest(states=map(wire.grant_state_number, states), limit=limit)
        answer = self._call(lambda: self._people.ListGrants(query, timeout=self._timeout))
        return [wire.grant(message) for message in answer.grants]

    def grant(self, ref: str) -> model.Grant:
        query = people_pb2.GrantRef(grant_id=ref)
        return wire.grant(self._call(lambda: self._people.GetGrant(query, timeout=self._timeout)))

    def revoke(self, ref: str, reason: str) -> model.Grant:
        order = people_pb2.RevokeRequest(grant_id=ref, reason=reason)
        return wire.grant(self._call(lambda: self._people.Revoke(order, timeout=self._timeout)))

    def drop(self, ref: str) -> model.Grant:
        query = people_pb2.GrantRef(grant_id=ref)
        return wire.grant(self._call(lambda: self._people.Drop(query, timeout=self._timeout)))

    # Locks and alerts

    def create_lock(self, kind: str, target: str, reason: str, duration_s: int) -> model.Lock:
        """Zero seconds: until it is lifted."""
        order = people_pb2.CreateLockRequest(kind=kind, target=target, reason=reason, duration_s=duration_s)
        return wire.lock(self._call(lambda: self._people.CreateLock(order, timeout=self._timeout)))

    def lift_lock(self, ref: str, reason: str) -> model.Lock:
        order = people_pb2.LockRef(lock_id=ref, reason=reason)
        return wire.lock(self._call(lambda: self._people.LiftLock(order, timeout=self._timeout)))

    def locks(self, *, over_too: bool) -> list[model.Lock]:
        """Newest first."""
        query = people_pb2.ListLocksRequest(all=over_too)
        answer = self._call(lambda: self._people.ListLocks(query, timeout=self._timeout))
        return [wire.lock(message) for message in answer.locks]

    def alerts(self) -> list[model.Alert]:
        """What matters most first."""
        answer = self._call(lambda: self._people.ListAlerts(people_pb2.ListAlertsRequest(), timeout=self._timeout))
        return [wire.alert(message) for message in answer.alerts]

    # Sessions

    def sessions(self, wanted: session_model.SessionFilter, limit: int) -> tuple[list[session_model.Session], bool]:
        """Newest first, and whether there are more."""
        query = session_wire.query(wanted, limit)
        answer = self._call(lambda: self._sessions.ListSessions(query, timeout=self._timeout))
        return [session_wire.session(message) for message in answer.sessions], answer.truncated

    def session(self, ref: str) -> session_model.SessionDetails:
        query = sessions_pb2.SessionRef(session_id=ref)
        return session_wire.details(self._call(lambda: self._sessions.GetSession(query, timeout=self._timeout)))

    def control_session(self, ref: str, act: str, reason: str) -> session_model.Session:
        """`act` is freeze, thaw or kill."""
        order = sessions_pb2.ControlSessionRequest(session_id=ref, act=act, reason=reason)
        return session_wire.session(self._call(lambda: self._sessions.ControlSession(order, timeout=self._timeout)))

    def recording(
        self, session_id: str, *, first_chunk: int = 0, watch: bool = False
    ) -> Iterator[session_model.Session | session_model.Piece]:
        """Pieces of chunks in their order, and the session whenever it changes; with `watch` until it ends.

        Whoever reads with `watch` is a watcher until the iterator is closed or left.
        """
        query = sessions_pb2.ReadRecordingRequest(session_id=session_id, first_chunk=first_chunk, watch=watch)
        with channel.told(self.name):
            call = self._sessions.ReadRecording(query)
            try:
                for message in call:
                    yield session_wire.news(message)
            finally:
                call.cancel()

    def verify_recordings(
        self, session_id: str, since: datetime | None, until: datetime | None
    ) -> Iterator[session_model.Verdict]:
        """No session: every one that was recorded in [since, until)."""
        query = sessions_pb2.VerifyRecordingsRequest(
            session_id=session_id,
            since=times.to_us(since) if since else 0,
            until=times.to_us(until) if until else 0,
        )
        with channel.told(self.name):
            for message in self._sessions.VerifyRecordings(query):
                yield session_wire.verdict(message)

    # Administration

    def hosts(self) -> list[model.Host]:
        answer = self._call(lambda: self._admin.ListHosts(admin_pb2.ListHostsRequest(), timeout=self._timeout))
        return [wire.host(message) for message in answer.hosts]

    def create_enroll_token(self, host: str, labels: dict[str, str], valid_s: int) -> model.EnrollToken:
        order = admin_pb2.CreateEnrollTokenRequest(host_name=host, labels=labels, valid_s=valid_s)
        return wire.enroll_token(self._call(lambda: self._admin.CreateEnrollToken(order, timeout=self._timeout)))

    def remove_host(self, ref: str) -> model.Host:
        order = admin_pb2.HostRef(host=ref)
        return wire.host(self._call(lambda: self._admin.RemoveHost(order, timeout=self._timeout)))

    def users(self) -> list[model.User]:
        answer = self._call(lambda: self._admin.ListUsers(admin_pb2.ListUsersRequest(), timeout=self._timeout))
        return [wire.user(message) for message in answer.users]

    def create_user(self, name: str, account: str, duties: Sequence[str], *, service: bool) -> model.UserWithToken:
        order = admin_pb2.CreateUserRequest(name=name, account=account, duties=duties, service=service)
        return wire.user_with_token(self._call(lambda: self._admin.CreateUser(order, timeout=self._timeout)))

    def disable_user(self, ref: str) -> model.User:
        order = admin_pb2.UserRef(user=ref)
        return wire.user(self._call(lambda: self._admin.DisableUser(order, timeout=self._timeout)))

    def enable_user(self, ref: str) -> model.User:
        order = admin_pb2.UserRef(user=ref)
        return wire.user(self._call(lambda: self._admin.EnableUser(order, timeout=self._timeout)))

    def reset_mfa(self, ref: str) -> model.UserWithToken:
        order = admin_pb2.UserRef(user=ref)
        return wire.user_with_token(self._call(lambda: self._admin.ResetMfa(order, timeout=self._timeout)))

    # Audit

    def events(
        self, wanted: model.EventFilter, *, after: int = 0, limit: int = 0, newest: bool = False, follow: bool = False
    ) -> Iterator[model.Event]:
        """Events in their order, oldest first; `follow` leaves the stream open."""
        query = audit_pb2.QueryRequest(
            after=after,
            limit=limit,
            user=wanted.user,
            host=wanted.host,
            role=wanted.role,
            request_id=wanted.request_id,
            grant_id=wanted.grant_id,
            kind=wanted.kind,
            since=times.to_us(wanted.since) if wanted.since else 0,
            until=times.to_us(wanted.until) if wanted.until else 0,
            follow=follow,
            newest=newest,
        )
        with channel.told(self.name):
            for message in self._audit.Query(query):
                yield wire.event(message)
