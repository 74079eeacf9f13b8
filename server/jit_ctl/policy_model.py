"""What the server told us about the policy, as values (SPEC 9).

Field names are those of the protobuf messages, as in `model`.  `policy_wire` is
the only module that makes these from messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .model import Decision


@dataclass(frozen=True, slots=True)
class PolicyFile:
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    file: str
    line: int
    column: int
    severity: str
    message: str
    rule: str
    fix: str


@dataclass(frozen=True, slots=True)
class PolicyReport:
    findings: tuple[Finding, ...]
    suppressed: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        # What is not plainly a warning counts as an error: doubt denies (S6).
        return sum(finding.severity != "warning" for finding in self.findings)

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.errors


@dataclass(frozen=True, slots=True)
class TestResult:
    __test__ = False  # pytest takes a class of this name for its own

    file: str
    line: int
    name: str
    passed: bool
    message: str


@dataclass(frozen=True, slots=True)
class TestReport:
    __test__ = False

    report: PolicyReport
    results: tuple[TestResult, ...]

    @property
    def failed(self) -> int:
        return sum(not result.passed for result in self.results)


@dataclass(frozen=True, slots=True)
class RoleChange:
    role: str
    what: str
    """added, removed or changed"""
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReachChange:
    """The counts are whole, of the names at most 100 are given."""

    gained: bool
    run_as: str
    everything: bool
    people_count: int
    people: tuple[str, ...]
    hosts_count: int
    hosts: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndingGrant:
    grant_id: str
    user: str
    host: str
    role: str
    why: str


@dataclass(frozen=True, slots=True)
class EndingRequest:
    request_id: str
    user: str
    host: str
    role: str
    why: str


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """What a change does, or did: `version` is what it became, zero if it is not in force."""

    current_version: int
    version: int
    report: PolicyReport
    failed_tests: tuple[TestResult, ...]
    changes_anything: bool
    roles: tuple[RoleChange, ...]
    reach: tuple[ReachChange, ...]
    grants: tuple[EndingGrant, ...]
    requests: tuple[EndingRequest, ...]
    change: PolicyChange | None
    needs_approval: str
    reach_count: int
    """How many there are of these, of which the widest are listed; so with the next two."""
    grants_count: int
    requests_count: int

    @property
    def impossible(self) -> bool:
        """Errors or failed tests: the server will not have it."""
        return bool(self.report.errors or self.failed_tests)


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    version: int
    applied_by: str
    applied_at: datetime
    approved_by: tuple[str, ...]
    reason: str
    rolled_back_to: int
    """Not zero: this is that version again."""
    digest: str


@dataclass(frozen=True, slots=True)
class Policy:
    version: PolicyVersion
    files: tuple[PolicyFile, ...]


@dataclass(frozen=True, slots=True)
class PolicyChange:
    change_id: str
    state: str
    """pending, applied, rejected, withdrawn or overtaken"""
    proposed_by: str
    proposed_at: datetime
    reason: str
    base_version: int
    approvals_needed: int
    approvers: tuple[str, ...]
    decisions: tuple[Decision, ...]
    plan: PolicyPlan | None
    files: tuple[PolicyFile, ...]
    version: int
    """What it became; zero: nothing."""


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    rule: str
    passed: bool
    why: str
    hint: str


@dataclass(frozen=True, slots=True)
class RoleExplanation:
    role: str
    allowed: bool
    checks: tuple[PolicyCheck, ...]
    approvals: int
    approvers: tuple[str, ...]
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    verdict: str
    allowed: bool
    roles: tuple[RoleExplanation, ...]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How somebody would ask: what `explain` supposes.  Empty and None: the server's own guess."""

    run_as: str
    role: str = ""
    at: datetime | None = None
    login: str = ""
    source: str = ""
    terminal: bool = False
    duration_s: int = 0


@dataclass(frozen=True, slots=True)
class Capability:
    """One person, one role, and where; of the hosts at most 100 are named."""

    user: str
    role: str
    kind: str
    """eligible or active"""
    groups: tuple[str, ...]
    until: datetime | None
    run_as_users: tuple[str, ...]
    commands: tuple[str, ...]
    hosts_count: int
    hosts: tuple[str, ...]
    approvals: int
    approvers: tuple[str, ...]
    mfa: bool
    when: tuple[str, ...]
    max_s: int


@dataclass(frozen=True, slots=True)
class CommandVerdict:
    allowed: bool
    by: str
    why: str
    sudoers: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    text: str
    sessions: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Eligibility:
    user: str
    role: str
    kind: str
    """eligible or active"""
    groups: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    state: str
    """coming, current or over"""
    renewed: bool
    renewable_s: int
    reason: str


@dataclass(frozen=True, slots=True)
class Renewal:
    renewal_id: str
    user: str
    role: str
    state: str
    """pending, approved, denied or lapsed"""
    asked_at: datetime
    reason: str
    until: datetime | None
    approvers: tuple[str, ...]
    decision: Decision | None
