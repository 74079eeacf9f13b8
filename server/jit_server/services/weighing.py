"""An ask and all that it is held against, put together out of the store and the rotas.

What is common to all roles of a person on a host is fetched once, with the approvers of just those roles.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from jit_server.domain.ask import Ask
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, User
from jit_server.domain.policy.circumstances import Circumstances, Login
from jit_server.domain.policy.decision import Case
from jit_server.domain.policy.model import Concurrency, Policy, Role
from jit_server.domain.request import AccessRequest
from jit_server.ports import OnCall
from jit_server.store import Transaction
from jit_server.store_values import LiveCount


@dataclass(frozen=True, slots=True)
class Moment:
    """What a person asks, and from where; times in µs UTC.

    `duration_s` zero is the role's default, `begins_at` zero at once.  `draft`: reason and ticket, and the duration if
    it is zero, may still be given, so a condition on them is left open.
    """

    at: int
    login: Login
    duration_s: int = 0
    reason: str = ""
    ticket: str = ""
    begins_at: int = 0
    draft: bool = False

    @classmethod
    def of_request(cls, request: AccessRequest, at: int) -> Moment:
        """A request that was made before, at a later moment (S10)."""
        return cls(
            at,
            request.login,
            duration_s=request.duration_s,
            reason=request.reason,
            ticket=request.ticket,
            begins_at=request.starts_at,
        )


@dataclass(frozen=True, slots=True)
class Cases:
    """One person's ask on one host, to be weighed against several roles without asking the store again."""

    policy: Policy
    person: User
    host: Host
    people: Collection[User]
    live: Mapping[str, LiveCount]
    common: Circumstances

    def of(self, role: Role, ask: Ask | None) -> Case:
        """`role` has to be one of those the cases were made for."""
        count = self.live.get(role.name, LiveCount())
        left_open = self.common.draft and not self.common.duration_s
        circumstances = replace(
            self.common,
            duration_s=0 if left_open else self.common.duration_s or role.default_s,
            live_of_role=count.own,
            live_of_role_everybody=count.everybody,
        )
        return Case(self.policy, role, self.person, self.host, ask, self.people, circumstances)


@dataclass(frozen=True, slots=True)
class Scales:
    """Puts cases together; in a write transaction, what is counted stays true until it ends."""

    on_call: OnCall

    async def cases(
        self,
        tx: Transaction,
        policy: Policy,
        roles: Collection[Role],
        *,
        person: User,
        host: Host,
        moment: Moment,
        besides: Grant | None = None,
    ) -> Cases:
        """The cases of these roles; `besides` is a live or scheduled grant that is not counted."""
        live = await _live(tx, person, besides)
        on_duty = self.on_call.of(person.name)
        common = Circumstances(
            at=moment.at,
            login=moment.login,
            duration_s=moment.duration_s,
            reason=moment.reason,
            ticket=moment.ticket,
            live=sum(count.own for count in live.values()),
            proved_at=await tx.factors.proved_at(person.user_id, host.host_id),
            on_call=on_duty.naming,
            rotas_heard=on_duty.heard,
            begins_at=moment.begins_at,
            draft=moment.draft,
        )
        return Cases(policy, person, host, await _approvers(tx, policy, roles), live, common)

    async def case(
        self,
        tx: Transaction,
        policy: Policy,
        role: Role,
        *,
        person: User,
        host: Host,
        ask: Ask | None,
        moment: Moment,
        besides: Grant | None = None,
    ) -> Case:
        """One role's case."""
        cases = await self.cases(tx, policy, [role], person=person, host=host, moment=moment, besides=besides)
        return cases.of(role, ask)


async def standing(
    tx: Transaction, policy: Policy, role: Role, request: AccessRequest, *, person: User, host: Host, at: int
) -> Case:
    """A pending request's case without the conditions of the moment, which are asked when it is decided on.

    A change of the policy ends what it no longer allows, but not what is only out of hours just then.
    """
    lasting = replace(role, when=(), concurrent=Concurrency())
    circumstances = Circumstances(at=at, login=request.login, duration_s=request.duration_s)
    approvers = await _approvers(tx, policy, [role])
    return Case(policy, lasting, person, host, request.ask, approvers, circumstances)


async def _approvers(tx: Transaction, policy: Policy, roles: Collection[Role]) -> Collection[User]:
    """Those whom the server knows."""
    names: set[str] = set()
    for role in roles:
        names |= policy.named(role.approvers)
    return await tx.people.named(names) if names else ()


async def _live(tx: Transaction, person: User, besides: Grant | None) -> Mapping[str, LiveCount]:
    counts = await tx.grants.count_live(person.user_id)
    if besides is None or besides.role not in counts:
        return counts
    count = counts[besides.role]
    own = count.own - (1 if besides.user_id == person.user_id else 0)
    return {**counts, besides.role: LiveCount(own, count.everybody - 1)}
