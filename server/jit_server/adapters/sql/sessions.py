"""Sessions, their sub-commands and their watchers in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, distinct, func, insert, or_, select, update

from jit_server.adapters.sql import codec
from jit_server.adapters.sql.requests import chunks, within
from jit_server.adapters.sql.session import Session as Connected
from jit_server.adapters.sql.tables import grants, hosts, session_commands, session_watchers, sessions
from jit_server.domain import shell
from jit_server.domain.grant import Record
from jit_server.domain.ids import Kind, is_id
from jit_server.domain.lifecycle import OVER
from jit_server.domain.session import (
    MAX_COMMANDS,
    OPEN,
    SESSION_MOVES,
    Act,
    Command,
    RecordingState,
    Session,
    SessionState,
)
from jit_server.domain.session_order import Watcher
from jit_server.errors import Conflict
from jit_server.ports import orders_of
from jit_server.store_values import Scope, SessionQuery, Usage

_ORDERED_BY = frozenset({"state", "watch_s", "act", "ordered_by", "order_reason"})
"""What the orders of the session's host depend on."""

_FIELDS = [field.name for field in dataclasses.fields(Session)]


@dataclass(frozen=True, slots=True)
class SqlSessions:
    session: Connected

    async def add(self, session: Session) -> None:
        self.changed(session)
        await self.session.change(insert(sessions).values(_columns(session)))

    async def get(self, session_id: str) -> Session | None:
        row = await self.session.first(select(sessions).where(sessions.c.session_id == session_id))
        return None if row is None else _session(row)

    async def find(self, id_prefix: str, scope: Scope) -> Sequence[Session]:
        # Readers of recordings ask for a whole one again and again; a pattern reads every row.
        whole = is_id(Kind.SESSION, id_prefix)
        column = sessions.c.session_id
        begins = column == id_prefix if whole else column.startswith(id_prefix, autoescape=True)
        return await self._load(select(sessions).where(begins, within(sessions, scope)).limit(3))

    async def select(self, query: SessionQuery, scope: Scope, *, limit: int, skip: int = 0) -> Sequence[Session]:
        wanted = select(sessions).where(within(sessions, scope), *_conditions(query))
        order = (sessions.c.began_at.desc(), sessions.c.session_id)
        return await self._load(wanted.order_by(*order).limit(limit).offset(skip))

    async def usage(self, role: str, since: int, limit: int) -> Sequence[Usage]:
        table = sessions.c
        what = (table.command, table.argv, table.run_as_user)
        count, people = func.count().label("times"), func.count(distinct(table.user_id)).label("people")
        ran = (table.role == role, table.grant_id != "", table.started_at > 0, table.began_at >= since)
        last_at = func.max(table.began_at).label("last_at")
        query = select(*what, count, people, last_at).where(*ran).group_by(*what)
        rows = await self.session.all(query.order_by(count.desc(), table.command, table.argv).limit(limit))
        return [
            Usage(row.command, codec.texts(row.argv), row.run_as_user, row.times, row.people, row.last_at)
            for row in rows
        ]

    async def stranded(self, limit: int) -> Sequence[Session]:
        wanted = (
            select(sessions)
            .join(grants, grants.c.grant_id == sessions.c.grant_id)
            .join(hosts, hosts.c.host_id == sessions.c.host_id)
            .where(sessions.c.state.in_(sorted(OPEN)), grants.c.state.in_(sorted(OVER)), hosts.c.connected)
        )
        return await self._load(wanted.order_by(sessions.c.session_id).limit(limit))

    async def change(self, before: Session, after: Session) -> Session:
        if before.state is not after.state and (before.state, after.state) not in SESSION_MOVES:
            raise Conflict(f"the session is {before.state.value}: it cannot become {after.state.value}")
        old, new = _columns(before), _columns(after)
        differing = {name: value for name, value in new.items() if old[name] != value}
        if not differing:
            return after
        self.session.topics.add(after.session_id)
        if not _ORDERED_BY.isdisjoint(differing):
            self.changed(after)
        same = (sessions.c.session_id == before.session_id, sessions.c.state == before.state.value)
        await self.session.change_one(
            update(sessions).where(*same).values(differing), otherwise="the session has changed meanwhile"
        )
        return after

    async def add_command(self, session_id: str, command: Command) -> bool:
        counted = select(func.count().label("kept")).where(session_commands.c.session_id == session_id)
        row = await self.session.first(counted)
        number = 0 if row is None else int(row.kept)
        if number >= MAX_COMMANDS:
            return False
        self.session.topics.add(session_id)
        values = {**dataclasses.asdict(command), "argv": codec.dump(list(command.argv))}
        await self.session.change(insert(session_commands).values(session_id=session_id, number=number, **values))
        return True

    async def commands(self, session_id: str, limit: int) -> Sequence[Command]:
        query = select(session_commands).where(session_commands.c.session_id == session_id)
        rows = await self.session.all(query.order_by(session_commands.c.number).limit(limit))
        return [
            Command(row.at, codec.texts(row.argv), row.command, row.cwd, row.run_as_user, row.rejected) for row in rows
        ]

    async def watcher(self, session_id: str, user_id: str) -> Watcher | None:
        row = await self.session.first(select(session_watchers).where(_is(session_id, user_id)))
        return None if row is None else Watcher(**row._mapping)

    async def watch(self, watcher: Watcher) -> None:
        values = dataclasses.asdict(watcher)
        here = _is(watcher.session_id, watcher.user_id)
        if await self.session.change(update(session_watchers).where(here).values(values)) == 0:
            await self.session.change(insert(session_watchers).values(values))

    async def watchers(self, session_ids: Collection[str], since: int) -> Sequence[Watcher]:
        found: list[Watcher] = []
        for some in chunks(sorted(session_ids)):
            query = select(session_watchers).where(
                session_watchers.c.session_id.in_(some), session_watchers.c.seen_at > since
            )
            order = (session_watchers.c.session_id, session_watchers.c.user_id)
            found += [Watcher(**row._mapping) for row in await self.session.all(query.order_by(*order))]
        return found

    def changed(self, session: Session) -> None:
        self.session.topics.update((session.session_id, orders_of(session.host_id)))

    async def _load(self, query: Select[Any]) -> list[Session]:
        return [_session(row) for row in await self.session.all(query)]


