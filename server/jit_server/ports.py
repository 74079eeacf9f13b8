"""What the services need of the world, except persistence (`store.py`).

A port is a Protocol whose docstrings are the contract.  Times are µs UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from jit_server.domain.identity import LocalUser, User
from jit_server.domain.policy.finding import Finding, PolicyFile, Spot
from jit_server.domain.policy.model import Policy
from jit_server.domain.suggestion import Proposed


class Clock(Protocol):
    def now(self) -> int:
        """Return the time in µs UTC since the epoch."""


class Signer(Protocol):
    def sign(self, message: bytes) -> bytes:
        """Return the envelope of SPEC 2.1: key id, Ed25519 signature, `message`."""

    def public_keys(self) -> Sequence[bytes]:
        """Return the raw 32-byte public keys that hosts are to trust."""


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A leaf in PEM and the instant (µs UTC) it stops counting."""

    pem: str
    expires_at: int


class CertificateAuthority(Protocol):
    def issue_host(self, untrusted_csr: str, host_id: str, now: int) -> IssuedCertificate:
        """Certify the key of a PEM request for a host; its subject is ignored.  Raises `Invalid` for a bad request."""

    def issue_user(self, untrusted_csr: str, user_id: str, now: int) -> IssuedCertificate:
        """Certify the key of a PEM request for a person; its subject is ignored.  Raises `Invalid`."""

    def certificate(self) -> str:
        """Return the authority's own certificate in PEM."""

    def fingerprint(self) -> str:
        """Return `sha256:HEX` of the authority's own certificate in DER."""


class PasswordChecker(Protocol):
    async def check(self, account: str, password: str) -> None:
        """Return if the directory accepts the password and the account is in good standing.

        Raises `Unauthenticated` if not, whatever the cause, and `Unavailable` if the directory cannot be asked.
        Takes as long for an account that does not exist as for a wrong password.
        """


class SecretBox(Protocol):
    def seal(self, secret: bytes, context: str) -> bytes:
        """Encrypt; what comes back opens only with the same `context`, and is different each time."""

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt.  Raises `Unavailable` if the bytes were changed, moved, or sealed with a key we no longer have."""


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """An enrolment under way; both fields hold the secret and are never logged."""

    uri: str
    qr: tuple[str, ...]


class Totp(Protocol):
    def new_secret(self) -> str:
        """Return a random secret in base 32, of at least 160 bits."""

    def matching_step(self, secret: str, code: str, now: int) -> int | None:
        """Return the 30-second time step the code belongs to, one step early or late allowed, or None.

        `code` is six ASCII digits.
        """

    def offer(self, secret: str, user_name: str) -> TotpOffer:
        """Return what an authenticator app needs."""


class Places(Protocol):
    """Where things stand in the files of a policy."""

    def spot(self, *path: str | int) -> Spot:
        """The entry at that path from the top, such as `roles`, its name, `eligible`, 0; or the nearest around it."""


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """`policy` is None exactly if one of the findings is an error; its version is what the caller asked for.

    `unused` are the sections and names that nothing refers to.
    """

    policy: Policy | None
    findings: tuple[Finding, ...]
    places: Places | None = None
    unused: tuple[tuple[str, str], ...] = ()


class PolicyParser(Protocol):
    def parse(self, untrusted_files: Sequence[PolicyFile], version: int, people: Collection[User]) -> ParsedPolicy:
        """Read the files; report all errors at once, with file, line and column.

        `people` are those who exist: a name of nobody is a warning, never an error, for people come and go.
        """

    def proposal(
        self, files: Sequence[PolicyFile], role: str, commands: Sequence[Proposed], heading: Sequence[str]
    ) -> str:
        """Return the role of these files, which have no error, as a file of its own with these commands instead.

        All else of the role is kept, but for `shell`; what it refers to is in the file too.
        """


@dataclass(frozen=True, slots=True)
class OnDuty:
    """`naming` are the rotas that name somebody now, `heard` all that could be asked."""

    naming: frozenset[str] = frozenset()
    heard: frozenset[str] = frozenset()


class OnCall(Protocol):
    def of(self, name: str) -> OnDuty:
        """Which rotas name the person of that name now.

        Answers at once, from what is known already; a rota of which nothing new enough is known is not `heard`.
        """


class Accounts(Protocol):
    async def of(self, host_id: str, account: str) -> LocalUser | None:
        """Return whose account this is on that host, in the host's word; None if it is nobody's who may ask.

        Raises `Unavailable` if the host is not connected, or does not answer within 3 s.
        """


class ObjectStore(Protocol):
    """Contents that never change, each under the SHA-256 of its bytes in lower-case hexadecimal.

    A digest that is none names nothing.  All methods raise `Unavailable` if the store does not do what it should, such
    as for want of room.
    """

    async def put(self, content: bytes) -> str:
        """Return the digest once the content is durable; what is there already counts as put now."""

    async def get(self, digest: str) -> bytes:
        """Raises `NotFound`.  The caller compares what comes with the digest: a disk can change it."""

    async def delete(self, digest: str, *, put_before: int) -> bool:
        """Remove it unless it was put at or after this, µs UTC; return whether it is gone, durably."""

    async def listed(self, beginning: str, *, put_before: int) -> Sequence[str]:
        """The digests that begin with these two digits, of what was put last before this, µs UTC."""


class Subscription(Protocol):
    async def wait(self) -> frozenset[str]:
        """Wait until a topic was published since the last call, and return all that were."""


REQUESTS = "requests"
"""Topic: some request or the grant of one changed."""

AUDIT = "audit"
"""Topic: the audit log grew."""


def orders_of(host_id: str) -> str:
    """Topic: what is ordered about the sessions of that host changed, or may have."""
    return f"orders {host_id}"


class Changes(Protocol):
    """Hints that something is worth reading again; the truth is in the store.

    A topic is an id (of a host: its desired state; of a request: the request or its grant; of a grant: the grant;
    of a session: the session, who watches it, or its recording), `orders_of` a host, `REQUESTS` or `AUDIT`.
    """

    def publish(self, topics: Collection[str]) -> None:
        """Wake who waits for one of the topics.  Called after the commit, never before."""

    def subscribe(self, topics: Collection[str]) -> AbstractContextManager[Subscription]:
        """Collect what is published from now on; subscribe first, then read, and nothing is missed."""
