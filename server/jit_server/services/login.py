"""People log in: password and one-time code against a short-lived client certificate.

Every refusal reads the same, so that nobody learns who exists or what was wrong.  Wrong passwords and wrong codes are
counted apart: guessing passwords must not lock somebody's second factor on the hosts.
"""

from __future__ import annotations

from dataclasses import dataclass

from jit_server.domain.events import Event, EventKind
from jit_server.domain.identity import User
from jit_server.domain.mfa import Factor
from jit_server.errors import JitError, Unauthenticated
from jit_server.ports import CertificateAuthority, Clock, IssuedCertificate, PasswordChecker
from jit_server.services.factors import FactorService, Failed
from jit_server.store import Store, Transaction


@dataclass(frozen=True, slots=True)
class Login:
    user: User
    certificate: IssuedCertificate
    ca: str


class LoginService:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        authority: CertificateAuthority,
        passwords: PasswordChecker,
        factors: FactorService,
    ) -> None:
        self._store = store
        self._clock = clock
        self._authority = authority
        self._passwords = passwords
        self._factors = factors

    async def login(
        self, untrusted_name: str, untrusted_password: str, untrusted_code: str, untrusted_csr: str
    ) -> Login:
        """Certify the key of a person who proves both factors.

        Raises `Unauthenticated` (always the same text), `Invalid` for a bad certificate request, and `Unavailable`
        if the directory cannot be asked.
        """
        async with self._store.read() as tx:
            known = await tx.people.by_name(untrusted_name)
        # Nobody's password is checked as well, or the time taken would tell who exists.  No transaction waits for it.
        refusal: Unauthenticated | None = None
        try:
            await self._passwords.check(known.account if known else untrusted_name, untrusted_password)
        except Unauthenticated as error:
            refusal = error
        async with self._store.write() as tx:
            outcome = await self._decide(tx, known, refusal, untrusted_code, untrusted_csr)
        if isinstance(outcome, JitError):
            raise outcome
        return outcome

    async def _decide(
        self,
        tx: Transaction,
        known: User | None,
        refusal: Unauthenticated | None,
        untrusted_code: str,
        untrusted_csr: str,
    ) -> Login | Unauthenticated:
        now = self._clock.now()
        user = None if known is None else await tx.people.get(known.user_id)
        if user is None or user.disabled or user.service:
            # The name is not written down: people type passwords where names belong.
            return await _refuse(tx, user, now, "unknown, disabled or a service")
        if await self._factors.locked(tx, user, Factor.PASSWORD, now) is not None:
            return await _refuse(tx, user, now, "password locked")
        if refusal is not None:
            await self._factors.count_failure(tx, user, Factor.PASSWORD, now)
            return await _refuse(tx, user, now, "password")
        proof = await self._factors.spend(tx, user, untrusted_code, now)
        if isinstance(proof, Failed):
            return await _refuse(tx, user, now, "code")
        await tx.factors.clear_failures(user.user_id, Factor.PASSWORD)
        certificate = self._authority.issue_user(untrusted_csr, user.user_id, now)
        await tx.audit.append(Event(at=now, kind=EventKind.LOGIN_SUCCEEDED, actor=user.name, user=user.name))
        return Login(user, certificate, self._authority.certificate())


async def _refuse(tx: Transaction, user: User | None, now: int, what: str) -> Unauthenticated:
    name = "" if user is None else user.name
    await tx.audit.append(
        Event(at=now, kind=EventKind.LOGIN_FAILED, actor=name or "unknown", user=name, details={"reason": what})
    )
    return Unauthenticated(
        "login refused: wrong user, password or one-time code, or too many attempts",
        hint="a code counts once: wait for the next one; after five wrong attempts wait 15 minutes",
    )
