"""What callers are shown: stored things with names in place of ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jit_server.domain.ask import describe
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, User
from jit_server.domain.lifecycle import OVER, RequestState
from jit_server.domain.policy.decision import Refused, may_decide
from jit_server.domain.policy.model import Policy, Role
from jit_server.domain.request import AccessRequest
from jit_server.services.batch_views import BatchHostView, batch_hosts
from jit_server.store import Transaction


@dataclass(frozen=True, slots=True)
class DecisionView:
    by: str
    approved: bool
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class GrantView:
    """A grant; `commands` are shell-quoted lines, `end_confirmed` that the host said nothing of it is left."""

    grant: Grant
    user: str
    host: str
    commands: tuple[str, ...]
    approved_by: tuple[str, ...]
    end_confirmed: bool


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request; `approvers` are the names of those who may still vote on it, none once it is decided.

    `grant` is what came of it: the grant it made, or the one it extended, as that is now.
    """

    request: AccessRequest
    user: str
    host: str
    approvers: tuple[str, ...]
    decisions: tuple[DecisionView, ...]
    grant: GrantView | None
    extends_to: int = 0
    """The end the grant would have (µs UTC); zero unless an extension is undecided."""
    past_max_s: int = 0
    """The role's maximum, if the grant would then have lasted longer than that; else zero."""
    batch: tuple[BatchHostView, ...] = ()
    """The hosts of all requests that were made with it; in a list only the first of them tells."""


@dataclass(frozen=True, slots=True)
class HostView:
    host: Host
    live_grants: int


@dataclass(frozen=True, slots=True)
class UserView:
    user: User
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WhoAmI:
    user: User
    groups: tuple[str, ...]
    approver_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A role that fits; what is still needed to ask for it.

    `until` is when the right to it ends by itself (µs UTC, zero: it does not), and any grant of it.  `active`: it is
    the person's without approval, reason and code.  `mfa_fresh`: a code was proved here so lately that none is needed.
    """

    role: Role
    approvers: tuple[str, ...]
    commands: tuple[str, ...]
    until: int = 0
    active: bool = False
    mfa_fresh: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    choices: tuple[Choice, ...]
    refusals: tuple[Refused, ...]
    mfa_enrolled: bool


class Viewer:
    """Makes views within one transaction; looks each name up once."""

    def __init__(self, tx: Transaction, policy: Policy) -> None:
        self._tx = tx
        self._policy = policy
        self._people: dict[str, User] | None = None
        self._hosts: dict[str, str] = {}

    async def request(self, request: AccessRequest) -> RequestView:
        (view,) = await self.requests([request])
        return view

    async def requests(self, requests: Sequence[AccessRequest]) -> tuple[RequestView, ...]:
        approved = [request for request in requests if request.state is RequestState.APPROVED]
        grants = dict(await self._tx.grants.of_requests([request.request_id for request in approved]))
        for request in approved:
            extended = await self._tx.grants.get(request.extends) if request.extends else None
            if extended is not None:
                grants[request.request_id] = extended
        firsts = {request.batch_id: request.request_id for request in reversed(requests) if request.batch_id}
        batches = await batch_hosts(self._tx, firsts, self._host_name)
        views = [await self._request(request, grants.get(request.request_id)) for request in requests]
        return tuple(
            replace(view, batch=batches.get(view.request.batch_id, ()))
            if firsts.get(view.request.batch_id) == view.request.request_id
            else view
            for view in views
        )

    async def grant(self, grant: Grant) -> GrantView:
        people = await self._everybody()
        return GrantView(
            grant=grant,
            user=people[grant.user_id].name,
            host=await self._host_name(grant.host_id),
            commands=describe(grant.commands),
            approved_by=tuple(people[user_id].name for user_id in grant.approved_by),
            end_confirmed=grant.state in OVER,
        )

    async def _request(self, request: AccessRequest, grant: Grant | None) -> RequestView:
        people = await self._everybody()
        extends_to, past_max_s = await self._longer(request)
        return RequestView(
            request=request,
            user=people[request.user_id].name,
            host=await self._host_name(request.host_id),
            approvers=await self._approvers(request),
            decisions=tuple(
                DecisionView(people[vote.user_id].name, vote.approved, vote.reason, vote.at)
                for vote in request.decisions
            ),
            grant=None if grant is None else await self.grant(grant),
            extends_to=extends_to,
            past_max_s=past_max_s,
        )

    async def _longer(self, request: AccessRequest) -> tuple[int, int]:
        """What an undecided extension comes to: the new end, and the role's maximum if that is passed."""
        role = self._policy.roles.get(request.role)
        if not request.extends or request.state is not RequestState.PENDING or role is None:
            return 0, 0
        grant = await self._tx.grants.get(request.extends)
        if grant is None:
            return 0, 0
        extends_to = grant.not_after + request.duration_s * 1_000_000
        return extends_to, role.max_s if extends_to - grant.not_before > role.max_s * 1_000_000 else 0

    async def _approvers(self, request: AccessRequest) -> tuple[str, ...]:
        role = self._policy.roles.get(request.role)
        if role is None or request.state is not RequestState.PENDING:
            return ()
        voted = {vote.user_id for vote in request.decisions}
        able = may_decide(self._policy, role, request.user_id, (await self._everybody()).values())
        return tuple(user.name for user in able if user.user_id not in voted)

    async def _everybody(self) -> dict[str, User]:
        if self._people is None:
            self._people = {user.user_id: user for user in await self._tx.people.all()}
        return self._people

    async def _host_name(self, host_id: str) -> str:
        if host_id not in self._hosts:
            host = await self._tx.hosts.get(host_id)
            self._hosts[host_id] = "" if host is None else host.name
        return self._hosts[host_id]
