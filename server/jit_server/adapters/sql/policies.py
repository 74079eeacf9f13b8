"""Versions of the policy, and changes of it that wait for somebody, in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, insert, select, update

from jit_server.adapters.sql import codec
from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import policies, policy_change_decisions, policy_changes
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy_change import ChangeState, PolicyChange
from jit_server.domain.request import Decision
from jit_server.store_values import StoredPolicy

_VERSION = [column for column in policies.c if column.name != "files"]
_CHANGE = [column for column in policy_changes.c if column.name != "files"]


@dataclass(frozen=True, slots=True)
class SqlPolicies:
    session: Session

    async def latest_version(self) -> int:
        row = await self.session.first(select(func.max(policies.c.version).label("latest")))
        return 0 if row is None or row.latest is None else int(row.latest)

    async def get(self, version: int) -> StoredPolicy | None:
        row = await self.session.first(select(policies).where(policies.c.version == version))
        return None if row is None else _stored(row, codec.files(row.files))

    async def version_at(self, at: int) -> int:
        query = select(func.max(policies.c.version).label("version")).where(policies.c.applied_at <= at)
        row = await self.session.first(query)
        return 0 if row is None or row.version is None else int(row.version)

    async def newest(self, limit: int) -> Sequence[StoredPolicy]:
        rows = await self.session.all(select(*_VERSION).order_by(policies.c.version.desc()).limit(limit))
        return [_stored(row, ()) for row in rows]

    async def add(self, policy: StoredPolicy) -> None:
        await self.session.change(
            insert(policies).values(
                version=policy.version,
                files=codec.dump_files(policy.files),
                applied_by=policy.applied_by,
                applied_at=policy.applied_at,
                digest=policy.digest,
                approved_by=codec.dump(policy.approved_by),
                reason=policy.reason,
                rolled_back_to=policy.rolled_back_to,
            )
        )


@dataclass(frozen=True, slots=True)
class SqlPolicyChanges:
    session: Session

    async def add(self, change: PolicyChange) -> None:
        await self.session.change(
            insert(policy_changes).values(
                change_id=change.change_id,
                files=codec.dump_files(change.files),
                digest=change.digest,
                base_version=change.base_version,
                proposed_by=change.proposed_by,
                proposed_at=change.proposed_at,
                reason=change.reason,
                why=change.why,
                approvals_needed=change.approvals_needed,
                rolled_back_to=change.rolled_back_to,
                state=change.state.value,
            )
        )

    async def get(self, change_id: str) -> PolicyChange | None:
        found = await self._load(select(policy_changes).where(policy_changes.c.change_id == change_id))
        return found[0] if found else None

    async def find(self, id_prefix: str) -> Sequence[PolicyChange]:
        beginning = policy_changes.c.change_id.startswith(id_prefix, autoescape=True)
        return await self._load(select(policy_changes).where(beginning).limit(3))

    async def pending(self) -> Sequence[PolicyChange]:
        waiting = policy_changes.c.state == ChangeState.PENDING.value
        return await self._load(_newest_first(select(*_CHANGE).where(waiting)))

    async def newest(self, limit: int) -> Sequence[PolicyChange]:
        return await self._load(_newest_first(select(*_CHANGE)).limit(limit))

    async def add_decision(self, change_id: str, decision: Decision) -> None:
        await self.session.change(
            insert(policy_change_decisions).values(
                change_id=change_id,
                user_id=decision.user_id,
                approved=decision.approved,
                reason=decision.reason,
                at=decision.at,
            )
        )

    async def close(self, change_id: str, state: ChangeState, at: int, version: int = 0) -> None:
        await self.session.change_one(
            update(policy_changes)
            .where(policy_changes.c.change_id == change_id, policy_changes.c.state == ChangeState.PENDING.value)
            .values(state=state.value, closed_at=at, version=version),
            otherwise="the change is decided already",
        )

    async def _load(self, query: Select[Any]) -> list[PolicyChange]:
        rows = await self.session.all(query)
        votes = policy_change_decisions.c
        wanted = select(policy_change_decisions).where(votes.change_id.in_([row.change_id for row in rows]))
        decisions: dict[str, list[Decision]] = defaultdict(list)
        for vote in await self.session.all(wanted.order_by(votes.at, votes.user_id)):
            decisions[vote.change_id].append(Decision(vote.user_id, vote.approved, vote.reason, vote.at))
        return [
            PolicyChange(
                change_id=row.change_id,
                files=codec.files(row.files) if "files" in row._fields else (),
                digest=row.digest,
                base_version=row.base_version,
                proposed_by=row.proposed_by,
                proposed_at=row.proposed_at,
                reason=row.reason,
                why=row.why,
                approvals_needed=row.approvals_needed,
                rolled_back_to=row.rolled_back_to,
                state=ChangeState(row.state),
                closed_at=row.closed_at,
                version=row.version,
                decisions=tuple(decisions[row.change_id]),
            )
            for row in rows
        ]


def _stored(row: Any, files: tuple[PolicyFile, ...]) -> StoredPolicy:
    return StoredPolicy(
        version=row.version,
        files=files,
        applied_by=row.applied_by,
        applied_at=row.applied_at,
        digest=row.digest,
        approved_by=codec.texts(row.approved_by),
        reason=row.reason,
        rolled_back_to=row.rolled_back_to,
    )


def _newest_first(query: Select[Any]) -> Select[Any]:
    return query.order_by(policy_changes.c.proposed_at.desc(), policy_changes.c.change_id)
