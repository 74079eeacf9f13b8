"""Grants in SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, case, func, insert, or_, select, update

from jit_server.adapters.sql import codec
from jit_server.adapters.sql.requests import chunks, within
from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import grants
from jit_server.domain.grant import Grant, Record, Signature
from jit_server.domain.identity import LocalUser
from jit_server.domain.lifecycle import REVOCABLE, GrantMove, GrantState, advance_grant
from jit_server.ports import REQUESTS
from jit_server.store_values import LiveCount, Scope

_OPEN = (GrantState.ISSUED.value, GrantState.ACTIVE.value, GrantState.ENDING.value)
_LIVE = tuple(sorted(state.value for state in REVOCABLE))
_SCHEDULED = grants.c.state == GrantState.SCHEDULED.value


@dataclass(frozen=True, slots=True)
class SqlGrants:
    session: Session

    async def add(self, grant: Grant) -> None:
        self._changed(grant)
        await self.session.change(
            insert(grants).values(
                grant_id=grant.grant_id,
                request_id=grant.request_id,
                user_id=grant.user_id,
                host_id=grant.host_id,
                uid=grant.local_user.uid,
                local_name=grant.local_user.name,
                role=grant.role,
                run_as_user=grant.run_as_user,
                run_as_group=grant.run_as_group,
                commands=codec.dump_commands(grant.commands),
                shell=grant.shell,
                record=grant.record.value,
                state=grant.state.value,
                not_before=grant.not_before,
                not_after=grant.not_after,
                reason=grant.reason,
                approved_by=codec.dump(list(grant.approved_by)),
                term_s=grant.term_s,
                once=grant.once,
                session=grant.session,
                lease_s=grant.lease_s,
                required=grant.required,
                subcommands=grant.subcommands,
                watch_s=grant.watch_s,
                retain_s=grant.retain_s,
                directory=grant.directory,
                environment=codec.dump_names(set(grant.environment)),
            )
        )

    async def get(self, grant_id: str) -> Grant | None:
        row = await self.session.first(select(grants).where(grants.c.grant_id == grant_id))
        return None if row is None else _grant(row)

    async def of_request(self, request_id: str) -> Grant | None:
        return (await self.of_requests([request_id])).get(request_id)

    async def of_requests(self, request_ids: Collection[str]) -> Mapping[str, Grant]:
        found: dict[str, Grant] = {}
        for some in chunks(list(request_ids)):
            rows = await self.session.all(select(grants).where(grants.c.request_id.in_(some)))
            found.update({row.request_id: _grant(row) for row in rows})
        return found

    async def find(self, id_prefix: str, scope: Scope) -> Sequence[Grant]:
        begins = grants.c.grant_id.startswith(id_prefix, autoescape=True)
        query = select(grants).where(begins, within(grants, scope)).limit(3)
        return [_grant(row) for row in await self.session.all(query)]

    async def select(
        self, scope: Scope, *, states: Collection[GrantState] = (), limit: int | None = None
    ) -> Sequence[Grant]:
        query = select(grants).where(within(grants, scope))
        if states:
            query = query.where(grants.c.state.in_(sorted(states)))
        query = query.order_by(grants.c.not_before.desc(), grants.c.grant_id).limit(limit)
        return [_grant(row) for row in await self.session.all(query)]

    async def with_leftovers(self, scope: Scope, since: int) -> Sequence[Grant]:
        query = select(grants).where(within(grants, scope), grants.c.ended_at >= since, grants.c.leftovers != "[]")
        rows = await self.session.all(query.order_by(grants.c.ended_at.desc(), grants.c.grant_id))
        return [_grant(row) for row in rows]

    async def overdue(self, now: int) -> Sequence[Grant]:
        # Whatever is signed, or ended by somebody, may be due before its time.
        early = or_(grants.c.ending_since > 0, grants.c.signed_not_after.between(1, now))
        query = select(grants).where(grants.c.state.in_(_OPEN), or_(grants.c.not_after <= now, early))
        found = [_grant(row) for row in await self.session.all(query)]
        return [grant for grant in found if grant.overdue_at(now)]

    async def to_start(self, now: int) -> Sequence[Grant]:
        query = select(grants).where(_SCHEDULED, grants.c.not_before <= now)
        return [_grant(row) for row in await self.session.all(query.order_by(grants.c.not_before, grants.c.grant_id))]

    async def next_start(self) -> int:
        row = await self.session.first(select(func.min(grants.c.not_before).label("at")).where(_SCHEDULED))
        return 0 if row is None or row.at is None else int(row.at)

    async def count_live(self, user_id: str) -> Mapping[str, LiveCount]:
        own = func.sum(case((grants.c.user_id == user_id, 1), else_=0))
        query = select(grants.c.role, own.label("own"), func.count().label("everybody")).group_by(grants.c.role)
        rows = await self.session.all(query.where(grants.c.state.in_(_LIVE)))
        return {row.role: LiveCount(int(row.own), int(row.everybody)) for row in rows}

    async def last_begun(self, since: int) -> Mapping[tuple[str, str], int]:
        query = select(grants.c.role, grants.c.user_id, func.max(grants.c.not_before).label("at"))
        rows = await self.session.all(
            query.where(grants.c.not_before >= since).group_by(grants.c.role, grants.c.user_id)
        )
        return {(row.role, row.user_id): int(row.at) for row in rows}

    async def count_open(self) -> Mapping[str, int]:
        query = select(grants.c.host_id, func.count().label("open")).where(grants.c.state.in_(_OPEN))
        return {row.host_id: row.open for row in await self.session.all(query.group_by(grants.c.host_id))}

    async def move(
        self,
        grant: Grant,
        move: GrantMove,
        *,
        ended_at: int = 0,
        end_reason: str = "",
        left_set_at: int = 0,
        applied_boot: str = "",
        ending_since: int = 0,
        unconfirmed_at: int = 0,
        leftovers: Sequence[str] = (),
    ) -> GrantState:
        state = advance_grant(grant.state, move)
        self._changed(grant)
        given = {
            "ended_at": ended_at,
            "end_reason": end_reason,
            "left_set_at": left_set_at,
            "applied_boot": applied_boot,
            "ending_since": ending_since,
            "unconfirmed_at": unconfirmed_at,
            "leftovers": codec.dump(list(leftovers)) if leftovers else "",
        }
        await self.session.change_one(
            update(grants)
            .where(grants.c.grant_id == grant.grant_id, grants.c.state == grant.state.value)
            .values(state=state.value, **{name: value for name, value in given.items() if value}),
            otherwise="the grant has changed meanwhile",
        )
        return state

    async def extend(self, grant: Grant, not_after: int, term_s: int) -> Grant:
        self._changed(grant)
        await self.session.change_one(
            update(grants)
            .where(
                grants.c.grant_id == grant.grant_id,
                grants.c.state == grant.state.value,
                grants.c.not_after == grant.not_after,
            )
            .values(not_after=not_after, term_s=term_s, extensions=grants.c.extensions + 1),
            otherwise="the grant has changed meanwhile",
        )
        return replace(grant, not_after=not_after, term_s=term_s, extensions=grant.extensions + 1)

    async def agree(self, grant: Grant, until: int) -> None:
        self._changed(grant)
        agreed = update(grants).where(grants.c.grant_id == grant.grant_id).values(agreed_until=until)
        await self.session.change_one(agreed, otherwise="the grant is gone")

    async def take_back(self, grant: Grant) -> None:
        self._changed(grant)
        await self.session.change_one(
            update(grants)
            .where(grants.c.grant_id == grant.grant_id, grants.c.not_after == grant.not_after)
            .values(not_after=grant.agreed_until),
            otherwise="the grant has changed meanwhile",
        )

    async def set_signature(self, grant_id: str, signature: Signature) -> None:
        await self.session.change_one(
            update(grants)
            .where(grants.c.grant_id == grant_id, grants.c.revision < signature.revision)
            .values(
                revision=signature.revision,
                signed_boot=signature.boot_id,
                signed_at=signature.at,
                signed_until=signature.until,
                signed_not_after=signature.not_after,
                envelope=signature.envelope,
            ),
            otherwise="the grant was signed anew meanwhile",
        )

    async def void_signature(self, grant_id: str) -> None:
        await self.session.change(update(grants).where(grants.c.grant_id == grant_id).values(signed_boot=""))

    def _changed(self, grant: Grant) -> None:
        self.session.topics.update((grant.grant_id, grant.request_id, REQUESTS))


def _grant(row: Row[Any]) -> Grant:
    signature = None
    if row.envelope is not None:
        signature = Signature(
            row.revision, row.signed_boot, row.signed_at, row.signed_until, row.signed_not_after, row.envelope
        )
    return Grant(
        grant_id=row.grant_id,
        request_id=row.request_id,
        user_id=row.user_id,
        host_id=row.host_id,
        role=row.role,
        local_user=LocalUser(row.uid, row.local_name),
        run_as_user=row.run_as_user,
        run_as_group=row.run_as_group,
        commands=codec.commands(row.commands),
        shell=row.shell,
        record=Record(row.record),
        state=GrantState(row.state),
        not_before=row.not_before,
        not_after=row.not_after,
        reason=row.reason,
        approved_by=codec.texts(row.approved_by),
        term_s=row.term_s,
        once=row.once,
        session=row.session,
        lease_s=row.lease_s,
        required=row.required,
        subcommands=row.subcommands,
        watch_s=row.watch_s,
        retain_s=row.retain_s,
        directory=row.directory,
        environment=codec.texts(row.environment),
        extensions=row.extensions,
        signature=signature,
        agreed_until=row.agreed_until,
        applied_boot=row.applied_boot,
        ending_since=row.ending_since,
        ended_at=row.ended_at,
        end_reason=row.end_reason,
        left_set_at=row.left_set_at,
        unconfirmed_at=row.unconfirmed_at,
        leftovers=codec.texts(row.leftovers),
    )
