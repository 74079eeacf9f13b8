"""What the policy of a large fleet costs: to read, to decide by, to plan a change of, and in memory.  Needs no lab.

1,000 roles, 50,000 people, 10,000 hosts.  A decision is what `jit sudo` waits for: every role of the person that
reaches the host is weighed; its baseline is the same by going through all roles and all people, without any index.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from bench.rows import Row, Target, Unmeasurable, compared, single
from jit_server.adapters.clock import SystemClock
from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.domain.ask import Ask
from jit_server.domain.identity import Host, User
from jit_server.domain.policy.answers import Fleet, who_can
from jit_server.domain.policy.circumstances import Circumstances, Login, LoginKind
from jit_server.domain.policy.decision import Allowed, Case, Refused, evaluate
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.fleet import HostSets
from jit_server.domain.policy.model import Policy, Role
from jit_server.services.policy_book import PolicyBook
from jit_server.services.policy_plans import World, draft
from jit_testing.big_policy import BigPolicy, big_policy

_ASK = Ask(("/usr/bin/systemctl", "restart", "s1.service"))
_MEBIBYTE = 1024 * 1024
T = TypeVar("T")


def measure(decisions: int) -> Iterator[Row]:
    fleet = big_policy()
    size = f"{len(fleet.people):,} people, {len(fleet.hosts):,} hosts"
    parser, clock = YamlPolicyParser(), SystemClock()
    before = _resident()
    seconds, policy = _timed(lambda: _read(parser, fleet.files))
    yield single(f"policy: read {len(policy.roles):,} roles, {size}", seconds, "s", Target("value", 5))
    seconds, _ = _timed(lambda: policy.index)
    yield single("policy: index people, once for each version", seconds, "s")
    yield single("policy: memory of one that was read", (_resident() - before) / _MEBIBYTE, "MiB")
    yield _decisions(fleet, policy, decisions, clock.now())
    changed = tuple(PolicyFile(file.name, file.text.replace("tier: t1,", "tier: t2,")) for file in fleet.files)
    world = World(policy, fleet.people, fleet.hosts, clock.now())
    seconds, planned = _timed(lambda: asyncio.run(draft(PolicyBook(parser, clock), world, changed, "")))
    if not planned.reach:
        raise Unmeasurable("the plan of a change of 2% of the roles has no effect")
    yield single(f"policy: plan, {len(planned.roles)} roles reach other hosts", seconds, "s", Target("value", 10))
    sets = HostSets(fleet.hosts)
    asked = Fleet(policy, {user.name: user for user in fleet.people}, sets, sets.every, clock.now())
    seconds, answers = _timed(lambda: sum(1 for _ in who_can(asked, _ASK)))
    yield single(f"policy: who-can, {answers:,} answers", seconds, "s")


def _decisions(fleet: BigPolicy, policy: Policy, count: int, now: int) -> Row:
    """People and hosts by chance, the same in each run; half of them by a role that is theirs."""
    chance, known = random.Random(1), {user.name: user for user in fleet.people}
    ours, theirs = [], []
    for _ in range(count):
        person, host = chance.choice(fleet.people), chance.choice(fleet.hosts)
        mine = policy.roles_of(person)
        if mine and chance.random() < 0.5:
            host = next((one for one in fleet.hosts if mine[0].hosts.matches(one)), host)
        seconds, found = _timed(lambda: _decide(policy, known, person, host, now))  # noqa: B023 (called at once)
        ours.append(1000 * seconds)
        seconds, slowly = _timed(lambda: _decide_slowly(policy, fleet, person, host, now))  # noqa: B023
        theirs.append(1000 * seconds)
        if found != slowly:
            raise Unmeasurable(f"the index decides otherwise for {person.name} on {host.name}")
    return compared("policy: one decision, against a full scan", ours, theirs, "ms", Target("p50", 1))


def _decide(policy: Policy, known: dict[str, User], person: User, host: Host, now: int) -> list[Allowed | Refused]:
    decided = []
    for role in policy.roles_of(person):
        if role.hosts.matches(host):
            approvers = [known[name] for name in policy.named(role.approvers) if name in known]
            decided.append(evaluate(_case(policy, role, person, host, approvers, now)))
    return decided


def _decide_slowly(policy: Policy, fleet: BigPolicy, person: User, host: Host, now: int) -> list[Allowed | Refused]:
    return [
        evaluate(_case(policy, role, person, host, fleet.people, now))
        for _, role in sorted(policy.roles.items())
        if policy.eligibilities(role, person) and role.hosts.matches(host)
    ]


def _case(
    policy: Policy, role: Role, person: User, host: Host, people: list[User] | tuple[User, ...], now: int
) -> Case:
    return Case(policy, role, person, host, _ASK, people, Circumstances(at=now, login=Login(LoginKind.SSH)))


def _read(parser: YamlPolicyParser, files: tuple[PolicyFile, ...]) -> Policy:
    policy = parser.parse(files, 1, ()).policy
    if policy is None:
        raise Unmeasurable("the large policy has an error")
    return policy


def _timed(act: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = act()
    return time.perf_counter() - start, result


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
