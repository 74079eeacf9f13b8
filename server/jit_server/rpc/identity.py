"""Who calls, from the client certificate that TLS has verified (SPEC 1.3): never from a field of a message.

TLS looks at a certificate only when the connection is made; so its end is checked here again at every call.  Whether
the host or the person still counts is asked of the store, by the services, in the transaction of the call itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from jit_server.domain import ids
from jit_server.domain.identity import HostCaller, Person
from jit_server.errors import Denied, Unauthenticated
from jit_server.ports import Clock
from jit_server.rpc.dispatch import Context
from jit_server.rpc.rate_limit import RateLimiter, TooManyCalls, address_of


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A person and the end (µs UTC) of the certificate they called with."""

    person: Person
    expires_at: int


class Admission:
    """Tells callers of the mTLS port, by their certificates."""

    def __init__(self, domain: str, clock: Clock) -> None:
        self._prefix = f"spiffe://{domain}/"
        self._clock = clock

    async def host(self, context: Context) -> HostCaller:
        """The calling host; raises `Unauthenticated`, or `Denied` for a certificate that is not a host's."""
        kind, name, _ = self._identity(context)
        if kind != "host" or not ids.is_id(ids.Kind.HOST, name):
            raise Denied("only a host may call this")
        return HostCaller(name)

    async def person(self, context: Context) -> LoggedIn:
        """The calling person; raises `Unauthenticated`, or `Denied` for a certificate that is not a person's."""
        kind, name, expires_at = self._identity(context)
        if kind != "user" or not ids.is_id(ids.Kind.USER, name):
            raise Denied("only a person may call this", hint="log in: jitctl login")
        return LoggedIn(Person(name), expires_at)

    def _identity(self, context: Context) -> tuple[str, str, int]:
        pem = list(context.auth_context().get("x509_pem_cert", ()))
        if len(pem) != 1:
            raise Unauthenticated("no client certificate", hint="log in: jitctl login")
        certificate = x509.load_pem_x509_certificate(pem[0])
        expires_at = int(certificate.not_valid_after_utc.timestamp()) * 1_000_000
        if self._clock.now() >= expires_at:
            raise Unauthenticated("the client certificate has expired", hint="log in again: jitctl login")
        try:
            sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            raise Unauthenticated("the client certificate names nobody") from None
        match [str(name.value) for name in sans]:
            case [uri] if uri.startswith(self._prefix):
                kind, _, name = uri.removeprefix(self._prefix).partition("/")
                return kind, name, expires_at
            case _:
                raise Unauthenticated("the client certificate names nobody of this installation")


@dataclass(frozen=True, slots=True)
class Stranger:
    """A caller of the bootstrap port; `address` is the network address the call came from."""

    address: str


class Gate:
    """Lets strangers in, but not too often."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    async def stranger(self, context: Context) -> Stranger:
        """The caller's address; raises `TooManyCalls`."""
        address = address_of(context.peer())
        if not self._limiter.admit(address):
            raise TooManyCalls("too many attempts from this address", hint="wait a minute and try again")
        return Stranger(address)
