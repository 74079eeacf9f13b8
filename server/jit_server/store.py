"""Persistence, as the services see it; its part about sessions and recordings is in `session_store`.

Every implementation keeps these rules, and one suite (tests/contract) proves them on each:
* a write transaction is alone: it sees everything committed before it, and no other runs beside it;
* what happens in it is durable once `async with` has ended without an exception, and undone if it ended with one (S7);
* audit events get gapless sequences in commit order and are never changed;
* states move only as `domain/lifecycle.py` says, and names, votes and reports exist once, whoever asks;
* hints for `Changes` go out after the commit.

Methods return None, or an empty sequence, for what does not exist.  They raise `Conflict` where a rule of the database
forbids the write, and `Unavailable` if the database does not answer.  Times are µs UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from jit_server.domain.batch import Batch
from jit_server.domain.events import Event, Query, RecordedEvent
from jit_server.domain.grant import Grant, Signature
from jit_server.domain.identity import Host, User
from jit_server.domain.lifecycle import GrantMove, GrantState, RequestMove, RequestState
from jit_server.domain.lock import Lock
from jit_server.domain.mfa import Factor
from jit_server.domain.policy.model import Renewal
from jit_server.domain.policy_change import ChangeState, PolicyChange
from jit_server.domain.renewal import RenewalRequest
from jit_server.domain.report import Hello, Report
from jit_server.domain.request import AccessRequest, Decision
from jit_server.session_store import Recordings, Sessions
from jit_server.store_values import CodeFactor, EndNotice, EnrollToken, LiveCount, MfaToken, Scope, StoredPolicy


class People(Protocol):
    async def add(self, user: User) -> None:
        """Raises `Conflict` if name or account is, in any letter case, a name or account of somebody."""

    async def get(self, user_id: str) -> User | None: ...

    async def by_name(self, name: str) -> User | None: ...

    async def by_account(self, account: str) -> User | None:
        """Exactly this account: accounts on hosts differ by letter case."""

    async def find(self, id_prefix: str) -> Sequence[User]:
        """At most three whose id begins like this."""

    async def all(self) -> Sequence[User]:
        """Everybody, by name."""

    async def named(self, names: Collection[str]) -> Sequence[User]:
        """Those who have one of these names, by name."""

    async def set_disabled(self, user_id: str, disabled: bool) -> None: ...


class Factors(Protocol):
    async def factor(self, user_id: str) -> CodeFactor | None: ...

    async def set_factor(self, user_id: str, factor: CodeFactor | None) -> None:
        """Put it in place of any the person has; what was proved with that one is forgotten."""

    async def use_step(self, user_id: str, step: int) -> bool:
        """Compare and set: store the step and return True if it is above the last one used (S9)."""

    async def set_proved(self, user_id: str, host_id: str, at: int) -> None:
        """The person has proved their factor on that host then."""

    async def proved_at(self, user_id: str, host_id: str) -> int:
        """When they last did; zero for never."""

    async def put_token(self, token: MfaToken) -> None:
        """Store the token in place of any the person has."""

    async def token(self, user_id: str) -> MfaToken | None: ...

    async def remove_token(self, user_id: str) -> None: ...

    async def failures(self, user_id: str, factor: Factor) -> Sequence[int]:
        """When wrong attempts were made that were not cleared since."""

    async def add_failure(self, user_id: str, factor: Factor, at: int) -> None: ...

    async def clear_failures(self, user_id: str, factor: Factor) -> None: ...

    async def locked_until(self, user_id: str, factor: Factor) -> int:
        """Zero if it never was."""

    async def lock(self, user_id: str, factor: Factor, until: int) -> None: ...


class Hosts(Protocol):
    async def add(self, host: Host) -> None:
        """Raises `Conflict` if a host that was not removed has the name."""

    async def get(self, host_id: str) -> Host | None: ...

    async def by_name(self, name: str) -> Host | None:
        """The host of that name that was not removed."""

    async def find(self, id_prefix: str) -> Sequence[Host]:
        """At most three whose id begins like this."""

    async def all(self) -> Sequence[Host]:
        """Every host, also removed ones, by name."""

    async def greet(self, host_id: str, hello: Hello, now: int) -> None:
        """Store what the host said of itself, and that it is connected."""

    async def set_seen(self, host_id: str, now: int, clock_skew_us: int) -> None: ...

    async def set_disconnected(self, host_id: str) -> None: ...

    async def remove(self, host_id: str) -> None: ...

    async def raise_generation(self, host_id: str) -> int:
        """Its live set changes in this transaction: return the new generation."""

    async def add_token(self, token: EnrollToken) -> None: ...

    async def token(self, token_hash: bytes) -> EnrollToken | None: ...

    async def use_token(self, token_hash: bytes, host_id: str) -> bool:
        """Compare and set: return True for the first use only."""


class Requests(Protocol):
    async def add(self, request: AccessRequest) -> None: ...

    async def get(self, request_id: str) -> AccessRequest | None: ...

    async def find(self, id_prefix: str, scope: Scope) -> Sequence[AccessRequest]:
        """At most three in the scope whose id begins like this."""

    async def select(
        self, scope: Scope, *, states: Collection[RequestState] = (), limit: int | None = None
    ) -> Sequence[AccessRequest]:
        """Those in the scope, newest first; no states mean all states."""

    async def lapsed(self, now: int) -> Sequence[AccessRequest]:
        """Pending ones whose time is up."""

    async def extending(self, grant_id: str) -> Sequence[AccessRequest]:
        """Pending ones that ask for more time of this grant."""

    async def of_batches(self, batch_ids: Collection[str]) -> Sequence[AccessRequest]:
        """All requests of these batches, whatever their states."""

    async def add_decision(self, request_id: str, decision: Decision) -> None:
        """Raises `Conflict` if the person has voted on it."""

    async def move(self, request: AccessRequest, move: RequestMove) -> RequestState:
        """Compare and set from the state it has in `request`; raises `Conflict` if it is no longer there."""


class Grants(Protocol):
    async def add(self, grant: Grant) -> None: ...

    async def get(self, grant_id: str) -> Grant | None: ...

    async def of_request(self, request_id: str) -> Grant | None: ...

    async def of_requests(self, request_ids: Collection[str]) -> Mapping[str, Grant]: ...

    async def find(self, id_prefix: str, scope: Scope) -> Sequence[Grant]:
        """At most three in the scope whose id begins like this."""

    async def select(
        self, scope: Scope, *, states: Collection[GrantState] = (), limit: int | None = None
    ) -> Sequence[Grant]:
        """Those in the scope, newest first; no states mean all states."""

    async def with_leftovers(self, scope: Scope, since: int) -> Sequence[Grant]:
        """Those in the scope that ended at or after this with something left over, newest first."""

    async def overdue(self, now: int) -> Sequence[Grant]:
        """Issued, active and ending ones whose end the host should have told of by now (`Grant.overdue_at`)."""

    async def to_start(self, now: int) -> Sequence[Grant]:
        """Scheduled ones whose start is at or before this."""

    async def next_start(self) -> int:
        """When the next scheduled one starts; zero if there is none."""

    async def count_live(self, user_id: str) -> Mapping[str, LiveCount]:
        """By role, how many grants are live or scheduled, of that person and of everybody, if there are any."""

    async def last_begun(self, since: int) -> Mapping[tuple[str, str], int]:
        """By role and the person's id when their latest grant of it began (µs UTC), if that is not before `since`."""

    async def count_open(self) -> Mapping[str, int]:
        """How many issued, active or ending grants each host has that has any."""

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
        """Compare and set from the state it has in `grant`; raises `Conflict` if it is no longer there.

        What is given replaces what is stored; zero and empty keep it.
        """

    async def extend(self, grant: Grant, not_after: int, term_s: int) -> Grant:
        """Compare and set from the end and state it has in `grant`; return it as it is then, for the host to be told.

        Raises `Conflict` if it has changed, is not live, or `not_after` is not later.
        """

    async def agree(self, grant: Grant, until: int) -> None:
        """The host holds the grant to this promised end, µs UTC."""

    async def take_back(self, grant: Grant) -> None:
        """Let it end when its host agreed to again.  Raises `Conflict` if its end has changed or it is not live."""

    async def set_signature(self, grant_id: str, signature: Signature) -> None:
        """Raises `Conflict` unless the revision is above the stored one."""

    async def void_signature(self, grant_id: str) -> None:
        """The bytes made last count for no boot any more; their revision stays taken."""


