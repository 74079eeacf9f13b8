"""What a role wants of an ask before it is recorded; the second factor, which is used up, comes last (S9)."""

from __future__ import annotations

from jit_server.domain.identity import User
from jit_server.domain.lifecycle import RequestState
from jit_server.domain.policy import Role
from jit_server.domain.request import MAX_PENDING
from jit_server.domain.span import typed
from jit_server.errors import Invalid, LimitExceeded, Unauthenticated
from jit_server.services.factors import FactorService, Failed
from jit_server.store import Transaction
from jit_server.store_values import Scope


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


async def meet(
    tx: Transaction,
    factors: FactorService,
    person: User,
    role: Role,
    *,
    reason: str,
    ticket: str,
    untrusted_otp: str,
    host: str,
    now: int,
) -> Unauthenticated | None:
    """Return None once all that the role wants was given, the one-time code used up.

    Raises `Invalid` for a missing reason or ticket and `LimitExceeded` for too many pending requests.  What is wrong
    with the code is returned, to be raised once the transaction, which holds the trace of it, has committed.
    """
    if role.reason and not reason:
        raise Invalid(f"role {role.name} needs a reason", hint="say why with -m REASON")
    if role.ticket and not ticket:
        raise Invalid(f"role {role.name} needs a ticket", hint="name it with -t TICKET")
    await _require_room(tx, person)
    if not role.mfa:
        return None
    proof = await factors.spend(tx, person, untrusted_otp, now, host=host)
    return proof.error if isinstance(proof, Failed) else None


async def _require_room(tx: Transaction, person: User) -> None:
    mine = Scope(user_id=person.user_id)
    pending = await tx.requests.select(mine, states=(RequestState.PENDING,), limit=MAX_PENDING)
    if len(pending) >= MAX_PENDING:
        raise LimitExceeded(
            f"{person.name} has {MAX_PENDING} pending requests, which is the limit",
            hint="cancel one: jit cancel ID",
        )
