"""Requests and votes in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, and_, false, insert, or_, select, true, update

from jit_server.adapters.sql import codec
from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import decisions, requests
from jit_server.domain.identity import LocalUser
from jit_server.domain.lifecycle import RequestMove, RequestState, advance_request
from jit_server.domain.request import AccessRequest, Decision
from jit_server.errors import Conflict
from jit_server.ports import REQUESTS
from jit_server.store_values import Scope


def within(table: Table, scope: Scope) -> ColumnElement[bool]:
    """Return the condition that a request or grant is in the scope."""
    seen: ColumnElement[bool] = false()
    if scope.everything:
        seen = true()
    else:
        if scope.user_id:
            seen = or_(seen, table.c.user_id == scope.user_id)
        if scope.roles:
            seen = or_(seen, table.c.role.in_(sorted(scope.roles)))
    return and_(seen, table.c.host_id == scope.host_id) if scope.host_id else seen


@dataclass(frozen=True, slots=True)
class SqlRequests:
    session: Session

    async def add(self, request: AccessRequest) -> None:
        self._changed(request.request_id)
        await self.session.change(
            insert(requests).values(
                request_id=request.request_id,
                user_id=request.user_id,
                host_id=request.host_id,
                uid=request.local_user.uid,
                local_name=request.local_user.name,
                role=request.role,
                ask=codec.dump_ask(request.ask),
                reason=request.reason,
                ticket=request.ticket,
                duration_s=request.duration_s,
                state=request.state.value,
                created_at=request.created_at,
                lapses_at=request.lapses_at,
                approvals_needed=request.approvals_needed,
                role_commands=codec.dump(list(request.role_commands)),
                mfa_passed=request.mfa_passed,
                once=request.once,
                session=request.session,
                starts_at=request.starts_at,
                extends=request.extends,
                login=codec.dump_login(request.login),
                batch_id=request.batch_id,
            )
        )

    async def get(self, request_id: str) -> AccessRequest | None:
        found = await self._load(select(requests).where(requests.c.request_id == request_id))
        return found[0] if found else None

    async def find(self, id_prefix: str, scope: Scope) -> Sequence[AccessRequest]:
        begins = requests.c.request_id.startswith(id_prefix, autoescape=True)
        return await self._load(select(requests).where(begins, within(requests, scope)).limit(3))

    async def select(
        self, scope: Scope, *, states: Collection[RequestState] = (), limit: int | None = None
    ) -> Sequence[AccessRequest]:
        query = select(requests).where(within(requests, scope))
        if states:
            query = query.where(requests.c.state.in_(sorted(states)))
        return await self._load(query.order_by(requests.c.created_at.desc(), requests.c.request_id).limit(limit))

    async def lapsed(self, now: int) -> Sequence[AccessRequest]:
        pending = requests.c.state == RequestState.PENDING.value
        return await self._load(select(requests).where(pending, requests.c.lapses_at <= now))

    async def extending(self, grant_id: str) -> Sequence[AccessRequest]:
        pending = requests.c.state == RequestState.PENDING.value
        return await self._load(select(requests).where(pending, requests.c.extends == grant_id))

    async def of_batches(self, batch_ids: Collection[str]) -> Sequence[AccessRequest]:
        found: list[AccessRequest] = []
        for some in chunks(sorted(batch_ids)):
            found += await self._load(select(requests).where(requests.c.batch_id.in_(some)))
        return found

    async def add_decision(self, request_id: str, decision: Decision) -> None:
        self._changed(request_id)
        vote = (decisions.c.request_id == request_id) & (decisions.c.user_id == decision.user_id)
        if await self.session.first(select(decisions.c.at).where(vote)) is not None:
            raise Conflict("this person has voted on the request already")
        await self.session.change(
            insert(decisions).values(
                request_id=request_id,
                user_id=decision.user_id,
                approved=decision.approved,
                reason=decision.reason,
                at=decision.at,
            )
        )

    async def move(self, request: AccessRequest, move: RequestMove) -> RequestState:
        state = advance_request(request.state, move)
        self._changed(request.request_id)
        await self.session.change_one(
            update(requests)
            .where(requests.c.request_id == request.request_id, requests.c.state == request.state.value)
            .values(state=state.value),
            otherwise="somebody else has decided on the request meanwhile",
        )
        return state

    def _changed(self, request_id: str) -> None:
        self.session.topics.update((request_id, REQUESTS))

    async def _load(self, query: Select[Any]) -> list[AccessRequest]:
        rows = await self.session.all(query)
        votes = await self._votes([row.request_id for row in rows])
        return [_request(row, votes.get(row.request_id, ())) for row in rows]

    async def _votes(self, request_ids: Sequence[str]) -> dict[str, list[Decision]]:
        votes: defaultdict[str, list[Decision]] = defaultdict(list)
        for some in chunks(request_ids):
            query = select(decisions).where(decisions.c.request_id.in_(some))
            for row in await self.session.all(query.order_by(decisions.c.at, decisions.c.user_id)):
                votes[row.request_id].append(Decision(row.user_id, row.approved, row.reason, row.at))
        return votes


def chunks(ids: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    """Split, because databases limit the number of parameters of a statement."""
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _request(row: Row[Any], votes: Sequence[Decision]) -> AccessRequest:
    return AccessRequest(
        request_id=row.request_id,
        user_id=row.user_id,
        host_id=row.host_id,
        local_user=LocalUser(row.uid, row.local_name),
        role=row.role,
        ask=codec.ask(row.ask),
        reason=row.reason,
        ticket=row.ticket,
        duration_s=row.duration_s,
        state=RequestState(row.state),
        created_at=row.created_at,
        lapses_at=row.lapses_at,
        approvals_needed=row.approvals_needed,
        role_commands=codec.texts(row.role_commands),
        mfa_passed=row.mfa_passed,
        once=row.once,
        session=row.session,
        starts_at=row.starts_at,
        extends=row.extends,
        login=codec.login(row.login),
        batch_id=row.batch_id,
        decisions=tuple(votes),
    )