class Locks(Protocol):
    async def add(self, lock: Lock) -> None: ...

    async def find(self, id_prefix: str) -> Sequence[Lock]:
        """At most three whose id begins like this, also those that were lifted."""

    async def standing(self, now: int) -> Sequence[Lock]:
        """Those that count at `now`, newest first."""

    async def past(self, now: int) -> Sequence[Lock]:
        """Those whose time is up and that nobody has lifted."""

    async def newest(self, limit: int) -> Sequence[Lock]:
        """All there ever were, newest first, at most so many."""

    async def lift(self, lock_id: str, at: int, by: str) -> None:
        """Compare and set; raises `Conflict` if it was lifted before."""


class Batches(Protocol):
    async def add(self, batch: Batch) -> None: ...

    async def of(self, batch_ids: Collection[str]) -> Mapping[str, Batch]:
        """Those that exist, by id."""

    async def leave_out(self, batch: Batch, host: str, why: str) -> Batch:
        """There will be no grant on this host after all; return the batch as it is then."""


class Renewals(Protocol):
    """Eligibilities that were, or are to be, renewed.  Of a scope the host counts for nothing here."""

    async def add(self, renewal: RenewalRequest) -> None:
        """Raises `Conflict` if one for the same role and person is pending."""

    async def find(self, id_prefix: str, scope: Scope) -> Sequence[RenewalRequest]:
        """At most three in the scope whose id begins like this."""

    async def select(self, scope: Scope, *, limit: int) -> Sequence[RenewalRequest]:
        """Those in the scope, whatever their states, newest first."""

    async def pending(self, scope: Scope) -> Sequence[RenewalRequest]: ...

    async def lapsed(self, now: int) -> Sequence[RenewalRequest]:
        """Pending ones whose time is up."""

    async def standing(self, ending_after: int) -> Sequence[Renewal]:
        """Approved ones that did not end with their line, and whose own end is after this."""

    async def close(self, renewal: RenewalRequest) -> None:
        """Store its state, decision and end.  Compare and set; raises `Conflict` unless it is pending."""

    async def end(self, renewal: Renewal, at: int) -> None:
        """It ended with its line."""

    async def told(self, ending_after: int) -> Collection[EndNotice]:
        """What was told of ends that are after this."""

    async def tell(self, notice: EndNotice, at: int) -> bool:
        """Compare and set: return True for the first time this is told only."""