def _is(session_id: str, user_id: str) -> ColumnElement[bool]:
    return (session_watchers.c.session_id == session_id) & (session_watchers.c.user_id == user_id)


def _conditions(query: SessionQuery) -> list[ColumnElement[bool]]:
    table = sessions.c
    wanted: list[ColumnElement[bool]] = [
        column == value
        for column, value in ((table.host, query.host), (table.user, query.user), (table.role, query.role))
        if value
    ]
    if query.grant_id:
        wanted.append(table.grant_id.startswith(query.grant_id, autoescape=True))
    if query.text:
        wanted.append(table.command_line.icontains(query.text, autoescape=True))
    if query.states:
        wanted.append(table.state.in_(sorted(query.states)))
    if query.since:
        wanted.append(table.began_at >= query.since)
    if query.until:
        wanted.append(table.began_at < query.until)
    if query.marred:
        wanted.append(or_(table.damage != "", table.incomplete != ""))
    return wanted


def _columns(session: Session) -> dict[str, Any]:
    return {
        **{name: getattr(session, name) for name in _FIELDS},
        "state": session.state.value,
        "record": session.record.value,
        "recording": session.recording.value,
        "act": "" if session.act is None else session.act.value,
        "argv": codec.dump(list(session.argv)),
        "environment": codec.dump(list(session.environment)),
        "command_line": shell.join(session.argv),
    }


def _session(row: Row[Any]) -> Session:
    return Session(
        **{
            **{name: row._mapping[name] for name in _FIELDS},
            "state": SessionState(row.state),
            "record": Record(row.record),
            "recording": RecordingState(row.recording),
            "act": Act(row.act) if row.act else None,
            "argv": codec.texts(row.argv),
            "environment": codec.texts(row.environment),
        }
    )
