"""The server as a host sees it: Enrollment and HostService over real mTLS, with no policy and no store.

It keeps what SPEC 5 promises a host (reports kept once, the whole desired state on every stream) and otherwise does
what the test says.  `stop` and `start` again is a restart: what was kept stays kept, unless the test lets it `forget`.
"""

# ruff: noqa: N802 (gRPC names the methods)
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import grpc.aio

from jit_protos.v1 import common_pb2, host_pb2, host_pb2_grpc
from jit_testing.fake_eligibility_calls import FakeEligibilityCalls, a_batch
from jit_testing.fake_enforcer import HOST
from jit_testing.fake_session_calls import FakeSessionCalls
from jit_testing.host_certificates import TestAuthority

TOKEN = "one-time-token"
GRANT_KEY = bytes(range(32))


@dataclass(frozen=True)
class ScriptedError(Exception):
    """What a call shall fail with."""

    status: grpc.StatusCode
    text: str
    code: str = ""
    hint: str = ""


@dataclass
class Stream:
    """One `Session` of a host, as the server saw it."""

    hello: host_pb2.HostHello
    peer: str
    certificate: bytes
    outgoing: asyncio.Queue[host_pb2.ServerMessage | None] = field(default_factory=asyncio.Queue)
    settled: list[int] = field(default_factory=list)
    heartbeats: int = 0
    accounts: list[host_pb2.AccountAnswer] = field(default_factory=list)


def pending(request_id: str = "req-0000000000000001", **changes: Any) -> common_pb2.Request:
    """A pending request, as the server tells it."""
    fields: dict[str, Any] = {
        "request_id": request_id,
        "user": "alice",
        "host": "web1",
        "role": "web-operator",
        "ask": common_pb2.Ask(argv=["/usr/bin/id"], run_as_user="root"),
        "reason": "look",
        "duration_s": 1800,
        "state": common_pb2.REQUEST_STATE_PENDING,
        "created_at": 1_700_000_000_000_000,
        "lapses_at": 1_700_000_900_000_000,
        "approvals_needed": 1,
        "approvers": ["carol"],
    }
    return common_pb2.Request(**(fields | changes))


def grant(
    grant_id: str, state: common_pb2.GrantState.ValueType = common_pb2.GRANT_STATE_ISSUED, **changes: Any
) -> common_pb2.Grant:
    """A grant, as the server tells it."""
    fields: dict[str, Any] = {
        "grant_id": grant_id,
        "request_id": "req-0000000000000001",
        "user": "alice",
        "host": "web1",
        "role": "web-operator",
        "run_as_user": "root",
        "commands": ["ALL"],
        "state": state,
        "not_before": 1_700_000_000_000_000,
        "not_after": 4_000_000_000_000_000,
    }
    return common_pb2.Grant(**(fields | changes))