class Reports(Protocol):
    async def last(self, host_id: str, spool_id: str) -> int:
        """The highest sequence kept of that spool; zero for none."""

    async def add(self, host_id: str, spool_id: str, report: Report, now: int) -> None:
        """Raises `Conflict` if that sequence is kept already."""


class Policies(Protocol):
    async def latest_version(self) -> int:
        """Zero before the first."""

    async def get(self, version: int) -> StoredPolicy | None: ...

    async def version_at(self, at: int) -> int:
        """The version that was in force then (µs UTC); zero if there was none."""

    async def newest(self, limit: int) -> Sequence[StoredPolicy]:
        """Newest first, at most so many, without their files."""

    async def add(self, policy: StoredPolicy) -> None:
        """Raises `Conflict` if the version exists."""


class PolicyChanges(Protocol):
    async def add(self, change: PolicyChange) -> None: ...

    async def get(self, change_id: str) -> PolicyChange | None: ...

    async def find(self, id_prefix: str) -> Sequence[PolicyChange]:
        """At most three whose id begins like this."""

    async def pending(self) -> Sequence[PolicyChange]:
        """Newest first, without their files."""

    async def newest(self, limit: int) -> Sequence[PolicyChange]:
        """All there ever were, newest first, at most so many, without their files."""

    async def add_decision(self, change_id: str, decision: Decision) -> None:
        """Raises `Conflict` if the person has voted on it."""

    async def close(self, change_id: str, state: ChangeState, at: int, version: int = 0) -> None:
        """Compare and set; raises `Conflict` unless it is pending."""


class Audit(Protocol):
    async def append(self, event: Event) -> int:
        """Return the event's sequence."""

    async def query(self, query: Query) -> Sequence[RecordedEvent]:
        """At most `query.limit` matching events, oldest first."""


class Transaction(Protocol):
    @property
    def people(self) -> People: ...
    @property
    def factors(self) -> Factors: ...
    @property
    def hosts(self) -> Hosts: ...
    @property
    def requests(self) -> Requests: ...
    @property
    def batches(self) -> Batches: ...
    @property
    def grants(self) -> Grants: ...
    @property
    def locks(self) -> Locks: ...
    @property
    def renewals(self) -> Renewals: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def recordings(self) -> Recordings: ...
    @property
    def reports(self) -> Reports: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def policy_changes(self) -> PolicyChanges: ...
    @property
    def audit(self) -> Audit: ...


class Store(Protocol):
    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """One consistent view; writing in it fails."""

    def write(self) -> AbstractAsyncContextManager[Transaction]:
        """One write transaction, alone."""

    async def close(self) -> None: ...
