"""gRPC channels, and what a failed call means to a person (SPEC 4.3).

The server says its code word in the trailing metadata `jit-error-code` and a
hint, percent-encoded, in `jit-error-hint`.  Without them the gRPC status
decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import grpc

from .errors import EXIT_STATUS, CtlError

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes; a list of a thousand requests with long command lines fits."""

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_ANSWER),
    # The server is inside the fleet; a web proxy of the environment is not on the way to it.
    ("grpc.enable_http_proxy", 0),
    # A watcher must notice a server that is cut off without a word; the server allows a ping every 5 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]

_CODE_OF_STATUS = {
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.DEADLINE_EXCEEDED: "unavailable",
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
_HINT_OF_CODE = {
    "unauthenticated": "run 'jitctl login'",
    "unavailable": "check that jit-server runs and can be reached",
    "try_again": "wait a little and try again",
}
_TLS_WORDS = ("certificate", "handshake", "peer name", "hostname verification")


def secure(server: str, ca: bytes, key: bytes | None = None, certificate: bytes | None = None) -> grpc.Channel:
    """A channel to HOST:PORT that believes only `ca`."""
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    return grpc.secure_channel(server, credentials, options=_OPTIONS)


@contextmanager
def told(server: str) -> Iterator[None]:
    """Turn a failed call inside into a `CtlError`."""
    try:
        yield
    except grpc.RpcError as error:
        raise _told(error, server) from error


def _told(error: grpc.RpcError, server: str) -> CtlError:
    # Every error of a client call is also the call; the type does not say so.
    if not isinstance(error, grpc.Call):
        return CtlError("failed", f"the call to {server} failed")
    metadata = {key: value for key, value in error.trailing_metadata() or () if isinstance(value, str)}
    details = error.details() or ""
    word = metadata.get("jit-error-code", "")
    if word in EXIT_STATUS:
        hint = unquote(metadata.get("jit-error-hint", "")) or _HINT_OF_CODE.get(word, "")
        return CtlError(word, details or word.replace("_", " "), hint)
    status = error.code()
    code = _CODE_OF_STATUS.get(status, "failed")
    hint = _HINT_OF_CODE.get(code, "")
    match status:
        case grpc.StatusCode.UNAVAILABLE if any(word in details.lower() for word in _TLS_WORDS):
            return CtlError(
                code,
                f"no trusted connection to {server}: {_cause(details)}",
                "the server's certificate must carry this name and come from the pinned CA; yours must be valid: "
                "run 'jitctl login'",
            )
        case grpc.StatusCode.UNAVAILABLE:
            return CtlError(code, f"cannot reach {server}: {_cause(details)}", hint)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return CtlError(code, f"no answer from {server} in time", "try again, or allow more with --timeout")
        case grpc.StatusCode.UNIMPLEMENTED:
            return CtlError(code, f"{server} does not know this call", "is jit-server older than jitctl?")
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" in details:
            return CtlError("invalid", f"the message is too large: {details}", "send or ask for less at once")
        case grpc.StatusCode.INTERNAL | grpc.StatusCode.UNKNOWN:
            return CtlError(code, f"{server} failed: {details or 'no reason given'}", "the server's log says why")
        case _:
            return CtlError(code, details or status.name.lower().replace("_", " "), hint)


def _cause(details: str) -> str:
    """The last and most telling part of gRPC's report of a failed connection."""
    return details.rpartition("last error: ")[2].rpartition("UNKNOWN: ")[2].strip() or "no connection"
