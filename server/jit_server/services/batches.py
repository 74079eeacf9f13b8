"""One request for several hosts (SPEC 9.7): one code, one approval, and a request and a grant for each host.

The hosts are asked who the person's account is there before any transaction begins, for that takes a while; what is
decided is decided in it.  A host that does not answer, or does not fit, is left out and named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from jit_server.domain.ask import check_ask
from jit_server.domain.batch import Batch, require_few
from jit_server.domain.host_choice import choice as host_choice
from jit_server.domain.identity import Host, HostCaller, LocalUser, User, check_local_user
from jit_server.domain.ids import Kind, RandomBytes, new_id
from jit_server.domain.policy.decision import Refused
from jit_server.domain.policy.model import Policy
from jit_server.domain.request import AccessRequest
from jit_server.errors import Denied, Invalid, JitError, Unauthenticated, Unavailable
from jit_server.ports import Accounts, Clock
from jit_server.services import access, demands
from jit_server.services.batch_views import BatchHostView
from jit_server.services.demands import Met
from jit_server.services.factors import FactorService
from jit_server.services.filing import NewRequest, checked, draft, file, given, moment_of, note_refusal
from jit_server.services.planning import plan
from jit_server.services.policy_book import PolicyBook
from jit_server.services.views import Choice, RequestView, Viewer
from jit_server.services.weighing import Scales
from jit_server.store import Store, Transaction

_Answer = LocalUser | str
"""Whose account it is on a host, or why that is not known."""
_Asked = tuple[tuple[Host, _Answer], ...]
"""The hosts that were chosen, each with its answer."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """Who asks what, and on which host."""

    person: User
    asked_on: Host
    new: NewRequest
    policy: Policy
    now: int


@dataclass(frozen=True, slots=True)
class _Fit:
    """A host the request can be made for."""

    host: Host
    local: LocalUser
    choice: Choice


class BatchService:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        book: PolicyBook,
        scales: Scales,
        *,
        factors: FactorService,
        accounts: Accounts,
        random_bytes: RandomBytes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._scales = scales
        self._factors = factors
        self._accounts = accounts
        self._random_bytes = random_bytes

    async def create(self, caller: HostCaller, user: LocalUser, untrusted: NewRequest) -> RequestView:
        """Record a request for each host that is selected and fits; the answer is that of the host that asks, or the
        first one's.

        Raises as `RequestService.create` does; `Invalid` too for more hosts than the role allows, `NotFound` for a
        name of none, and `Unavailable` if no host that was selected answers.
        """
        async with self._store.read() as tx:
            asked_on, person = await access.host(tx, caller), await access.local_person(tx, user)
            hosts = await self._chosen(tx, asked_on, person, untrusted)
        if isinstance(hosts, Refused):
            await self._refuse(hosts, asked_on, person, untrusted)
            raise Denied(hosts.why, hint=hosts.hint)
        answers = await asyncio.gather(
            *(_known(user) if host.host_id == asked_on.host_id else self._account(host, person) for host in hosts)
        )
        asked = tuple(zip(hosts, answers, strict=True))
        async with self._store.read() if untrusted.dry_run else self._store.write() as tx:
            outcome = await self._create(tx, caller, user, untrusted, asked)
        if isinstance(outcome, JitError):
            raise outcome
        return outcome

    async def _chosen(
        self, tx: Transaction, asked_on: Host, person: User, untrusted: NewRequest
    ) -> tuple[Host, ...] | Refused:
        """Fix the hosts; nothing is said of hosts to somebody who has nothing to do with the role."""
        policy = await self._book.current(tx)
        if not untrusted.role:
            raise Invalid("no role was named", hint="jit ls shows what you may ask for")
        role = policy.roles.get(untrusted.role)
        if role is None or not policy.eligibilities(role, person):
            why = f"{person.name} is not eligible for a role {untrusted.role[:128]!a}"
            return Refused("", why, "jit ls shows what you may ask for")
        chosen = host_choice(untrusted.hosts)
        # Labels select among what the role reaches; who names a host wants to hear why not.
        reached = [host for host in await tx.hosts.all() if role.hosts.matches(host) or host.name in chosen.names]
        hosts = chosen.of(reached)
        require_few(role, len(hosts))
        if untrusted.session and any(host.host_id != asked_on.host_id for host in hosts):
            raise Invalid("a login session is on one host only", hint="ask without --this-session")
        return hosts

    async def _refuse(self, refused: Refused, asked_on: Host, person: User, untrusted: NewRequest) -> None:
        if untrusted.dry_run:
            return
        ask, now = check_ask(untrusted.ask), self._clock.now()
        async with self._store.write() as tx:
            await note_refusal(tx, refused, ask, person=person, host=asked_on, role=untrusted.role, now=now)

    async def _account(self, host: Host, person: User) -> _Answer:
        """Whose the person's account is there."""
        try:
            found = await self._accounts.of(host.host_id, person.account)
            if found is None:
                return f"it has no account {person.account}, or more than one"
            check_local_user(found)
        except (Unavailable, Invalid) as error:
            return str(error)
        return found if found.name == person.account else "it answered for another account"

    async def _create(
        self, tx: Transaction, caller: HostCaller, user: LocalUser, untrusted: NewRequest, asked: _Asked
    ) -> RequestView | JitError:
        now = self._clock.now()
        person, asked_on = await access.local_person(tx, user), await access.host(tx, caller)
        ask = _Ask(person, asked_on, checked(untrusted, now), await self._book.current(tx), now)
        role = ask.policy.roles.get(ask.new.role)
        if role is not None:
            # Another policy may have come into force while the hosts were asked.
            require_few(role, len(asked))
        fits: list[_Fit] = []
        left_out: dict[str, str] = {}
        refusals: list[tuple[Host, Refused]] = []
        for host, answer in asked:
            match await self._fit(tx, ask, host, answer):
                case _Fit() as fit:
                    fits.append(fit)
                case Refused() as refused:
                    refusals.append((host, refused))
                    left_out[host.name] = refused.why
                case str(why):
                    left_out[host.name] = why
        if not fits:
            return await _none(tx, ask, refusals, left_out)
        # The answer is the first one's.
        fits.sort(key=lambda fit: fit.host.host_id != asked_on.host_id)
        if untrusted.dry_run:
            return await self._dry_run(tx, ask, fits, left_out)
        met = await self._met(tx, ask, fits)
        return met if isinstance(met, Unauthenticated) else await self._file(tx, ask, met, fits, left_out)

    async def _fit(self, tx: Transaction, ask: _Ask, host: Host, local: _Answer) -> _Fit | Refused | str:
        """Hold the ask against one host, as a request on it would be; a text where the host could not be asked."""
        if isinstance(local, str):
            return local
        current = await tx.hosts.get(host.host_id)
        if current is None or current.removed:
            return "it was removed"
        found = await plan(
            tx,
            self._scales,
            ask.policy,
            ask.person,
            current,
            ask=ask.new.ask,
            wanted=ask.new.role,
            moment=moment_of(ask.new, ask.now),
        )
        return _Fit(current, local, found.choices[0]) if found.choices else found.refusals[0]

    async def _met(self, tx: Transaction, ask: _Ask, fits: list[_Fit]) -> Met | Unauthenticated:
        """The code is used up once, on the host that asks; a fresh proof is one of the host it was given on only."""
        choice = fits[0].choice
        demands.duration(choice.role, ask.new.duration_s)
        fresh = all(fit.choice.mfa_fresh for fit in fits)
        return await demands.meet(
            tx,
            self._factors,
            choice.role if fresh else replace(choice.role, mfa_age_s=0),
            given(ask.new),
            person=ask.person,
            host=ask.asked_on,
            active=choice.active,
            now=ask.now,
        )

    async def _file(
        self, tx: Transaction, ask: _Ask, met: Met, fits: list[_Fit], left_out: dict[str, str]
    ) -> RequestView:
        batch_id = new_id(Kind.BATCH, self._random_bytes)
        filed: list[AccessRequest] = []
        for fit in fits:
            if filed and not filed[0].approvals_needed:
                # The grants before it count: of a role with a limit the last hosts may get none.
                again = await self._fit(tx, ask, fit.host, fit.local)
                if not isinstance(again, _Fit):
                    left_out[fit.host.name] = again.why if isinstance(again, Refused) else again
                    continue
            drafted = draft(ask.new, fit.choice, met, person=ask.person, host=fit.host, local=fit.local, now=ask.now)
            request = await file(
                tx,
                replace(drafted, batch_id=batch_id),
                fit.choice,
                met,
                person=ask.person,
                host=fit.host,
                random_bytes=self._random_bytes,
            )
            filed.append(request)
        await tx.batches.add(
            Batch(batch_id, ask.person.user_id, ask.asked_on.host_id, ask.now, ask.new.hosts, left_out)
        )
        return await Viewer(tx, ask.policy).request(filed[0])

    async def _dry_run(self, tx: Transaction, ask: _Ask, fits: list[_Fit], left_out: Mapping[str, str]) -> RequestView:
        choice = fits[0].choice
        await demands.require(tx, ask.person, choice.role, given(ask.new), active=choice.active)
        drafts = [
            draft(ask.new, fit.choice, Met(mfa=False), person=ask.person, host=fit.host, local=fit.local, now=ask.now)
            for fit in fits
        ]
        view = await Viewer(tx, ask.policy).request(drafts[0])
        named = zip(fits, drafts, strict=True)
        would = [BatchHostView(fit.host.name, state=drafted.state) for fit, drafted in named]
        return replace(view, batch=(*would, *(BatchHostView(name, why=why) for name, why in left_out.items())))


async def _known(user: LocalUser) -> _Answer:
    """Of the host that asks, whose word is there already."""
    return user


async def _none(
    tx: Transaction, ask: _Ask, refusals: list[tuple[Host, Refused]], left_out: Mapping[str, str]
) -> JitError:
    """The error for a request that none of its hosts fits."""
    if not ask.new.dry_run:
        for host, refused in refusals:
            await note_refusal(tx, refused, ask.new.ask, person=ask.person, host=host, role=ask.new.role, now=ask.now)
    name, why = next(iter(left_out.items()))
    more = f" (and {len(left_out) - 1} hosts more)" if len(left_out) > 1 else ""
    if refusals:
        first = refusals[0][1]
        return Denied(f"{first.why}{more}", hint=first.hint)
    return Unavailable(f"no host can be asked for: {name}: {why}{more}", hint="see: jitctl hosts ls")
