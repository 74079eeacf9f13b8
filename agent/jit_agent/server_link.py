"""The channel to the server: mTLS, one for the stream and for what people ask (SPEC 1.4, 5).

Beside `enroll` the only module with the stubs.  A gRPC status becomes an error with a word of SPEC 4.3 here; an answer
that `wire` refuses becomes `ServerUnavailable`, for a server that speaks wrongly is none.
"""

from __future__ import annotations

import asyncio
import os
import urllib.parse
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its handshake noise would fill the journal
os.environ.setdefault(
    "GRPC_ENABLE_FORK_SUPPORT", "0"
)  # a child of ours execs at once; gRPC's fork handlers can crash it

import grpc
import grpc.aio

from jit_agent import eligibility_wire, people_wire, wire
from jit_agent.chunk_format import Encoding, Header
from jit_agent.errors import AgentError, Malformed, ServerUnavailable
from jit_agent.identity import Identity
from jit_agent.model import Ask, Enrolled, Extension, Login, NewRequest, Person, is_id
from jit_agent.ports import Json
from jit_protos.v1 import host_pb2, host_pb2_grpc, sessions_pb2

if TYPE_CHECKING:
    from jit_protos.v1.host_pb2_grpc import HostServiceAsyncStub

    ServerMessage = host_pb2.ServerMessage
    SessionCall = grpc.aio.StreamStreamCall[host_pb2.HostMessage, host_pb2.ServerMessage]
    RecordCall = grpc.aio.StreamStreamCall[sessions_pb2.RecordingPiece, host_pb2.RecordingKept]

CALL_S = 10.0
RETIRE_S = 10.0
"""How long calls under way may go on over a certificate that was replaced."""
MAX_SENT = 256 * 1024
MAX_RECEIVED = 4 * 1024 * 1024
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", MAX_SENT),
    ("grpc.max_receive_message_length", MAX_RECEIVED),
    # A cut cable is noticed within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # `server_session` waits between attempts, with jitter; the channel itself shall not wait much longer.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    # Two links of one process, before and after a renewal, must not share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]

_CODES = {
    grpc.StatusCode.UNAUTHENTICATED: "unauthenticated",
    grpc.StatusCode.PERMISSION_DENIED: "denied",
    grpc.StatusCode.NOT_FOUND: "not_found",
    grpc.StatusCode.ALREADY_EXISTS: "conflict",
    grpc.StatusCode.FAILED_PRECONDITION: "conflict",
    grpc.StatusCode.ABORTED: "conflict",
    grpc.StatusCode.INVALID_ARGUMENT: "invalid",
    grpc.StatusCode.OUT_OF_RANGE: "invalid",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "try_again",
}
_UNREACHABLE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
_WORDS = frozenset(
    {"usage", "pending", "unauthenticated", "denied", "not_found", "conflict", "invalid", "try_again"}
)  # fmt: skip

T = TypeVar("T")
R = TypeVar("R")


