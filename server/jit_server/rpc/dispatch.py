"""From gRPC to a handler and back: the one way in for every method of every service.

Before a handler runs, the caller is known and the message is within its limit; what a handler raises becomes a status
here and nowhere else.  A service that leaves out a method of its descriptor does not start.  Unary calls are finished
even when the caller cancels; streams end at their next pause, and `Calls.drain` ends them when the server stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from jit_server import errors
from jit_server.rpc.finishing import finished
from jit_server.rpc.status import status_of

MESSAGE_LIMIT = 256 * 1024
"""SPEC 7: what one message to the server may measure, in bytes."""

Context = grpc.aio.ServicerContext[Any, Any]
Caller = TypeVar("Caller")
Write = Callable[[Any], Awaitable[None]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service(Generic[Caller]):
    """One gRPC service.

    `admit` tells who calls, or raises.  Handlers, by method name: unary `(caller, request) -> awaitable of a message`;
    server streaming `(caller, request) -> async iterator`; both streaming `(caller, requests, write) -> awaitable`.
    """

    descriptor: ServiceDescriptor
    admit: Callable[[Context], Awaitable[Caller]]
    handlers: Mapping[str, Callable[..., Any]]
    limits: Mapping[str, int] = field(default_factory=dict)
    """Methods whose messages have another limit than `MESSAGE_LIMIT`."""


class Calls:
    """The calls that are under way, so that a stopping server can end the streams and wait for the rest.

    gRPC takes a call that its peer has cancelled for over, while its handler may still be finishing what it began.
    """

    def __init__(self) -> None:
        self._handling: set[asyncio.Task[Any]] = set()
        self._open: set[asyncio.Timeout] = set()
        self._draining = False

    @contextlib.contextmanager
    def handling(self) -> Iterator[None]:
        """Count the current task as one that handles a call."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call is handled outside a task")
        self._handling.add(task)
        try:
            yield
        finally:
            self._handling.discard(task)

    async def ended(self, timeout_s: float) -> None:
        """Return when no call is handled any more, after `timeout_s` seconds at the latest."""
        if self._handling:
            await asyncio.wait(self._handling, timeout=timeout_s)

    @contextlib.asynccontextmanager
    async def stream(self) -> AsyncIterator[None]:
        """Run one stream; raises `errors.Unavailable` out of it once the server drains."""
        try:
            async with asyncio.timeout(0 if self._draining else None) as scope:
                self._open.add(scope)
                try:
                    yield
                finally:
                    self._open.discard(scope)
        except TimeoutError:
            if not scope.expired():
                raise
            raise errors.Unavailable("the server is stopping", hint="connect again in a moment") from None

    def drain(self) -> None:
        """End every open stream now, and every new one at once."""
        self._draining = True
        now = asyncio.get_running_loop().time()
        for scope in self._open:
            if not scope.expired():
                scope.reschedule(now)


def handler_of(service: Service[Any], calls: Calls) -> grpc.GenericRpcHandler:
    """What grpc registers; raises LookupError unless the handlers are exactly the methods of the descriptor."""
    declared = {method.name: method for method in service.descriptor.methods}
    if declared.keys() != service.handlers.keys():
        raise LookupError(f"{service.descriptor.full_name}: handlers and methods differ")
    return grpc.method_handlers_generic_handler(
        service.descriptor.full_name,
        {name: _method_handler(service, method, calls) for name, method in declared.items()},
    )


def _method_handler(service: Service[Any], method: MethodDescriptor, calls: Calls) -> grpc.RpcMethodHandler[Any, Any]:
    handle = service.handlers[method.name]
    limit = service.limits.get(method.name, MESSAGE_LIMIT)
    codec: dict[str, Any] = {
        "request_deserializer": GetMessageClass(method.input_type).FromString,
        "response_serializer": _serialized,
    }

    async def unary(request: Message, context: Context) -> Any:
        async with _answering(method, context, calls):
            caller = await service.admit(context)
            return await finished(handle(caller, _within(limit, request)))

    async def server_stream(request: Message, context: Context) -> None:
        async with _answering(method, context, calls):
            caller = await service.admit(context)
            async with calls.stream(), contextlib.aclosing(handle(caller, _within(limit, request))) as answers:
                async for answer in answers:
                    await context.write(answer)

    async def both_stream(requests: AsyncIterator[Message], context: Context) -> None:
        async with _answering(method, context, calls):
            caller = await service.admit(context)
            async with calls.stream():
                await handle(caller, (_within(limit, request) async for request in requests), context.write)

    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(both_stream, **codec)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(server_stream, **codec)
    return grpc.unary_unary_rpc_method_handler(unary, **codec)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _within(limit: int, untrusted_message: Message) -> Message:
    if (size := untrusted_message.ByteSize()) > limit:
        raise errors.LimitExceeded(f"the message has {size} bytes, the limit is {limit}")
    return untrusted_message


@contextlib.asynccontextmanager
async def _answering(method: MethodDescriptor, context: Context, calls: Calls) -> AsyncIterator[None]:
    """Turn what is raised inside into the status of the call."""
    with calls.handling():
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            code, text, metadata = status_of(error)
            if code is grpc.StatusCode.INTERNAL:
                _log.exception("A call failed in a way it must not: %s", method.full_name)
            await context.abort(code, text, metadata)
