"""What other files would do: to roles and people, to live grants and to pending requests (SPEC 9.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, User
from jit_server.domain.lifecycle import REVOCABLE, RequestState
from jit_server.domain.policy.decision import Refused, evaluate, still_covers
from jit_server.domain.policy.difference import RoleChange, role_changes, same
from jit_server.domain.policy.finding import Finding, PolicyFile, Severity
from jit_server.domain.policy.fleet import HostSets, ReachChange, reach_changes
from jit_server.domain.policy.gains import gains_as_root
from jit_server.domain.policy.lint import Usage
from jit_server.domain.policy.model import Policy
from jit_server.domain.policy.rehearsal import TestResult, rehearse
from jit_server.domain.policy_change import digest, locks_out
from jit_server.domain.request import AccessRequest
from jit_server.errors import Invalid, LimitExceeded
from jit_server.ports import Clock
from jit_server.services import policy_lint, weighing
from jit_server.services.policy_book import PolicyBook
from jit_server.store import Transaction
from jit_server.store_values import Scope

MAX_POLICY_BYTES = 1024 * 1024
MAX_POLICY_FILES = 100


@dataclass(frozen=True, slots=True)
class World:
    """What a plan is made against; `policy` is the one in force, with what stands beside it."""

    policy: Policy
    people: tuple[User, ...]
    hosts: tuple[Host, ...]
    now: int
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Checked:
    """Files that were read; `policy` is None if there is an error among the findings, or the policy locks out.

    `suppressed` are findings that the files call known and right (SPEC 9.6).
    """

    policy: Policy | None
    findings: tuple[Finding, ...]
    suppressed: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """Files that were read and compared.

    `policy` is None if there is an error among the findings or a test of theirs failed: they cannot be put in force.
    `needs_approval` says why somebody else has to approve them, empty if nobody has to.
    """

    files: tuple[PolicyFile, ...]
    digest: str
    base_version: int
    policy: Policy | None
    findings: tuple[Finding, ...]
    suppressed: tuple[Finding, ...] = ()
    failed_tests: tuple[TestResult, ...] = ()
    changes_anything: bool = False
    roles: tuple[RoleChange, ...] = ()
    reach: tuple[ReachChange, ...] = ()
    needs_approval: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """A grant or request that is no longer allowed; people and hosts by name."""

    item_id: str
    user: str
    host: str
    role: str
    why: str


@dataclass(frozen=True, slots=True)
class Endings:
    """What another policy ends (S10)."""

    grants: tuple[tuple[Grant, Ending], ...] = ()
    requests: tuple[tuple[AccessRequest, Ending], ...] = ()


async def look(tx: Transaction, book: PolicyBook, clock: Clock, *, used: bool = False) -> World:
    """Collect all that a plan needs of the store; `used`: also which roles were used, for the lint."""
    policy, now = await book.current(tx), clock.now()
    usage = await policy_lint.usage(tx, book, now) if used else Usage()
    return World(policy, tuple(await tx.people.all()), tuple(await tx.hosts.all()), now, usage)


async def check(book: PolicyBook, world: World, files: Sequence[PolicyFile], reader_id: str) -> Checked:
    """Read the files, with what stands beside every version, and say what is wrong with them or seldom meant."""
    parsed = await book.read(files, world.policy.version + 1, world.people)
    if parsed.policy is None:
        return Checked(None, parsed.findings)
    policy = replace(parsed.policy, locks=world.policy.locks, renewals=world.policy.renewals)
    told = await asyncio.to_thread(
        policy_lint.linted,
        policy,
        parsed,
        files,
        people=world.people,
        hosts=world.hosts,
        used=world.usage,
        now=world.now,
    )
    findings = (*told.findings, *_lock_out(policy, files, world.people, reader_id))
    wrong = any(finding.severity is Severity.ERROR for finding in findings)
    return Checked(None if wrong else policy, findings, told.suppressed)


async def draft(book: PolicyBook, world: World, files: Sequence[PolicyFile], proposer_id: str) -> Draft:
    """Read the files and compare them with what is in force; takes no transaction, for it may take seconds."""
    checked = await check(book, world, files, proposer_id)
    policy = checked.policy
    base = Draft(tuple(files), digest(files), world.policy.version, policy, checked.findings, checked.suppressed)
    return base if policy is None else await asyncio.to_thread(_compared, world, base, policy)


def _compared(world: World, base: Draft, policy: Policy) -> Draft:
    failed = tuple(result for result in rehearse(policy, world.hosts, world.now) if not result.passed)
    tested = replace(base, failed_tests=failed, policy=None if failed else policy)
    if same(world.policy, policy):
        return tested
    return replace(
        tested,
        changes_anything=True,
        roles=role_changes(world.policy, policy),
        reach=reach_changes(world.policy, policy, world.people, HostSets(world.hosts), world.now),
        needs_approval=_needs_approval(world.policy, policy, world.now),
    )


def _lock_out(
    policy: Policy, files: Sequence[PolicyFile], people: Sequence[User], proposer_id: str
) -> tuple[Finding, ...]:
    why = locks_out(policy, proposer_id, people)
    if not why:
        return ()
    fix = "name more approvers in `changes` whom the server knows (jitctl users ls), or ask for fewer approvals"
    return (Finding(files[0].name, 0, 0, Severity.ERROR, f"this policy could never be changed again: {why}", fix=fix),)


def _needs_approval(before: Policy, after: Policy, now: int) -> str:
    if not before.changes.approvals:
        return ""
    if not before.changes.root_only:
        return "the policy in force asks for it with every change"
    return "; ".join(gains_as_root(before, after, now))


async def endings(tx: Transaction, before: Policy, after: Policy, now: int) -> Endings:
    """Find live and scheduled grants it would not allow, and pending requests it would change or not allow."""
    users = {user.user_id: user for user in await tx.people.all()}
    hosts = {host.host_id: host for host in await tx.hosts.all()}
    everything = Scope(everything=True)
    grants = []
    for grant in await tx.grants.select(everything, states=REVOCABLE):
        user, host = users[grant.user_id], hosts[grant.host_id]
        refused = still_covers(after, grant, user, host, now)
        if refused is not None:
            grants.append((grant, Ending(grant.grant_id, user.name, host.name, grant.role, refused.why)))
    requests = []
    for request in await tx.requests.select(everything, states=(RequestState.PENDING,)):
        user, host = users[request.user_id], hosts[request.host_id]
        why = await _why_not(tx, before, after, request, person=user, host=host, now=now)
        if why:
            requests.append((request, Ending(request.request_id, user.name, host.name, request.role, why)))
    return Endings(tuple(grants), tuple(requests))


async def _why_not(
    tx: Transaction, before: Policy, after: Policy, request: AccessRequest, *, person: User, host: Host, now: int
) -> str:
    """Say why a pending request would be no more; empty if it would go on."""
    role, former = after.roles.get(request.role), before.roles.get(request.role)
    if role is None:
        return f"role {request.role} is no longer in the policy"
    if former is None or role.terms != former.terms:
        return f"what role {role.name} gives, or asks for, has changed"
    decision = evaluate(await weighing.standing(tx, after, role, request, person=person, host=host, at=now))
    return decision.why if isinstance(decision, Refused) else ""


def require_size(untrusted_files: Sequence[PolicyFile]) -> None:
    """Raise `Invalid` for no file, `LimitExceeded` over 1 MiB or 100 files."""
    if not untrusted_files:
        raise Invalid("no policy file was given")
    if len(untrusted_files) > MAX_POLICY_FILES:
        raise LimitExceeded(f"{len(untrusted_files)} policy files; the limit is {MAX_POLICY_FILES}")
    size = sum(len(file.text.encode("utf-8", "surrogatepass")) for file in untrusted_files)
    if size > MAX_POLICY_BYTES:
        raise LimitExceeded(f"the policy has {size} bytes; the limit is {MAX_POLICY_BYTES}")
