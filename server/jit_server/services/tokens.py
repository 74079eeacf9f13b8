"""One-time tokens: 256 random bits shown once to a person; only their SHA-256 is kept."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from jit_server.domain.events import Event, EventKind
from jit_server.domain.identity import User
from jit_server.domain.ids import RandomBytes
from jit_server.store import Transaction
from jit_server.store_values import MfaToken

MFA_TOKEN_LIFETIME_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token in clear; `expires_at` in µs UTC."""

    token: str = field(repr=False)
    expires_at: int


def new_token(prefix: str, random_bytes: RandomBytes) -> str:
    """Return `PREFIX_…`; the prefix tells people and secret scanners what it is."""
    return f"{prefix}_{base64.urlsafe_b64encode(random_bytes(32)).rstrip(b'=').decode()}"


def hash_token(untrusted_token: str) -> bytes:
    return hashlib.sha256(untrusted_token.encode("utf-8", "surrogatepass")).digest()


async def issue_mfa_token(
    tx: Transaction, user: User, *, actor: str, now: int, random_bytes: RandomBytes
) -> IssuedToken:
    """Give the person the right to enrol one second factor within a day; a former token is void."""
    issued = IssuedToken(new_token("jit-mfa", random_bytes), now + MFA_TOKEN_LIFETIME_US)
    await tx.factors.put_token(MfaToken(user.user_id, hash_token(issued.token), issued.expires_at))
    await tx.audit.append(Event(at=now, kind=EventKind.MFA_TOKEN_CREATED, actor=actor, user=user.name))
    return issued
