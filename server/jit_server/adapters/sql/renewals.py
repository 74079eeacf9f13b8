"""Renewals of eligibilities, and what was told of their ends, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, insert, or_, select, true, update

from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import eligibility_notices, renewals
from jit_server.domain.policy.model import Renewal
from jit_server.domain.renewal import RenewalRequest, RenewalState
from jit_server.domain.request import Decision
from jit_server.store_values import EndNotice, Scope

_PENDING = renewals.c.state == RenewalState.PENDING.value
_STANDING = and_(renewals.c.state == RenewalState.APPROVED.value, renewals.c.gone_at == 0)


@dataclass(frozen=True, slots=True)
class SqlRenewals:
    session: Session

    async def add(self, renewal: RenewalRequest) -> None:
        await self.session.change(
            insert(renewals).values(
                renewal_id=renewal.renewal_id,
                role=renewal.role,
                user_id=renewal.user_id,
                asked_at=renewal.asked_at,
                reason=renewal.reason,
                until=renewal.until,
                line_until=renewal.line_until,
                lapses_at=renewal.lapses_at,
                state=renewal.state.value,
            )
        )

    async def find(self, id_prefix: str, scope: Scope) -> Sequence[RenewalRequest]:
        begins = renewals.c.renewal_id.startswith(id_prefix, autoescape=True)
        return await self._load(select(renewals).where(begins, _within(scope)).limit(3))

    async def select(self, scope: Scope, *, limit: int) -> Sequence[RenewalRequest]:
        query = select(renewals).where(_within(scope))
        return await self._load(query.order_by(renewals.c.asked_at.desc(), renewals.c.renewal_id).limit(limit))

    async def pending(self, scope: Scope) -> Sequence[RenewalRequest]:
        return await self._load(select(renewals).where(_PENDING, _within(scope)))

    async def lapsed(self, now: int) -> Sequence[RenewalRequest]:
        return await self._load(select(renewals).where(_PENDING, renewals.c.lapses_at <= now))

    async def standing(self, ending_after: int) -> Sequence[Renewal]:
        query = select(renewals.c.role, renewals.c.user_id, renewals.c.until, renewals.c.line_until)
        query = query.where(_STANDING, renewals.c.until > ending_after).order_by(renewals.c.renewal_id)
        rows = await self.session.all(query)
        return [Renewal(row.role, row.user_id, row.until, row.line_until) for row in rows]

    async def close(self, renewal: RenewalRequest) -> None:
        vote = renewal.decision
        values: dict[str, Any] = {"state": renewal.state.value, "until": renewal.until}
        if vote is not None:
            values |= {"decided_by": vote.user_id, "decision_reason": vote.reason, "decided_at": vote.at}
        await self.session.change_one(
            update(renewals).where(renewals.c.renewal_id == renewal.renewal_id, _PENDING).values(values),
            otherwise="the renewal is decided already",
        )

    async def end(self, renewal: Renewal, at: int) -> None:
        mine = and_(renewals.c.role == renewal.role, renewals.c.user_id == renewal.user_id)
        line = and_(renewals.c.line_until == renewal.line_until, renewals.c.until == renewal.until)
        await self.session.change(update(renewals).where(mine, line, _STANDING).values(gone_at=at))

    async def told(self, ending_after: int) -> Collection[EndNotice]:
        table = eligibility_notices.c
        query = select(table.role, table.user_id, table.active, table.until, table.days_left)
        rows = await self.session.all(query.where(table.until > ending_after))
        return {EndNotice(row.role, row.user_id, row.active, row.until, row.days_left) for row in rows}

    async def tell(self, notice: EndNotice, at: int) -> bool:
        table = eligibility_notices.c
        same = and_(
            table.role == notice.role,
            table.user_id == notice.user_id,
            table.active == notice.active,
            table.until == notice.until,
            table.days_left == notice.days_left,
        )
        if await self.session.first(select(table.told_at).where(same)) is not None:
            return False
        await self.session.change(
            insert(eligibility_notices).values(
                role=notice.role,
                user_id=notice.user_id,
                active=notice.active,
                until=notice.until,
                days_left=notice.days_left,
                told_at=at,
            )
        )
        return True

    async def _load(self, query: Select[Any]) -> list[RenewalRequest]:
        return [_renewal(row) for row in await self.session.all(query)]


def _within(scope: Scope) -> ColumnElement[bool]:
    if scope.everything:
        return true()
    return or_(renewals.c.user_id == scope.user_id, renewals.c.role.in_(sorted(scope.roles)))


def _renewal(row: Row[Any]) -> RenewalRequest:
    state = RenewalState(row.state)
    vote = Decision(row.decided_by, state is RenewalState.APPROVED, row.decision_reason, row.decided_at)
    return RenewalRequest(
        renewal_id=row.renewal_id,
        role=row.role,
        user_id=row.user_id,
        asked_at=row.asked_at,
        reason=row.reason,
        until=row.until,
        line_until=row.line_until,
        lapses_at=row.lapses_at,
        state=state,
        decision=vote if row.decided_at else None,
        gone_at=row.gone_at,
    )