class FakeServer(FakeSessionCalls, FakeEligibilityCalls, host_pb2_grpc.EnrollmentServicer):
    """`async with FakeServer() as server:`; `server.address` is the mTLS port, `server.bootstrap` the other."""

    def __init__(self) -> None:
        super().__init__()
        self.authority = TestAuthority()
        self.address = ""
        self.bootstrap = ""
        self.desired = host_pb2.DesiredState(generation=1)
        self.keeps = True
        """Acknowledge reports."""
        self.clock_ahead_us = 0
        self.streams: list[Stream] = []
        self.reports: dict[tuple[str, int], host_pb2.Report] = {}
        self.requests: dict[str, common_pb2.Request] = {}
        self.asked: list[Any] = []
        self.fail: ScriptedError | None = None
        """What every call of a person fails with."""
        self.tokens = {TOKEN}
        self.issue: Callable[[bytes], bytes] = lambda csr: self.authority.host(csr, HOST)
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None
        self._key, self._certificate = self.authority.server()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; after the first time on the same ports."""
        pair = [(self._key, self._certificate + self.authority.pem)]
        mutual = grpc.ssl_server_credentials(pair, self.authority.pem, require_client_auth=True)
        server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
                ("grpc.max_receive_message_length", 256 * 1024),
            ]
        )
        host_pb2_grpc.add_HostServiceServicer_to_server(self, server)
        host_pb2_grpc.add_EnrollmentServicer_to_server(self, server)
        port = server.add_secure_port(self.address or "127.0.0.1:0", mutual)
        bootstrap = server.add_secure_port(self.bootstrap or "127.0.0.1:0", grpc.ssl_server_credentials(pair))
        await server.start()
        self.address, self.bootstrap, self._server = f"127.0.0.1:{port}", f"127.0.0.1:{bootstrap}", server

    async def stop(self) -> None:
        """As a killed server: streams break, nothing more is answered."""
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None
            self.streams.clear()

    async def push(self, *grants: host_pb2.SignedGrant) -> None:
        """A new desired state, told on every stream."""
        self.desired = host_pb2.DesiredState(generation=self.desired.generation + 1, grants=grants)
        for stream in self.streams:
            stream.outgoing.put_nowait(host_pb2.ServerMessage(desired=self.desired))

    def forget(self, *, above: int) -> None:
        """As a server restored from a backup: reports with a higher number were never kept."""
        self.reports = {key: report for key, report in self.reports.items() if key[1] <= above}

    async def decide(self, changed: common_pb2.Request) -> None:
        """Put a request, and tell whoever watches it."""
        async with self._changed:
            self.requests[changed.request_id] = changed
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        """Wait for something the host says to make the condition true; TimeoutError if it does not."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.005)

    def told(self, kind: str) -> list[Any]:
        """The bodies of all reports of a kind, in order."""
        return [
            getattr(report, kind) for _, report in sorted(self.reports.items()) if report.WhichOneof("body") == kind
        ]

    # HostService

    async def Session(
        self, request_iterator: AsyncIterator[host_pb2.HostMessage], context: Any
    ) -> AsyncIterator[host_pb2.ServerMessage]:
        first = await anext(request_iterator, None)
        if first is None:
            # The host went away before it said hello.
            return
        assert first.WhichOneof("body") == "hello"
        stream = Stream(first.hello, context.peer(), context.auth_context()["x509_pem_cert"][0])
        stream.outgoing.put_nowait(
            host_pb2.ServerMessage(time=host_pb2.ServerTime(now=time.time_ns() // 1000 + self.clock_ahead_us))
        )
        kept = max((n for spool, n in self.reports if spool == first.hello.spool_id), default=0)
        stream.outgoing.put_nowait(host_pb2.ServerMessage(kept=host_pb2.ReportsKept(sequence=kept)))
        stream.outgoing.put_nowait(host_pb2.ServerMessage(desired=self.desired))
        self.streams.append(stream)
        reader = asyncio.create_task(self._read(request_iterator, stream))
        try:
            while (message := await stream.outgoing.get()) is not None:
                yield message
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            if stream in self.streams:
                self.streams.remove(stream)

    async def _read(self, messages: AsyncIterator[host_pb2.HostMessage], stream: Stream) -> None:
        async for message in messages:
            match message.WhichOneof("body"):
                case "report":
                    await self._keep(message.report, stream)
                case "settled":
                    stream.settled.append(message.settled.generation)
                case "heartbeat":
                    stream.heartbeats += 1
                case "account":
                    stream.accounts.append(message.account)
                case other:
                    raise AssertionError(f"unexpected {other}")
        stream.outgoing.put_nowait(None)

    async def _keep(self, report: host_pb2.Report, stream: Stream) -> None:
        key = stream.hello.spool_id, report.sequence
        kept = max((n for spool, n in self.reports if spool == key[0]), default=0)
        if self.keeps:
            assert report.sequence <= kept + 1, "a gap in the reports"
            self.reports.setdefault(key, report)
            stream.outgoing.put_nowait(host_pb2.ServerMessage(kept=host_pb2.ReportsKept(sequence=max(kept, key[1]))))

    async def RenewCertificate(
        self, request: host_pb2.RenewCertificateRequest, context: Any
    ) -> host_pb2.RenewCertificateResponse:
        await self._ask(request, context)
        certificate = self.issue(request.csr.encode())
        return host_pb2.RenewCertificateResponse(certificate=certificate.decode(), ca=self.authority.pem.decode())

    async def Plan(self, request: host_pb2.PlanRequest, context: Any) -> host_pb2.PlanResponse:
        await self._ask(request, context)
        choice = host_pb2.Choice(role="web-operator", default_s=1800, max_s=7200, mfa=True, approvals=1)
        return host_pb2.PlanResponse(choices=[choice], mfa_enrolled=True)

    async def CreateRequest(self, request: host_pb2.CreateRequestRequest, context: Any) -> common_pb2.Request:
        await self._ask(request, context)
        made = pending(
            ask=request.ask, reason=request.reason, role=request.role, once=request.once,
            this_session=bool(request.session), starts_at=request.starts_at,
        )  # fmt: skip
        if request.hosts:
            made.MergeFrom(a_batch(*request.hosts))
        if request.dry_run:
            made.request_id = ""
            return made
        await self.decide(made)
        return made

    async def ExtendGrant(self, request: host_pb2.ExtendGrantRequest, context: Any) -> common_pb2.Request:
        await self._ask(request, context)
        made = pending(extends=request.grant_id, reason=request.reason, duration_s=request.duration_s)
        await self.decide(made)
        return made

    async def WatchRequest(self, request: host_pb2.LocalRequestRef, context: Any) -> AsyncIterator[common_pb2.Request]:
        await self._ask(request, context)
        shown = None
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._named(request.request_id) != shown)  # noqa: B023
                shown = self._named(request.request_id)
            if shown is not None:
                yield shown

    async def CancelRequest(self, request: host_pb2.LocalRequestRef, context: Any) -> common_pb2.Request:
        await self._ask(request, context)
        found = self._named(request.request_id)
        if found is None:
            await _refuse(
                context, ScriptedError(grpc.StatusCode.NOT_FOUND, "no such request", "not_found", "jit status")
            )
            raise AssertionError
        found.state = common_pb2.REQUEST_STATE_CANCELLED
        return found

    async def ListMine(self, request: host_pb2.ListMineRequest, context: Any) -> host_pb2.ListMineResponse:
        await self._ask(request, context)
        return host_pb2.ListMineResponse(requests=list(self.requests.values()))

    async def BeginTotp(self, request: host_pb2.LocalBeginTotpRequest, context: Any) -> common_pb2.TotpOffer:
        await self._ask(request, context)
        return common_pb2.TotpOffer(uri="otpauth://totp/jit:alice?secret=AAAA", qr=["█▀▄ "])

    async def ConfirmTotp(
        self, request: host_pb2.LocalConfirmTotpRequest, context: Any
    ) -> host_pb2.LocalConfirmTotpResponse:
        await self._ask(request, context)
        return host_pb2.LocalConfirmTotpResponse()

    # Enrollment

    async def Enroll(self, request: host_pb2.EnrollRequest, context: Any) -> host_pb2.EnrollResponse:
        if request.token not in self.tokens:
            error = ScriptedError(
                grpc.StatusCode.UNAUTHENTICATED, "the token is not valid", "unauthenticated", "ask for a new one"
            )
            await _refuse(context, error)
        self.tokens.discard(request.token)
        return host_pb2.EnrollResponse(
            host_id=HOST,
            host_name="web1",
            certificate=self.issue(request.csr.encode()).decode(),
            ca=self.authority.pem.decode(),
            grant_keys=[GRANT_KEY],
            server=self.address,
        )

    def _named(self, prefix: str) -> common_pb2.Request | None:
        return next((r for request_id, r in self.requests.items() if request_id.startswith(prefix)), None)

    async def _ask(self, request: Any, context: Any) -> None:
        self.asked.append(request)
        if self.fail is not None:
            await _refuse(context, self.fail)


async def _refuse(context: Any, error: ScriptedError) -> None:
    metadata = []
    if error.code:
        metadata = [("jit-error-code", error.code), ("jit-error-hint", quote(error.hint, safe=" "))]
    await context.abort(error.status, error.text, trailing_metadata=tuple(metadata))
