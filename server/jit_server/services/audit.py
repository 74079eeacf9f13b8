"""Questions to the audit log, for auditors and administrators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jit_server.domain.events import Query, RecordedEvent
from jit_server.domain.identity import Person
from jit_server.domain.ids import Kind, id_prefix
from jit_server.errors import Invalid, LimitExceeded
from jit_server.services import access
from jit_server.store import Store

MAX_EVENTS = 10_000
_KIND_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz_.")


class AuditService:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def query(self, caller: Person, untrusted: Query) -> Sequence[RecordedEvent]:
        """Return matching events, oldest first; to go on, ask again with `after` the last sequence.

        Ids may be unique beginnings with or without the kind; `kind` may be a family such as `grant`.
        Raises `Denied` for others than auditors and administrators, `Invalid` for a question that cannot be asked.
        """
        query = _checked(untrusted)
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            return await tx.audit.query(query)


def _checked(query: Query) -> Query:
    if not 1 <= query.limit <= MAX_EVENTS:
        raise LimitExceeded(f"{query.limit} events asked for; the limit is {MAX_EVENTS}")
    if not _KIND_CHARACTERS.issuperset(query.kind):
        raise Invalid(
            f"{query.kind[:64]!a} is not a kind of event", hint="such as grant.ended, or grant for all of them"
        )
    if query.after < 0 or query.since < 0 or query.until < 0:
        raise Invalid("a cursor or time is below zero")
    return replace(
        query,
        request_id=query.request_id and id_prefix(Kind.REQUEST, query.request_id),
        grant_id=query.grant_id and id_prefix(Kind.GRANT, query.grant_id),
    )
