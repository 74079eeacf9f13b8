"""What is only ever added to, in SQL: reports of hosts, audit events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, or_, select, update

from jit_server.adapters.sql import codec
from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import audit_counter, audit_events, reports
from jit_server.domain.events import Event, EventKind, Query, RecordedEvent
from jit_server.domain.report import Report
from jit_server.errors import Conflict
from jit_server.ports import AUDIT


@dataclass(frozen=True, slots=True)
class SqlReports:
    session: Session

    async def last(self, host_id: str, spool_id: str) -> int:
        row = await self.session.first(
            select(func.max(reports.c.sequence).label("last")).where(
                reports.c.host_id == host_id, reports.c.spool_id == spool_id
            )
        )
        return 0 if row is None or row.last is None else int(row.last)

    async def add(self, host_id: str, spool_id: str, report: Report, now: int) -> None:
        await self.session.change(
            insert(reports).values(
                host_id=host_id,
                spool_id=spool_id,
                sequence=report.sequence,
                kept_at=now,
                at=report.at,
                grant_id=report.grant_id,
                kind=type(report.body).__name__,
                body=codec.dump_report(report.body),
            )
        )


@dataclass(frozen=True, slots=True)
class SqlAudit:
    session: Session

    async def append(self, event: Event) -> int:
        self.session.topics.add(AUDIT)
        row = await self.session.first(
            update(audit_counter).values(last=audit_counter.c.last + 1).returning(audit_counter.c.last)
        )
        if row is None:
            raise Conflict("the audit log has no counter")
        await self.session.change(
            insert(audit_events).values(
                sequence=row.last,
                at=event.at,
                kind=event.kind.value,
                actor=event.actor,
                user=event.user,
                host=event.host,
                role=event.role,
                request_id=event.request_id,
                grant_id=event.grant_id,
                details=codec.dump_map(event.details),
            )
        )
        return int(row.last)

    async def query(self, query: Query) -> Sequence[RecordedEvent]:
        table = audit_events.c
        wanted = select(audit_events).where(table.sequence > query.after)
        for column, value in ((table.user, query.user), (table.host, query.host), (table.role, query.role)):
            if value:
                wanted = wanted.where(column == value)
        for column, prefix in ((table.request_id, query.request_id), (table.grant_id, query.grant_id)):
            if prefix:
                wanted = wanted.where(column.startswith(prefix, autoescape=True))
        if query.kind:
            family = table.kind.startswith(f"{query.kind}.", autoescape=True)
            wanted = wanted.where(or_(table.kind == query.kind, family))
        if query.since:
            wanted = wanted.where(table.at >= query.since)
        if query.until:
            wanted = wanted.where(table.at <= query.until)
        order = table.sequence.desc() if query.newest else table.sequence
        rows = await self.session.all(wanted.order_by(order).limit(query.limit))
        events = [
            RecordedEvent(
                row.sequence,
                Event(
                    at=row.at,
                    kind=EventKind(row.kind),
                    actor=row.actor,
                    user=row.user,
                    host=row.host,
                    role=row.role,
                    request_id=row.request_id,
                    grant_id=row.grant_id,
                    details=codec.details(row.details),
                ),
            )
            for row in rows
        ]
        return events[::-1] if query.newest else events
