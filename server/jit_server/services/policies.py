"""The policy over time: versions, the current one, and what a change of it ends (S10)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jit_server.domain.events import Event, EventKind
from jit_server.domain.grant import Grant
from jit_server.domain.identity import Person
from jit_server.domain.lifecycle import REVOCABLE, RequestState
from jit_server.domain.policy import NO_POLICY, Finding, Policy, PolicyFile, Refused, evaluate, still_covers
from jit_server.domain.request import AccessRequest
from jit_server.errors import Conflict, Invalid, LimitExceeded, NotFound
from jit_server.ports import Clock, ParsedPolicy, PolicyParser
from jit_server.services import access
from jit_server.services.ending import cancel_all, end_all
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope, StoredPolicy

MAX_POLICY_BYTES = 1024 * 1024
MAX_POLICY_FILES = 100

_log = logging.getLogger(__name__)


class PolicyBook:
    """What is in force: the policy, read once per version, and the locks that stand."""

    def __init__(self, parser: PolicyParser, clock: Clock) -> None:
        self._parser = parser
        self._clock = clock
        self._current = NO_POLICY

    async def current(self, tx: Transaction) -> Policy:
        """Return the policy in force with the locks that stand; before the first one, a policy that allows nothing."""
        version = await tx.policies.latest_version()
        if version != self._current.version:
            self._current = await self._load(tx, version)
        return replace(self._current, locks=tuple(await tx.locks.standing(self._clock.now())))

    async def _load(self, tx: Transaction, version: int) -> Policy:
        stored = await tx.policies.get(version)
        parsed = None if stored is None else self._parser.parse(stored.files, version, ()).policy
        if parsed is None:
            # A stored text that a newer parser refuses must not stop people from ending grants: allow nothing (S6).
            _log.error("Stored policy cannot be read and allows nothing now", extra={"version": version})
            return replace(NO_POLICY, version=version)
        return parsed


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """`version` is zero when nothing was stored; `grants_ended` is what a change of policy ended, or would."""

    version: int
    findings: tuple[Finding, ...]
    grants_ended: int = 0


class PolicyService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, parser: PolicyParser) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._parser = parser

    async def lint(self, caller: Person, untrusted_files: Sequence[PolicyFile]) -> PolicyReport:
        """Say what is wrong with the files; raises `LimitExceeded` over 1 MiB or 100 files."""
        _require_size(untrusted_files)
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            parsed = await self._parse(tx, untrusted_files, 0)
        return PolicyReport(0, parsed.findings)

    async def apply(
        self,
        caller: Person,
        untrusted_files: Sequence[PolicyFile],
        *,
        expected_version: int = 0,
        dry_run: bool = False,
    ) -> PolicyReport:
        """Make the files the policy, end the live grants and cancel the pending requests it no longer allows.

        With an error among the findings, or in a dry run, nothing changes and the report's version is zero.
        Raises `Conflict` if `expected_version` (zero: any) is not the current one.
        """
        _require_size(untrusted_files)
        async with self._store.read() if dry_run else self._store.write() as tx:
            admin = await access.person(tx, caller)
            access.require_admin(admin)
            current = await tx.policies.latest_version()
            if expected_version not in {0, current}:
                raise Conflict(
                    f"the policy is at version {current}, not {expected_version}",
                    hint="look at what changed (jitctl policy show), then apply again",
                )
            parsed = await self._parse(tx, untrusted_files, current + 1)
            if parsed.policy is None:
                return PolicyReport(0, parsed.findings)
            grants, requests = await _no_longer_allowed(tx, await self._book.current(tx), parsed.policy)
            if dry_run:
                return PolicyReport(0, parsed.findings, len(grants))
            now = self._clock.now()
            await tx.policies.add(StoredPolicy(current + 1, tuple(untrusted_files), admin.name, now))
            await tx.audit.append(
                Event(
                    at=now,
                    kind=EventKind.POLICY_APPLIED,
                    actor=admin.name,
                    details={"version": current + 1, "grants_ended": len(grants), "requests_cancelled": len(requests)},
                )
            )
            why = f"policy version {current + 1} no longer allows it"
            # First, for a grant that ends takes the requests for more of its time with it.
            await cancel_all(tx, requests, actor=admin.name, now=now, why=why)
            await end_all(tx, grants, actor=admin.name, now=now, why=why)
            return PolicyReport(current + 1, parsed.findings, len(grants))

    async def show(self, caller: Person, version: int = 0) -> StoredPolicy:
        """Return a version (zero: the current one) as it was given; raises `NotFound` if there is none."""
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            stored = await tx.policies.get(version or await tx.policies.latest_version())
        if stored is None:
            raise NotFound(
                f"there is no policy version {version}" if version else "there is no policy yet",
                hint="apply one: jitctl policy apply FILE",
            )
        return stored

    async def _parse(self, tx: Transaction, untrusted_files: Sequence[PolicyFile], version: int) -> ParsedPolicy:
        return self._parser.parse(untrusted_files, version, await tx.people.all())


async def _no_longer_allowed(
    tx: Transaction, before: Policy, policy: Policy
) -> tuple[list[Grant], list[AccessRequest]]:
    """Return the live and scheduled grants it would not allow, and pending requests it would change or not allow."""
    people = await tx.people.all()
    users = {user.user_id: user for user in people}
    hosts = {host.host_id: host for host in await tx.hosts.all()}
    everything = Scope(everything=True)
    grants = [
        grant
        for grant in await tx.grants.select(everything, states=REVOCABLE)
        if still_covers(policy, grant, users[grant.user_id], hosts[grant.host_id]) is not None
    ]
    requests = []
    for request in await tx.requests.select(everything, states=(RequestState.PENDING,)):
        role, former = policy.roles.get(request.role), before.roles.get(request.role)
        if (
            role is None
            or former is None
            or role.terms != former.terms
            or isinstance(
                evaluate(policy, role, users[request.user_id], hosts[request.host_id], request.ask, people=people),
                Refused,
            )
        ):
            requests.append(request)
    return grants, requests


def _require_size(untrusted_files: Sequence[PolicyFile]) -> None:
    if not untrusted_files:
        raise Invalid("no policy file was given")
    if len(untrusted_files) > MAX_POLICY_FILES:
        raise LimitExceeded(f"{len(untrusted_files)} policy files; the limit is {MAX_POLICY_FILES}")
    size = sum(len(file.text.encode("utf-8", "surrogatepass")) for file in untrusted_files)
    if size > MAX_POLICY_BYTES:
        raise LimitExceeded(f"the policy has {size} bytes; the limit is {MAX_POLICY_BYTES}")
