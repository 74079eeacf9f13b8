"""What the lint says, and what it looks at: rules, findings, and what it knows beside the policy itself."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from jit_server.domain.identity import User
from jit_server.domain.policy.finding import Severity
from jit_server.domain.policy.fleet import HostSets
from jit_server.domain.policy.model import Eligibility, Policy, Role

Path = tuple[str | int, ...]
DAY_US = 86_400 * 1_000_000
UNUSED_US = 90 * DAY_US
"""What was not used for so long is told as unused."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding; `why` and `fix` are sentences of the manual, jit-policy(5)."""

    name: str
    why: str
    fix: str
    severity: Severity = Severity.WARNING

    def found(self, message: str, *path: str | int, role: str = "", fix: str = "") -> LintFinding:
        """Something of this kind; `path` is where it stands, within the role if there is one."""
        whole = ("roles", role, *path) if role else path
        return LintFinding(self.name, self.severity, message, fix or self.fix, role, whole)


@dataclass(frozen=True, slots=True)
class LintFinding:
    """`path` leads from the top of the files to what it is about; a command's number there is the one in the `Role`."""

    rule: str
    severity: Severity
    message: str
    fix: str
    role: str = ""
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Which roles were used, and by whom.

    `last` is when the latest grant of a role to a person began (µs UTC), by role and the person's id.  `before` is the
    policy that was in force `UNUSED_US` ago, None if there was none: what is newer cannot be unused yet.
    """

    last: Mapping[tuple[str, str], int] = field(default_factory=dict)
    before: Policy | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything a rule may look at; `people` by name, `unused` are sections and names that nothing refers to."""

    policy: Policy
    people: Mapping[str, User]
    hosts: HostSets
    usage: Usage
    now: int
    unused: tuple[tuple[str, str], ...] = ()

    @property
    def roles(self) -> Iterable[Role]:
        return self.policy.roles.values()

    def able(self, names: Iterable[str]) -> frozenset[str]:
        """Those of them who can decide or watch: people the server knows, no services, nobody disabled."""
        known = ((name, self.people.get(name)) for name in names)
        return frozenset(name for name, user in known if user and not (user.disabled or user.service))

    def holders(self, role: Role, *, active: bool | None = None) -> frozenset[str]:
        """The names of those who may ask for the role now or later; of one kind of line only if `active` is given."""
        lines = (
            one
            for one in role.eligible
            if (one.until == 0 or one.until > self.now or self.renewed(role, one)) and active in (None, one.active)
        )
        return frozenset().union(*(self.policy.named(one.party) for one in lines))

    def renewed(self, role: Role, line: Eligibility) -> bool:
        """Whether somebody's right by this line goes on though it has ended."""
        return any(
            one.role == role.name and one.line_until == line.until and one.until > self.now
            for one in self.policy.renewals
        )


def listed(names: Collection[str], most: int = 5) -> str:
    """The first of them in order, and how many there are beside."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(heapq.nsmallest(most, names)) + more
