"""Second factors: enrolling one, proving it, and what happens after wrong attempts (S9, SPEC 7).

A code counts once: the step it belongs to is stored by compare-and-set in the transaction of what it was given for.
Wrong attempts are counted in the database and their events commit although the caller is refused.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from jit_server.domain import mfa
from jit_server.domain.events import Event, EventKind
from jit_server.domain.identity import HostCaller, LocalUser, User
from jit_server.domain.mfa import Factor
from jit_server.errors import FactorLocked, Unauthenticated
from jit_server.ports import Clock, SecretBox, Totp, TotpOffer
from jit_server.services import access
from jit_server.services.tokens import hash_token
from jit_server.store import Store, Transaction
from jit_server.store_values import CodeFactor, MfaToken


@dataclass(frozen=True, slots=True)
class Passed:
    """The code was right, and is now spent."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why not; to be raised once the transaction, which holds the trace of it, has committed."""

    error: Unauthenticated


@dataclass(frozen=True, slots=True)
class _Matched:
    """The code is right, for this time step."""

    step: int


class FactorService:
    def __init__(self, store: Store, clock: Clock, secret_box: SecretBox, totp: Totp) -> None:
        self._store = store
        self._clock = clock
        self._secret_box = secret_box
        self._totp = totp

    async def begin(self, untrusted_name: str, untrusted_token: str) -> TotpOffer:
        """Offer a new factor to the person of that name who holds a one-time token.

        It counts only after `confirm`; beginning again makes the former offer void.
        Raises `Unauthenticated`, the same whether the person or the token is wrong.
        """
        async with self._store.write() as tx:
            return await self._begin(tx, await tx.people.by_name(untrusted_name), untrusted_token)

    async def begin_local(self, caller: HostCaller, user: LocalUser, untrusted_token: str) -> TotpOffer:
        """As `begin`, for the person with that account on the calling host."""
        async with self._store.write() as tx:
            await access.host(tx, caller)
            return await self._begin(tx, await access.local_person(tx, user), untrusted_token)

    async def confirm(self, untrusted_name: str, untrusted_token: str, untrusted_code: str) -> None:
        """Make the offered factor count, proved by one code; the token is then used up.

        Raises `Unauthenticated` for a wrong token or code, `FactorLocked` after too many wrong codes.
        """
        async with self._store.write() as tx:
            result = await self._confirm(tx, await tx.people.by_name(untrusted_name), untrusted_token, untrusted_code)
        if isinstance(result, Failed):
            raise result.error

    async def confirm_local(
        self, caller: HostCaller, user: LocalUser, untrusted_token: str, untrusted_code: str
    ) -> None:
        """As `confirm`, for the person with that account on the calling host."""
        async with self._store.write() as tx:
            await access.host(tx, caller)
            person = await access.local_person(tx, user)
            result = await self._confirm(tx, person, untrusted_token, untrusted_code)
        if isinstance(result, Failed):
            raise result.error

    async def spend(
        self, tx: Transaction, user: User, untrusted_code: str, now: int, *, host: str = ""
    ) -> Passed | Failed:
        """Use up one code of the person, in the caller's transaction, which must commit whatever the answer is."""
        factor = await tx.factors.factor(user.user_id)
        if factor is None:
            return Failed(
                Unauthenticated(
                    f"{user.name} has no second factor",
                    hint="ask an administrator for a token, then: jit mfa enroll --token TOKEN",
                )
            )
        result = await self._match(tx, user, factor, untrusted_code, now=now, host=host)
        if isinstance(result, Failed):
            return result
        if not await tx.factors.use_step(user.user_id, result.step):
            return Failed(_used_before())
        return Passed()

    async def locked(self, tx: Transaction, user: User, factor: Factor, now: int) -> Failed | None:
        """Say that the factor is locked, if it is."""
        until = await tx.factors.locked_until(user.user_id, factor)
        if until <= now:
            return None
        minutes = -((now - until) // 60_000_000)
        return Failed(
            FactorLocked(f"too many wrong attempts: locked for {minutes} more min", hint="wait, then try again")
        )

    async def count_failure(self, tx: Transaction, user: User, factor: Factor, now: int, *, host: str = "") -> int:
        """Record one wrong attempt, lock the factor if it was one too many, and return how many are left."""
        await tx.factors.add_failure(user.user_id, factor, now)
        await _note_failure(tx, user, now, host, f"wrong {factor.value}")
        failures = mfa.counted(await tx.factors.failures(user.user_id, factor), now)
        if failures >= mfa.MAX_FAILURES:
            await tx.factors.clear_failures(user.user_id, factor)
            await tx.factors.lock(user.user_id, factor, now + mfa.LOCK_US)
            details = {"factor": factor.value}
            await tx.audit.append(
                Event(at=now, kind=EventKind.MFA_LOCKED, actor=user.name, user=user.name, host=host, details=details)
            )
            return 0
        return mfa.MAX_FAILURES - failures

    async def _match(
        self, tx: Transaction, user: User, factor: CodeFactor, untrusted_code: str, *, now: int, host: str
    ) -> _Matched | Failed:
        if not untrusted_code:
            return Failed(Unauthenticated("a one-time code is needed", hint="give it with --otp CODE"))
        lock = await self.locked(tx, user, Factor.CODE, now)
        if lock is not None:
            await _note_failure(tx, user, now, host, "locked")
            return lock
        if not mfa.is_code(untrusted_code):
            await _note_failure(tx, user, now, host, "malformed")
            return Failed(Unauthenticated("a one-time code is six digits 0-9"))
        secret = self._secret_box.open(factor.sealed_secret, _context(user)).decode()
        step = self._totp.matching_step(secret, untrusted_code, now)
        if step is None:
            left = await self.count_failure(tx, user, Factor.CODE, now, host=host)
            return Failed(_wrong_code(left))
        if mfa.is_spent(step, factor.last_step):
            # A right code was not found by trying, so it does not count towards the lock.
            await _note_failure(tx, user, now, host, "used before")
            return Failed(_used_before())
        await tx.factors.clear_failures(user.user_id, Factor.CODE)
        return _Matched(step)

    async def _begin(self, tx: Transaction, user: User | None, untrusted_token: str) -> TotpOffer:
        token = await self._token(tx, user, untrusted_token)
        if user is None or isinstance(token, Failed):
            raise _bad_token()
        secret = self._totp.new_secret()
        sealed = self._secret_box.seal(secret.encode(), _context(user))
        await tx.factors.put_token(MfaToken(token.user_id, token.token_hash, token.expires_at, sealed))
        return self._totp.offer(secret, user.name)

    async def _confirm(
        self, tx: Transaction, user: User | None, untrusted_token: str, untrusted_code: str
    ) -> Passed | Failed:
        token = await self._token(tx, user, untrusted_token)
        if user is None or isinstance(token, Failed):
            return Failed(_bad_token())
        if token.sealed_secret is None:
            return Failed(Unauthenticated("no second factor was offered yet", hint="begin again: jit mfa enroll"))
        now = self._clock.now()
        offered = CodeFactor(token.sealed_secret, last_step=0)
        result = await self._match(tx, user, offered, untrusted_code, now=now, host="")
        if isinstance(result, Failed):
            return result
        await tx.factors.set_factor(user.user_id, CodeFactor(token.sealed_secret, result.step))
        await tx.factors.remove_token(user.user_id)
        await tx.audit.append(Event(at=now, kind=EventKind.MFA_ENROLLED, actor=user.name, user=user.name))
        return Passed()

    async def _token(self, tx: Transaction, user: User | None, untrusted_token: str) -> MfaToken | Failed:
        stored = await tx.factors.token(user.user_id) if user is not None and not user.disabled else None
        shown = hash_token(untrusted_token)
        if (
            stored is None
            or stored.expires_at <= self._clock.now()
            or not hmac.compare_digest(stored.token_hash, shown)
        ):
            return Failed(_bad_token())
        return stored


async def _note_failure(tx: Transaction, user: User, now: int, host: str, reason: str) -> None:
    details = {"reason": reason}
    await tx.audit.append(
        Event(at=now, kind=EventKind.MFA_FAILED, actor=user.name, user=user.name, host=host, details=details)
    )


def _context(user: User) -> str:
    """Binds the sealed secret to its owner: moved to another row it does not open."""
    return f"totp {user.user_id}"


def _bad_token() -> Unauthenticated:
    return Unauthenticated(
        "this token cannot be used: wrong, expired or used up", hint="ask an administrator: jitctl users mfa-reset"
    )


def _used_before() -> Unauthenticated:
    return Unauthenticated("this one-time code was used before", hint="wait for the next one")


def _wrong_code(left: int) -> Unauthenticated:
    if left == 0:
        minutes = mfa.LOCK_US // 60_000_000
        return FactorLocked(f"wrong one-time code, and it was the last try: locked for {minutes} min")
    return Unauthenticated(f"wrong one-time code; {left} {'tries' if left > 1 else 'try'} left")
