"""A policy's own tests, run (SPEC 9.5).

They are about the files alone: everybody they name is there and able, nobody is locked, nothing was renewed.  Only a
host that is named, not described by labels, has to be one that the server knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from jit_server.domain.identity import Host, User
from jit_server.domain.policy.answers import weigh_ask
from jit_server.domain.policy.circumstances import Circumstances
from jit_server.domain.policy.decision import Allowed, Case, Refused
from jit_server.domain.policy.expectation import Expectation
from jit_server.domain.policy.model import Policy, Role


@dataclass(frozen=True, slots=True)
class TestResult:
    """`message` says what was expected, and what the policy says instead; empty where the test passed."""

    __test__ = False  # Its name makes pytest look for tests in it.

    file: str
    line: int
    name: str
    passed: bool
    message: str = ""


def rehearse(policy: Policy, hosts: Iterable[Host], now: int) -> tuple[TestResult, ...]:
    """Run every test of the policy, in the order of the files; `now` (µs UTC) is for those that name no instant."""
    if not policy.tests:
        return ()
    alone = replace(policy, locks=(), renewals=())
    known = {host.name: host for host in hosts if not host.removed}
    return tuple(_run(alone, known, test, now) for test in policy.tests)


def _run(policy: Policy, known: Mapping[str, Host], test: Expectation, now: int) -> TestResult:
    host = known.get(test.host) if test.host else Host("", "the host of the test", test.labels, 0)
    if host is None:
        return _result(test, f"the server knows no host {test.host}: name one it knows, or give labels")
    if test.role and test.role not in policy.roles:
        return _result(test, f"there is no role {test.role}")
    verdicts = list(_verdicts(policy, host, test, now))
    allowing = [verdict.role.name for verdict in verdicts if isinstance(verdict, Allowed)]
    refusals = [verdict.why for verdict in verdicts if isinstance(verdict, Refused)]
    if test.allow:
        return _result(test, "" if allowing else f"expected allow, but {'; '.join(refusals)}")
    if allowing:
        return _result(test, f"expected deny, but role {', '.join(allowing)} allows it")
    if test.because and not any(test.because in why for why in refusals):
        return _result(test, f"expected deny because {test.because!a}, but it is because {'; '.join(refusals)}")
    return _result(test, "")


def _result(test: Expectation, message: str) -> TestResult:
    return TestResult(test.file, test.line, test.name, not message, message)


def _verdicts(policy: Policy, host: Host, test: Expectation, now: int) -> Iterator[Allowed | Refused]:
    roles = (policy.roles[test.role],) if test.role else policy.roles_of(_somebody(test.person))
    if not roles:
        yield Refused("", f"no role lets {test.person} do anything")
    for role in roles:
        yield weigh_ask(_case(policy, role, host, test, now)).verdict


def _case(policy: Policy, role: Role, host: Host, test: Expectation, now: int) -> Case:
    circumstances = Circumstances(at=test.at or now, login=test.login, duration_s=test.duration_s, draft=True)
    approvers = [_somebody(name) for name in policy.named(role.approvers)]
    return Case(policy, role, _somebody(test.person), host, test.ask, approvers, circumstances)


def _somebody(name: str) -> User:
    return User(user_id=name, name=name, account=name, duties=frozenset(), created_at=0)