class ServerLink:
    """`ports.Server` over gRPC; `use` swaps the certificate without a restart."""

    def __init__(self, address: str, identity: Identity) -> None:
        self._address = address
        self._identity = identity
        self._channel = self._open(identity)
        self._replaced = asyncio.Event()

    async def use(self, identity: Identity) -> None:
        """Speak with this certificate from now on; the stream notices by `wait_replaced`."""
        old, self._identity, self._channel = self._channel, identity, self._open(identity)
        self._replaced.set()
        self._replaced = asyncio.Event()
        await old.close(grace=RETIRE_S)

    async def wait_replaced(self) -> None:
        await self._replaced.wait()

    async def close(self) -> None:
        await self._channel.close()

    def session(self) -> SessionCall:
        """Open the host's stream."""
        return self._stub.Session()

    def record(self) -> RecordingStream:
        """Open a stream for chunks, over a connection of its own: the host's stream never waits behind a recording."""
        return RecordingStream(self._open(self._identity))

    async def renew_certificate(self, csr: str) -> tuple[str, str]:
        """(certificate, CA), both PEM."""
        request = host_pb2.RenewCertificateRequest(csr=csr)
        answer = await self._call(self._stub.RenewCertificate(request, timeout=CALL_S))
        if not answer.certificate or not answer.ca:
            raise ServerUnavailable("the server's answer to a renewal is empty")
        return answer.certificate, answer.ca

    async def plan(self, who: Login, ask: Ask | None, role: str) -> Json:
        login = people_wire.login_message(who.arrival)
        request = host_pb2.PlanRequest(user=wire.local_user(who.person), role=role, login=login)
        if ask is not None:
            request.ask.CopyFrom(people_wire.ask_message(ask))
        return await self._call(self._stub.Plan(request, timeout=CALL_S), people_wire.plan_json)

    async def create_request(self, person: Person, new: NewRequest) -> Json:
        request = people_wire.create_message(person, new)
        read = people_wire.draft_json if new.dry_run else people_wire.request_json
        return await self._call(self._stub.CreateRequest(request, timeout=CALL_S), read)

    async def list_my_eligibilities(self, person: Person) -> Json:
        request = host_pb2.LocalListEligibilitiesRequest(user=wire.local_user(person))
        return await self._call(
            self._stub.ListMyEligibilities(request, timeout=CALL_S), eligibility_wire.eligibilities_json
        )

    async def renew(self, person: Person, role: str, reason: str) -> Json:
        request = host_pb2.LocalRenewRequest(user=wire.local_user(person), role=role, reason=reason)
        return await self._call(self._stub.RenewMyEligibility(request, timeout=CALL_S), eligibility_wire.renewal_json)

    async def extend_grant(self, person: Person, extension: Extension) -> Json:
        request = people_wire.extend_message(person, extension)
        return await self._call(self._stub.ExtendGrant(request, timeout=CALL_S), people_wire.request_json)

    async def watch_request(self, person: Person, request_id: str) -> AsyncGenerator[Json, None]:
        reference = host_pb2.LocalRequestRef(user=wire.local_user(person), request_id=request_id)
        call = self._stub.WatchRequest(reference)
        try:
            with failures_as_errors():
                async for message in call:
                    yield people_wire.request_json(message)
        finally:
            call.cancel()

    async def cancel_request(self, person: Person, request_id: str) -> Json:
        reference = host_pb2.LocalRequestRef(user=wire.local_user(person), request_id=request_id)
        return await self._call(self._stub.CancelRequest(reference, timeout=CALL_S), people_wire.request_json)

    async def list_mine(self, person: Person, *, include_over: bool) -> list[Json]:
        request = host_pb2.ListMineRequest(user=wire.local_user(person), all=include_over)
        return await self._call(
            self._stub.ListMine(request, timeout=CALL_S),
            lambda answer: [people_wire.request_json(r) for r in answer.requests],
        )

    async def list_my_sessions(self, person: Person, limit: int) -> Json:
        request = host_pb2.LocalListSessionsRequest(user=wire.local_user(person), limit=limit)
        return await self._call(self._stub.ListMySessions(request, timeout=CALL_S), people_wire.sessions_json)

    async def get_my_session(self, person: Person, session_id: str) -> Json:
        reference = host_pb2.LocalSessionRef(user=wire.local_user(person), session_id=session_id)
        return await self._call(self._stub.GetMySession(reference, timeout=CALL_S), people_wire.session_details_json)

    async def begin_totp(self, person: Person, token: str) -> Json:
        request = host_pb2.LocalBeginTotpRequest(user=wire.local_user(person), token=token)
        return await self._call(self._stub.BeginTotp(request, timeout=CALL_S), people_wire.totp_json)

    async def confirm_totp(self, person: Person, token: str, otp: str) -> None:
        request = host_pb2.LocalConfirmTotpRequest(user=wire.local_user(person), token=token, otp=otp)
        await self._call(self._stub.ConfirmTotp(request, timeout=CALL_S))

    @property
    def _stub(self) -> HostServiceAsyncStub:
        return host_pb2_grpc.HostServiceStub(self._channel)

    def _open(self, identity: Identity) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=identity.ca, private_key=identity.key, certificate_chain=identity.certificate
        )
        return grpc.aio.secure_channel(self._address, credentials, options=OPTIONS)

    @overload
    async def _call(self, call: Awaitable[T]) -> T: ...
    @overload
    async def _call(self, call: Awaitable[T], read: Callable[[T], R]) -> R: ...
    async def _call(self, call: Awaitable[T], read: Callable[[T], R] | None = None) -> T | R:
        with failures_as_errors():
            answer = await call
            return answer if read is None else read(answer)


