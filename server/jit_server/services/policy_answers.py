"""Questions to the policy: why somebody may or may not, who can what, and whether a role lets a command through.

Administrators and auditors ask about everybody, and of files that are not in force; everybody asks about themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from jit_server.domain.ask import Ask, check_ask
from jit_server.domain.host_choice import choice
from jit_server.domain.identity import Duty, Host, Person, User
from jit_server.domain.policy.answers import Capability, Fleet, weigh_ask, what_can, who_can
from jit_server.domain.policy.check import Check
from jit_server.domain.policy.circumstances import Login, LoginKind
from jit_server.domain.policy.command_test import CommandTest, try_command
from jit_server.domain.policy.decision import Allowed, Refused, Weighing
from jit_server.domain.policy.finding import PolicyFile, Severity
from jit_server.domain.policy.fleet import HostSets
from jit_server.domain.policy.model import Policy, Role
from jit_server.errors import Denied, Invalid, LimitExceeded, NotFound
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.planning import unfit
from jit_server.services.policy_book import PolicyBook
from jit_server.services.policy_plans import World, check, look, require_size
from jit_server.services.weighing import Moment, Scales
from jit_server.store import Store, Transaction

MAX_CAPABILITIES = 10_000


@dataclass(frozen=True, slots=True)
class Question:
    """What `explain` is asked; `ask` None for the roles as such, `role` empty for all that have to do with it.

    `at` zero is now (µs UTC), `duration_s` zero each role's default; no `files`: the policy in force.
    """

    user: str
    host: str
    ask: Ask | None = None
    role: str = ""
    at: int = 0
    login: Login = field(default_factory=lambda: Login(LoginKind.SSH))
    duration_s: int = 0
    files: tuple[PolicyFile, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleExplanation:
    """Every check of one role; `needs` are what has to be given with a request."""

    role: str
    allowed: bool
    checks: tuple[Check, ...]
    approvals: int
    approvers: tuple[str, ...]
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    roles: tuple[RoleExplanation, ...]
    verdict: str
    allowed: bool


class PolicyAnswerService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, scales: Scales) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._scales = scales

    async def explain(self, caller: Person, untrusted: Question) -> Explanation:
        """Hold one ask against every role that has to do with the person or, for readers, with the host.

        Raises `Denied` for a question about somebody else, or about other files, by who may not read policies, and
        `NotFound` for a person, host or role that is not there.
        """
        ask = None if untrusted.ask is None else check_ask(untrusted.ask)
        async with self._store.read() as tx:
            asking = await access.person(tx, caller)
            person = await _about(tx, asking, untrusted.user)
            host = await access.find_host(tx, untrusted.host)
            policy = await self._policy(tx, asking, untrusted.files)
            roles = _concerned(policy, person, host, untrusted.role, everything=_reads(asking))
            now = self._clock.now()
            moment = Moment(untrusted.at or now, untrusted.login, duration_s=untrusted.duration_s, draft=True)
            cases = await self._scales.cases(tx, policy, roles, person=person, host=host, moment=moment)
            weighed = [weigh_ask(cases.of(role, ask)) for role in roles]
        cannot = unfit(host, now)
        if cannot is not None:
            weighed = [_but(one, cannot) for one in weighed]
        return _explanation(person, host, weighed)

    async def who_can(self, caller: Person, ask: Ask, hosts: Sequence[str] = ()) -> tuple[Capability, ...]:
        """Everybody who may ask for this, on hosts that are named or have these labels (SPEC 9.7; none: on any).

        Raises `LimitExceeded` for more than 10,000 answers.
        """
        asked = check_ask(ask)
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            world = await look(tx, self._book, self._clock)
        return await asyncio.to_thread(lambda: _bounded(who_can(_fleet(world, hosts), asked)))

    async def what_can(self, caller: Person, untrusted_user: str) -> tuple[Capability, ...]:
        """All that one person may ask for."""
        async with self._store.read() as tx:
            person = await _about(tx, await access.person(tx, caller), untrusted_user)
            world = await look(tx, self._book, self._clock)
        return await asyncio.to_thread(lambda: _bounded(what_can(_fleet(world, ()), person)))

    async def test_command(
        self,
        caller: Person,
        untrusted_role: str,
        untrusted_argv: tuple[str, ...],
        untrusted_files: tuple[PolicyFile, ...],
    ) -> CommandTest:
        """Whether a role of the files, or of the policy in force if there are none, lets a command line through."""
        if not untrusted_argv:
            raise Invalid("no command was given")
        async with self._store.read() as tx:
            asking = await access.person(tx, caller)
            access.require_reader(asking)
            policy = await self._policy(tx, asking, untrusted_files)
        role = policy.roles.get(untrusted_role)
        if role is None:
            raise _no_role(untrusted_role)
        return try_command(role, untrusted_argv)

    async def _policy(self, tx: Transaction, asking: User, untrusted_files: tuple[PolicyFile, ...]) -> Policy:
        if not untrusted_files:
            return await self._book.current(tx)
        access.require_reader(asking)
        require_size(untrusted_files)
        world = await look(tx, self._book, self._clock)
        checked = await check(self._book, world, untrusted_files, asking.user_id)
        if checked.policy is None:
            error = next(finding for finding in checked.findings if finding.severity is Severity.ERROR)
            raise Invalid(f"{error.file}:{error.line}:{error.column}: {error.message}", hint="see: jitctl policy lint")
        return checked.policy


def _reads(user: User) -> bool:
    return not user.duties.isdisjoint({Duty.ADMIN, Duty.AUDITOR})


async def _about(tx: Transaction, asking: User, untrusted_user: str) -> User:
    """Whom it is about; empty: who asks."""
    if untrusted_user in {"", asking.name, asking.user_id}:
        return asking
    if not _reads(asking):
        raise Denied("only an administrator or an auditor may ask about somebody else")
    return await access.find_user(tx, untrusted_user)


def _concerned(policy: Policy, person: User, host: Host, wanted: str, *, everything: bool) -> tuple[Role, ...]:
    if wanted:
        role = policy.roles.get(wanted)
        if role is None:
            raise _no_role(wanted)
        return (role,)
    mine = policy.roles_of(person)
    there = (role for role in policy.roles.values() if everything and role.hosts.matches(host))
    return tuple(sorted({role.name: role for role in (*mine, *there)}.values(), key=lambda role: role.name))


def _no_role(untrusted_name: str) -> NotFound:
    return NotFound(f"there is no role {untrusted_name[:128]!a}", hint="see: jitctl policy show")


def _but(weighed: Weighing, cannot: Refused) -> Weighing:
    """The same, on a host that takes no grants now, whatever the policy says."""
    checks = (Check("host", False, cannot.why, cannot.hint), *weighed.checks)
    return replace(weighed, checks=checks, verdict=cannot)


def _explanation(person: User, host: Host, weighed: Sequence[Weighing]) -> Explanation:
    """Roles that allow it first, then those that come nearest."""
    roles = sorted((_role_explanation(one) for one in weighed), key=_nearness)
    allowing = [role.role for role in roles if role.allowed]
    if allowing:
        return Explanation(tuple(roles), f"yes, by role {', '.join(allowing)}", True)
    if not roles:
        verdict = f"no: no role has to do with {person.name} on {host.name}"
        return Explanation((), verdict, False)
    nearest = roles[0]
    why = next(check.why for check in nearest.checks if not check.passed)
    return Explanation(tuple(roles), f"no: by role {nearest.role}, which comes nearest, {why}", False)


def _nearness(role: RoleExplanation) -> tuple[int, str]:
    return sum(1 for check in role.checks if not check.passed), role.role


def _role_explanation(weighed: Weighing) -> RoleExplanation:
    role, verdict = weighed.role, weighed.verdict
    active = isinstance(verdict, Allowed) and verdict.active
    wanted = (("reason", role.reason), ("ticket", role.ticket), ("code", role.mfa))
    return RoleExplanation(
        role=role.name,
        allowed=isinstance(verdict, Allowed),
        checks=weighed.checks,
        approvals=0 if active else role.approvals,
        approvers=tuple(user.name for user in verdict.approvers) if isinstance(verdict, Allowed) and not active else (),
        needs=tuple(what for what, needed in wanted if needed and (what == "ticket" or not active)),
    )


def _fleet(world: World, hosts: Sequence[str]) -> Fleet:
    sets = HostSets(world.hosts)
    return Fleet(
        policy=world.policy,
        people={user.name: user for user in world.people},
        hosts=sets,
        wanted=sets.those({host.host_id for host in choice(hosts).of(world.hosts)}) if hosts else sets.every,
        now=world.now,
    )


def _bounded(found: Iterable[Capability]) -> tuple[Capability, ...]:
    capabilities: list[Capability] = []
    for capability in found:
        if len(capabilities) >= MAX_CAPABILITIES:
            raise LimitExceeded(
                f"more than {MAX_CAPABILITIES} answers, which is the limit", hint="name fewer hosts, or a command"
            )
        capabilities.append(capability)
    return tuple(capabilities)
