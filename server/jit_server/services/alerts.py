"""What somebody has to look at, computed from the store each time it is asked for (`domain/alert.py`)."""

from __future__ import annotations

from jit_server.domain import alert as alerts
from jit_server.domain.alert import Alert
from jit_server.domain.events import EventKind, Query
from jit_server.domain.identity import Duty, Host, Person
from jit_server.domain.lifecycle import GrantState
from jit_server.domain.session import SessionState
from jit_server.errors import Denied
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.policy_book import PolicyBook
from jit_server.store import Store
from jit_server.store_values import Scope, SessionQuery

MAX_FOOTPRINTS = 1_000
MAX_SESSIONS = 1_000


class AlertService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook) -> None:
        self._store = store
        self._clock = clock
        self._book = book

    async def list_visible(self, caller: Person) -> tuple[Alert, ...]:
        """What matters most first.

        Administrators and auditors see all of them; approvers those about grants and sessions of their roles, and about
        hosts their roles reach.  Raises `Denied` for anybody else: an empty list would tell them that all is well.
        """
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            everything = not user.duties.isdisjoint({Duty.ADMIN, Duty.AUDITOR})
            roles = policy.approver_of(user)
            if not (everything or roles):
                raise Denied("only administrators, auditors and approvers see alerts")
            scope = Scope(roles=roles, everything=everything)
            now = self._clock.now()
            since = now - alerts.LOOK_BACK_US
            people = {person.user_id: person.name for person in await tx.people.all()}
            hosts = {host.host_id: host for host in await tx.hosts.all()}
            unconfirmed = await tx.grants.select(scope, states=(GrantState.UNCONFIRMED,))
            left_over = await tx.grants.with_leftovers(scope, since)
            query = Query(kind=EventKind.GRANT_FOOTPRINT, since=since, limit=MAX_FOOTPRINTS, newest=True)
            footprints = [recorded.event for recorded in await tx.audit.query(query)]
            waiting = await tx.sessions.select(SessionQuery(states=(SessionState.WAITING,)), scope, limit=MAX_SESSIONS)
            marred = await tx.sessions.select(SessionQuery(marred=True, since=since), scope, limit=MAX_SESSIONS)
            open_grants = await tx.grants.count_open()

        def reached(host: Host) -> bool:
            return everything or any(policy.roles[role].hosts.matches(host) for role in roles)

        found: list[Alert] = []
        for grant in unconfirmed:
            names = {"user": people[grant.user_id], "host": hosts[grant.host_id].name}
            found.append(alerts.end_unconfirmed(grant, **names))
        for grant in left_over:
            names = {"user": people[grant.user_id], "host": hosts[grant.host_id].name}
            found.append(alerts.leftovers(grant, **names))
        found += [alerts.waiting(session) for session in waiting]
        found += [alerts.marred(session) for session in marred]
        found += [alerts.footprint(event) for event in footprints if everything or event.role in roles]
        for host in hosts.values():
            if not host.removed and reached(host):
                found += alerts.of_host(host, live_grants=open_grants.get(host.host_id, 0), now=now)
        return alerts.in_order(found)
