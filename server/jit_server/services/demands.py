"""What a role wants of an ask before it is recorded; the second factor, which is used up, comes last (S9)."""

from __future__ import annotations

from dataclasses import dataclass

from jit_server.domain.identity import Host, User
from jit_server.domain.lifecycle import RequestState
from jit_server.domain.mfa import Factor
from jit_server.domain.pattern import Pattern
from jit_server.domain.policy.model import Role
from jit_server.domain.request import MAX_PENDING
from jit_server.domain.span import typed
from jit_server.errors import Invalid, LimitExceeded, Unauthenticated
from jit_server.services.factors import FactorService, Failed
from jit_server.store import Transaction
from jit_server.store_values import Scope


@dataclass(frozen=True, slots=True)
class Given:
    """What the person gives with an ask; `untrusted_otp` empty: no code."""

    reason: str
    ticket: str
    untrusted_otp: str


@dataclass(frozen=True, slots=True)
class Met:
    """All that the role wants was given; `mfa` is whether a second factor stands behind it, by a code or a fresh proof.

    `proved_at` (µs UTC) is when that fresh proof was given; zero: there was a code.
    """

    mfa: bool
    proved_at: int = 0


def duration(role: Role, untrusted_s: int) -> int:
    """Return the seconds to ask for, zero being the role's default; raise `Invalid` for what the role never gives."""
    if untrusted_s == 0:
        return role.default_s
    if not 1 <= untrusted_s <= role.max_s:
        raise Invalid(
            f"{typed(untrusted_s)} is not a duration role {role.name} allows",
            hint=f"ask for {typed(role.max_s)} at most",
        )
    return untrusted_s


def is_fresh(role: Role, proved_at: int, now: int) -> bool:
    """Whether a factor proved then (µs UTC, zero for never) will do for the role now."""
    return bool(role.mfa_age_s) and 0 < proved_at <= now < proved_at + role.mfa_age_s * 1_000_000


async def require(tx: Transaction, person: User, role: Role, given: Given, *, active: bool) -> None:
    """Raise as `meet` does for all that the role wants but the code."""
    if role.reason and not given.reason and not active:
        raise Invalid(f"role {role.name} needs a reason", hint="say why with -m REASON")
    _require_ticket(role, given.ticket)
    await _require_room(tx, person)


async def meet(
    tx: Transaction,
    factors: FactorService,
    role: Role,
    given: Given,
    *,
    person: User,
    host: Host,
    active: bool,
    now: int,
) -> Met | Unauthenticated:
    """Return once all that the role wants was given, the one-time code used up.

    A role that is the person's own for a while (`active`) wants neither reason nor code of them.
    Raises `Invalid` for a missing reason or ticket and `LimitExceeded` for too many pending requests.  What is wrong
    with the code is returned, to be raised once the transaction, which holds the trace of it, has committed.
    """
    await require(tx, person, role, given, active=active)
    if not role.mfa or active:
        return Met(mfa=False)
    if not given.untrusted_otp:
        proved_at = await tx.factors.proved_at(person.user_id, host.host_id)
        if is_fresh(role, proved_at, now) and await factors.locked(tx, person, Factor.CODE, now) is None:
            return Met(mfa=True, proved_at=proved_at)
    proof = await factors.spend(tx, person, given.untrusted_otp, now, host=host.name)
    if isinstance(proof, Failed):
        return proof.error
    await tx.factors.set_proved(person.user_id, host.host_id, now)
    return Met(mfa=True)


def _require_ticket(role: Role, ticket: str) -> None:
    if role.ticket and not ticket:
        raise Invalid(f"role {role.name} needs a ticket", hint="name it with -t TICKET")
    if ticket and role.ticket_pattern and not Pattern(role.ticket_pattern).matches(ticket):
        raise Invalid(
            f"{ticket!a} is not a ticket as role {role.name} wants it", hint=f"it has to match {role.ticket_pattern}"
        )


async def _require_room(tx: Transaction, person: User) -> None:
    mine = Scope(user_id=person.user_id)
    pending = await tx.requests.select(mine, states=(RequestState.PENDING,))
    # However many hosts it is for, it was asked once.
    if len({request.batch_id or request.request_id for request in pending}) >= MAX_PENDING:
        raise LimitExceeded(
            f"{person.name} has {MAX_PENDING} pending requests, which is the limit",
            hint="cancel one: jit cancel ID",
        )
