"""The lint of a policy: what is allowed, but seldom meant (SPEC 9.6).

Each family of rules is a module with a table `RULES` and a function `check`; what each rule says is in the manual,
jit-policy(5), which a test holds against these tables.  Pure: what was used, who and which hosts exist is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from jit_server.domain.identity import Host, User
from jit_server.domain.policy.fleet import HostSets
from jit_server.domain.policy.lint import approving, commands, contradictions, eligibility, power, reach, suppressing
from jit_server.domain.policy.lint.rule import UNUSED_US, LintFinding, Rule, Surroundings, Usage
from jit_server.domain.policy.lint.suppressing import Sifted, sift
from jit_server.domain.policy.model import Policy

_FAMILIES = (power, commands, approving, eligibility, contradictions, reach)
UNKNOWN_PERSON = Rule(
    "unknown-person",
    "The server knows nobody of this name: a slip of the pen, or somebody who is still to be added.",
    "jitctl users add NAME, or correct the name",
)
"""Told by the reader of the files, which knows where the name stands."""
RULES: tuple[Rule, ...] = (*(rule for family in _FAMILIES for rule in family.RULES), UNKNOWN_PERSON, *suppressing.RULES)
RULE_NAMES = frozenset(rule.name for rule in RULES)

__all__ = [
    "RULES",
    "RULE_NAMES",
    "UNKNOWN_PERSON",
    "UNUSED_US",
    "LintFinding",
    "Rule",
    "Sifted",
    "Usage",
    "lint",
    "sift",
]


def lint(
    policy: Policy,
    *,
    people: Iterable[User],
    hosts: Collection[Host],
    usage: Usage,
    now: int,
    unused: Iterable[tuple[str, str]] = (),
) -> tuple[LintFinding, ...]:
    """Everything the rules find; `now` in µs UTC, `unused` are sections of the files and names nothing refers to."""
    world = Surroundings(
        policy, {user.name: user for user in people}, HostSets(hosts), usage, now, tuple(sorted(unused))
    )
    return tuple(finding for family in _FAMILIES for finding in family.check(world))
