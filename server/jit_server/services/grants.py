"""Grants as people see them: looking, revoking, giving back, and the end of their time."""

from __future__ import annotations

import logging
from collections.abc import Collection

from jit_server.domain.events import SERVER, EventKind
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Duty, Person, User
from jit_server.domain.ids import Kind, id_prefix
from jit_server.domain.lifecycle import OVER, GrantMove, GrantState
from jit_server.domain.policy.model import Policy
from jit_server.domain.request import check_reason
from jit_server.errors import Denied, LimitExceeded
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.ending import cancel_extensions, end_grant
from jit_server.services.policy_book import PolicyBook
from jit_server.services.recording import note_grant
from jit_server.services.requests import MAX_LISTED
from jit_server.services.views import GrantView, Viewer
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope

NOT_OVER = frozenset(GrantState) - OVER

_log = logging.getLogger(__name__)


class GrantService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook) -> None:
        self._store = store
        self._clock = clock
        self._book = book

    async def get(self, caller: Person, untrusted_id: str) -> GrantView:
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            grant = await _find(tx, untrusted_id, access.scope_of(user, policy))
            return await Viewer(tx, policy).grant(grant)

    async def list_visible(
        self, caller: Person, states: Collection[GrantState] = (), limit: int = 100
    ) -> tuple[GrantView, ...]:
        """Those the caller may see, newest first; no states mean all that are not over."""
        if not 1 <= limit <= MAX_LISTED:
            raise LimitExceeded(f"{limit} grants asked for; the limit is {MAX_LISTED}")
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            viewer = Viewer(tx, policy)
            found = await tx.grants.select(access.scope_of(user, policy), states=states or NOT_OVER, limit=limit)
            return tuple([await viewer.grant(grant) for grant in found])

    async def revoke(self, caller: Person, untrusted_id: str, untrusted_reason: str = "") -> GrantView:
        """End somebody's grant.  Raises `Denied` unless the caller is an approver of its role or an administrator."""
        reason = check_reason(untrusted_reason)
        async with self._store.write() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            grant = await _find(tx, untrusted_id, access.scope_of(user, policy))
            if Duty.ADMIN not in user.duties and grant.role not in policy.approver_of(user):
                raise Denied(
                    f"only an approver of role {grant.role} or an administrator may revoke this",
                    hint="your own grant you can give back: jitctl grants drop",
                )
            return await self._end(
                tx, policy, user, grant, kind=EventKind.GRANT_REVOKED, end_reason="revoked", why=reason
            )

    async def drop(self, caller: Person, untrusted_id: str) -> GrantView:
        """Give back one's own grant, from anywhere."""
        async with self._store.write() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            grant = await _find(tx, untrusted_id, Scope(user_id=user.user_id))
            return await self._end(
                tx, policy, user, grant, kind=EventKind.GRANT_DROP_ASKED, end_reason="dropped", why=""
            )

    async def expire(self) -> int:
        """Close grants whose end was due and was told by no host; return how many.

        A grant no bytes were ever signed for ends at its time; any other is given a few seconds for the host's word,
        then it is shown as unconfirmed until the host speaks.
        """
        now = self._clock.now()
        async with self._store.read() as tx:
            if not await tx.grants.overdue(now):
                return 0
        unconfirmed: list[str] = []
        async with self._store.write() as tx:
            due = await tx.grants.overdue(now)
            for grant in due:
                unconfirmed += await _close(tx, grant, now)
        for text in unconfirmed:
            _log.warning("%s", text)
        return len(due)

    async def _end(
        self, tx: Transaction, policy: Policy, user: User, grant: Grant, *, kind: EventKind, end_reason: str, why: str
    ) -> GrantView:
        await end_grant(tx, grant, kind=kind, actor=user.name, now=self._clock.now(), end_reason=end_reason, why=why)
        ended = await tx.grants.get(grant.grant_id)
        return await Viewer(tx, policy).grant(ended or grant)


async def _close(tx: Transaction, grant: Grant, now: int) -> list[str]:
    """Close one grant; return what the log is to say of it once that is durable."""
    generation = await tx.hosts.raise_generation(grant.host_id)
    reason = grant.end_reason or ("lease" if grant.due_at < grant.not_after and grant.lease_s else "expired")
    left_set_at = grant.left_set_at or generation
    await cancel_extensions(tx, grant, now=now)
    if grant.signature is None:
        await tx.grants.move(grant, GrantMove.END, ended_at=grant.not_after, end_reason=reason, left_set_at=left_set_at)
        await note_grant(
            tx, EventKind.GRANT_ENDED, grant, actor=SERVER, now=now, reason=reason, proof="it was never signed"
        )
        return []
    await tx.grants.move(grant, GrantMove.SILENCE, end_reason=reason, left_set_at=left_set_at, unconfirmed_at=now)
    host = await tx.hosts.get(grant.host_id)
    await note_grant(
        tx, EventKind.GRANT_UNCONFIRMED, grant, actor=SERVER, now=now, host=host, reason=reason, due_at=grant.due_at
    )
    return [f"{host.name if host else grant.host_id} has not confirmed the end of {grant.grant_id} ({reason})"]


async def _find(tx: Transaction, untrusted_id: str, scope: Scope) -> Grant:
    found = await tx.grants.find(id_prefix(Kind.GRANT, untrusted_id), scope)
    return access.only(found, "grant", untrusted_id)