@dataclass(frozen=True, slots=True)
class RecordingKept:
    """Of a session so many chunks from its first are durable; `refused`: no more of it is taken, and why."""

    session_id: str
    chunks: int
    refused: str


class RecordingStream:
    """One `Record` stream (SPEC 8.4) and its connection; whatever it can fail with is an `AgentError`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._call: RecordCall = host_pb2_grpc.HostServiceStub(channel).Record()

    async def send(self, session_id: str, header: Header, offset: int, data: bytes) -> None:
        """A piece of a chunk: what belongs at `offset` of its stored bytes."""
        piece = sessions_pb2.RecordingPiece(
            session_id=session_id,
            chunk=header.number,
            start_ns=header.start_ns,
            end_ns=header.end_ns,
            encoding="none" if header.encoding is Encoding.NONE else "zstd",
            size=header.size,
            decoded_size=header.decoded_size,
            sha256=header.sha256,
            offset=offset,
            data=data,
        )
        with failures_as_errors():
            await self._call.write(piece)

    async def kept(self) -> AsyncGenerator[RecordingKept, None]:
        """What the server keeps and refuses, as it says so."""
        with failures_as_errors():
            async for message in self._call:
                if not is_id(message.session_id, "ses"):
                    raise Malformed("the server speaks of a recording without a session")
                yield RecordingKept(message.session_id, message.chunks, message.refused)

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()


@contextmanager
def failures_as_errors() -> Iterator[None]:
    """Whatever a call can fail with becomes an `AgentError`."""
    try:
        yield
    except grpc.aio.AioRpcError as e:
        raise error_of(e) from e
    except Malformed as e:
        raise ServerUnavailable(str(e)) from e
    except asyncio.InvalidStateError as e:
        raise ServerUnavailable("the stream broke while it was written to") from e
    except asyncio.CancelledError:
        # gRPC's word for a channel that was closed; it must not pass for the wish to cancel the task that called.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ServerUnavailable("the connection was closed") from None


def enroll(server: str, root: bytes, token: str, csr: str, *, timeout_s: float) -> Enrolled:
    """Use up a one-time token at the bootstrap port (SPEC 1.4); `root` is the only certificate that is believed."""
    credentials = grpc.ssl_channel_credentials(root_certificates=root)
    with grpc.secure_channel(server, credentials, options=OPTIONS) as channel:
        request = host_pb2.EnrollRequest(token=token, csr=csr)
        try:
            answer = host_pb2_grpc.EnrollmentStub(channel).Enroll(request, timeout=timeout_s)
        except grpc.RpcError as e:
            raise error_of(e) from e
    return wire.parse_enrolled(answer)


def error_of(failure: grpc.RpcError) -> AgentError:
    """What a failed call means for a person; the server's own words where it gave any (see its rpc/status)."""
    metadata: Any = failure.trailing_metadata() or ()
    said = {key: value for key, value in metadata if isinstance(value, str)}
    text = failure.details() or ""
    word = said.get("jit-error-code")
    if word == "unavailable":
        return ServerUnavailable(text or "the server cannot answer now")
    if word in _WORDS and text:
        return AgentError(text, code=word, hint=urllib.parse.unquote(said.get("jit-error-hint", "")))
    if failure.code() in _UNREACHABLE:
        return ServerUnavailable(f"the server does not answer: {text or failure.code().name.lower()}")
    if failure.code() in _CODES:
        return AgentError(text or failure.code().name.lower(), code=_CODES[failure.code()])
    return AgentError("the server failed; its log says why", code="internal")
