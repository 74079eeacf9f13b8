"""Domain error to gRPC status, in one table (STYLE 8).

Beside the text for people each error carries two trailing metadata entries: `jit-error-code`, a word of SPEC 4.3, and
`jit-error-hint`, percent-encoded UTF-8, absent when there is none.  An error that is not in the table is a bug: it
becomes INTERNAL with no text, and the log has the rest.
"""

import urllib.parse

import grpc

from jit_server import errors
from jit_server.rpc.rate_limit import TooManyCalls

CODE_KEY = "jit-error-code"
HINT_KEY = "jit-error-hint"

STATUS: dict[type[errors.JitError], grpc.StatusCode] = {
    errors.Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.LimitExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Conflict: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Denied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.FactorLocked: grpc.StatusCode.UNAUTHENTICATED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    TooManyCalls: grpc.StatusCode.RESOURCE_EXHAUSTED,
}

Metadata = tuple[tuple[str, str], ...]


def status_of(error: BaseException) -> tuple[grpc.StatusCode, str, Metadata]:
    """Status, text and trailing metadata for an error; INTERNAL without text for what the table does not know."""
    if not isinstance(error, errors.JitError) or type(error) not in STATUS:
        return grpc.StatusCode.INTERNAL, "", ((CODE_KEY, "internal"),)
    metadata: Metadata = ((CODE_KEY, error.code),)
    if error.hint:
        metadata += ((HINT_KEY, urllib.parse.quote(error.hint, safe=" ")),)
    return STATUS[type(error)], str(error), metadata
