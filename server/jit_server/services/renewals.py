"""Asking for an eligibility to last longer, and deciding on it (SPEC 9.7).

Each step and its event are one transaction (S7).  Nobody decides on their own (S8), and what the files no longer say
ends nothing less than what they gave (S10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jit_server.domain.events import SERVER, Event, EventKind, JsonValue
from jit_server.domain.identity import HostCaller, LocalUser, Person, User
from jit_server.domain.ids import Kind, RandomBytes, id_prefix, new_id
from jit_server.domain.policy.decision import Refused
from jit_server.domain.policy.model import Policy, Renewal, Role
from jit_server.domain.renewal import (
    LAPSES_US,
    Renewable,
    RenewalRequest,
    RenewalState,
    hangs_on,
    may_decide_on,
    renewable,
    still_renewable,
)
from jit_server.domain.request import Decision, check_reason
from jit_server.errors import Conflict, Denied, Invalid, JitError
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.policy_book import PolicyBook
from jit_server.services.views import DecisionView
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope


@dataclass(frozen=True, slots=True)
class RenewalView:
    """A renewal with names; `approvers` may still decide on it, none once it is decided."""

    renewal: RenewalRequest
    user: str
    approvers: tuple[str, ...]
    decision: DecisionView | None


class RenewalService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._random_bytes = random_bytes

    async def ask(self, caller: Person, untrusted_role: str, untrusted_reason: str) -> RenewalView:
        """Ask that one's own eligibility lasts longer.

        Raises `Invalid` without a reason, `Denied` if there is nothing to renew (now), `Conflict` if that was asked
        already and nobody has decided.
        """
        reason = _require_reason(untrusted_reason)
        async with self._store.write() as tx:
            return await self._ask(tx, await access.person(tx, caller), untrusted_role, reason)

    async def ask_local(
        self, caller: HostCaller, user: LocalUser, untrusted_role: str, untrusted_reason: str
    ) -> RenewalView:
        """As `ask`, for the person with that account on the calling host."""
        reason = _require_reason(untrusted_reason)
        async with self._store.write() as tx:
            await access.host(tx, caller)
            return await self._ask(tx, await access.local_person(tx, user), untrusted_role, reason)

    async def decide(
        self, caller: Person, untrusted_id: str, *, approved: bool, untrusted_reason: str = ""
    ) -> RenewalView:
        """Renew the eligibility, or refuse to: an approver of the role or an administrator, never one's own.

        Raises `NotFound` for what the caller may not see, `Denied` if they may not decide or there is nothing left to
        renew, `Conflict` if it is decided or too late.
        """
        reason = check_reason(untrusted_reason)
        async with self._store.write() as tx:
            voter = await access.person(tx, caller)
            policy = await self._book.current(tx)
            found = await tx.renewals.find(id_prefix(Kind.RENEWAL, untrusted_id), access.scope_of(voter, policy))
            renewal = access.only(found, "renewal", untrusted_id)
            outcome = await self._decide(tx, policy, voter, renewal, reason, approved=approved)
        if isinstance(outcome, JitError):
            raise outcome
        return outcome

    async def lapse(self) -> int:
        """Close what nobody decided in time; return how many."""
        now = self._clock.now()
        async with self._store.read() as tx:
            if not await tx.renewals.lapsed(now):
                return 0
        async with self._store.write() as tx:
            late = await tx.renewals.lapsed(now)
            for renewal in late:
                await _lapse(tx, renewal, now, "nobody decided in time")
        return len(late)

    async def _ask(self, tx: Transaction, person: User, untrusted_role: str, reason: str) -> RenewalView:
        now = self._clock.now()
        policy = await self._book.current(tx)
        role = _named(policy, person, untrusted_role)
        what = renewable(policy, role, person, now)
        if isinstance(what, Refused):
            raise Denied(what.why, hint=what.hint)
        mine = await tx.renewals.pending(Scope(user_id=person.user_id))
        waiting = next((one for one in mine if one.role == role.name), None)
        if waiting is not None and waiting.lapses_at > now:
            raise Conflict(f"{waiting.renewal_id} asks for that already, and nobody has decided on it yet")
        if waiting is not None:
            await _lapse(tx, waiting, now, "nobody decided in time")
        renewal = RenewalRequest(
            renewal_id=new_id(Kind.RENEWAL, self._random_bytes),
            role=role.name,
            user_id=person.user_id,
            asked_at=now,
            reason=reason,
            until=what.until,
            line_until=what.line_until,
            lapses_at=now + LAPSES_US,
        )
        await tx.renewals.add(renewal)
        await note_renewal(
            tx,
            EventKind.ELIGIBILITY_RENEWAL_ASKED,
            renewal,
            person.name,
            actor=person.name,
            now=now,
            reason=reason,
            ends_at=what.ends_at,
            until=what.until,
        )
        return (await renewal_views(tx, policy, [renewal]))[0]

    async def _decide(
        self, tx: Transaction, policy: Policy, voter: User, renewal: RenewalRequest, reason: str, *, approved: bool
    ) -> RenewalView | JitError:
        """The renewal as it is then; or the error to raise after the commit, if it has come to its end instead."""
        now = self._clock.now()
        if voter.user_id == renewal.user_id:
            raise Denied("nobody decides on their own renewal")
        person = await tx.people.get(renewal.user_id)
        role = policy.roles.get(renewal.role)
        if role is None or person is None:
            raise Denied(f"role {renewal.role} is no longer in the policy")
        if voter not in may_decide_on(policy, role, renewal.user_id, [voter]):
            raise Denied(f"{voter.name} may not decide on renewals for role {role.name}")
        if renewal.state is not RenewalState.PENDING:
            raise Conflict(f"the renewal is already {renewal.state.value}")
        if renewal.lapses_at <= now:
            await _lapse(tx, renewal, now, "nobody decided in time")
            return Conflict("nobody decided on this renewal in time: it has lapsed")
        vote = Decision(voter.user_id, approved, reason, now)
        closed = replace(renewal, state=RenewalState.DENIED, decision=vote)
        kind = EventKind.ELIGIBILITY_RENEWAL_DENIED
        if approved:
            what = still_renewable(policy, role, person, now)
            if isinstance(what, Refused):
                raise Denied(what.why, hint=what.hint)
            closed = _approved(closed, what)
            kind = EventKind.ELIGIBILITY_RENEWED
        await tx.renewals.close(closed)
        await note_renewal(tx, kind, closed, person.name, actor=voter.name, now=now, reason=reason, until=closed.until)
        return (await renewal_views(tx, policy, [closed]))[0]


async def end_renewals(tx: Transaction, before: Policy, after: Policy, *, actor: str, now: int) -> None:
    """End each renewal, and lapse each that waits, whose line another policy no longer has (S10)."""
    people = {person.user_id: person for person in await tx.people.all()} if before.renewals else {}
    for renewal in before.renewals:
        person = people[renewal.user_id]
        if not hangs_on(after, renewal.role, person, renewal.line_until):
            await tx.renewals.end(renewal, now)
            await _note_end(tx, renewal, person.name, actor=actor, now=now, version=after.version)
    for waiting in await tx.renewals.pending(Scope(everything=True)):
        asker = await tx.people.get(waiting.user_id)
        if asker is None or not hangs_on(after, waiting.role, asker, waiting.line_until):
            await _lapse(tx, waiting, now, f"policy version {after.version} no longer has what it asks to renew")


async def renewal_views(
    tx: Transaction, policy: Policy, renewals: list[RenewalRequest] | tuple[RenewalRequest, ...]
) -> tuple[RenewalView, ...]:
    """The same with names."""
    people = {person.user_id: person for person in await tx.people.all()} if renewals else {}
    return tuple(_view(policy, people, renewal) for renewal in renewals)


def _view(policy: Policy, people: Mapping[str, User], renewal: RenewalRequest) -> RenewalView:
    role, vote = policy.roles.get(renewal.role), renewal.decision
    open_to: tuple[User, ...] = ()
    if role is not None and renewal.state is RenewalState.PENDING:
        open_to = may_decide_on(policy, role, renewal.user_id, people.values())
    return RenewalView(
        renewal,
        people[renewal.user_id].name,
        tuple(user.name for user in open_to),
        None if vote is None else DecisionView(people[vote.user_id].name, vote.approved, vote.reason, vote.at),
    )


async def note_renewal(
    tx: Transaction,
    kind: EventKind,
    renewal: RenewalRequest,
    user: str,
    *,
    actor: str,
    now: int,
    **details: JsonValue,
) -> None:
    """Append an event about a renewal; `user` is the name of whose eligibility it is."""
    told: dict[str, JsonValue] = {"renewal": renewal.renewal_id, **details}
    await tx.audit.append(Event(at=now, kind=kind, actor=actor, user=user, role=renewal.role, details=told))


async def _note_end(tx: Transaction, renewal: Renewal, user: str, *, actor: str, now: int, version: int) -> None:
    details: dict[str, JsonValue] = {
        "kind": "eligible",
        "until": renewal.until,
        "why": f"policy version {version} no longer has the eligibility that was renewed",
    }
    kind = EventKind.ELIGIBILITY_ENDED
    await tx.audit.append(Event(at=now, kind=kind, actor=actor, user=user, role=renewal.role, details=details))


async def _lapse(tx: Transaction, renewal: RenewalRequest, now: int, why: str) -> None:
    await tx.renewals.close(replace(renewal, state=RenewalState.LAPSED))
    person = await tx.people.get(renewal.user_id)
    name = "" if person is None else person.name
    await note_renewal(tx, EventKind.ELIGIBILITY_RENEWAL_LAPSED, renewal, name, actor=SERVER, now=now, why=why)


def _approved(renewal: RenewalRequest, what: Renewable) -> RenewalRequest:
    return replace(renewal, state=RenewalState.APPROVED, until=what.until, line_until=what.line_until)


def _named(policy: Policy, person: User, untrusted_role: str) -> Role:
    """The role, if the person has anything to do with it: others do not exist for them."""
    role = policy.roles.get(untrusted_role)
    if role is None or not policy.eligibilities(role, person):
        raise Denied(
            f"{person.name} is not eligible for a role {untrusted_role[:128]!a}, so there is nothing to renew",
            hint="jit ls shows what you may ask for",
        )
    return role


def _require_reason(untrusted_text: str) -> str:
    reason = check_reason(untrusted_text)
    if not reason:
        raise Invalid("a reason is missing", hint="say why with -m REASON")
    return reason
