"""The policy's messages to domain values and back (SPEC 9)."""

from __future__ import annotations

from collections.abc import Iterable

from jit_protos.v1 import common_pb2, policy_pb2
from jit_server.domain.ask import Ask
from jit_server.domain.policy.answers import Capability
from jit_server.domain.policy.circumstances import Login, LoginKind, address
from jit_server.domain.policy.finding import Finding, PolicyFile
from jit_server.domain.policy.fleet import ReachChange
from jit_server.domain.policy.rehearsal import TestResult
from jit_server.errors import Invalid
from jit_server.rpc import wire
from jit_server.services.policy_answers import Explanation, Question
from jit_server.services.policy_approvals import ChangeView
from jit_server.services.policy_changes import PolicyPlan
from jit_server.services.policy_plans import Ending
from jit_server.store_values import StoredPolicy

SHOWN_REACH = 200
SHOWN_ENDINGS = 1_000
"""Rows of a plan; how many are left out is told beside them."""


# To the domain


def version(number: int) -> int:
    """The number of a version, zero for the current one; raises `Invalid` for what is none."""
    if number >= 2**63:
        raise Invalid("that is no version of a policy")
    return number


def files(message: policy_pb2.PolicyText) -> tuple[PolicyFile, ...]:
    return tuple(PolicyFile(wire.required(file.name, "the name of a policy file"), file.text) for file in message.files)


def ask(message: common_pb2.Ask) -> Ask:
    return Ask(
        argv=tuple(message.argv),
        run_as_user=message.run_as_user or "root",
        run_as_group=message.run_as_group,
        shell=message.shell,
        login=message.login,
        exact=message.exact,
    )


def question(message: policy_pb2.ExplainRequest) -> Question:
    return Question(
        user=wire.bounded(message.user, "the user"),
        host=wire.required(message.host, "the host"),
        ask=ask(message.ask) if message.HasField("ask") else None,
        role=wire.bounded(message.role, "the role"),
        at=wire.instant(message.at, "the time") if message.at else 0,
        login=_login(message),
        duration_s=wire.seconds(message.duration_s, "the duration"),
        files=files(message.policy),
    )


def _login(message: policy_pb2.ExplainRequest) -> Login:
    try:
        kind = LoginKind(message.login or "ssh")
    except ValueError:
        raise Invalid(f"{message.login[:64]!a} is no kind of login", hint=f"one of: {', '.join(LoginKind)}") from None
    try:
        source = address(message.source) if message.source else None
    except ValueError:
        raise Invalid(f"{message.source[:64]!a} is no address", hint="such as 10.1.2.3") from None
    return Login(kind, source, message.terminal)


# From the domain


def report_message(findings: Iterable[Finding], suppressed: Iterable[Finding]) -> policy_pb2.PolicyReport:
    return policy_pb2.PolicyReport(
        findings=[_finding(finding) for finding in findings],
        suppressed=[_finding(finding) for finding in suppressed],
    )


def _finding(finding: Finding) -> policy_pb2.Finding:
    return policy_pb2.Finding(
        file=finding.file,
        line=finding.line,
        column=finding.column,
        severity=finding.severity.value,
        message=finding.message,
        rule=finding.rule,
        fix=finding.fix,
    )


def test_message(result: TestResult) -> policy_pb2.TestResult:
    return policy_pb2.TestResult(
        file=result.file, line=result.line, name=result.name, passed=result.passed, message=result.message
    )


def plan_message(plan: PolicyPlan) -> policy_pb2.PolicyPlan:
    """Without the change, which `waiting_message` adds."""
    made, endings = plan.draft, plan.endings
    return policy_pb2.PolicyPlan(
        current_version=made.base_version,
        version=plan.version,
        report=report_message(made.findings, made.suppressed),
        failed_tests=[test_message(result) for result in made.failed_tests],
        changes_anything=made.changes_anything,
        roles=[
            policy_pb2.RoleChange(role=change.role, what=change.what.value, details=change.details)
            for change in made.roles
        ],
        reach=[_reach(change) for change in made.reach[:SHOWN_REACH]],
        grants=[_ending_grant(ending) for _, ending in endings.grants[:SHOWN_ENDINGS]],
        requests=[_ending_request(ending) for _, ending in endings.requests[:SHOWN_ENDINGS]],
        needs_approval=made.needs_approval,
        reach_count=len(made.reach),
        grants_count=len(endings.grants),
        requests_count=len(endings.requests),
    )


def _reach(change: ReachChange) -> policy_pb2.ReachChange:
    return policy_pb2.ReachChange(
        gained=change.gained,
        run_as=change.run_as,
        everything=change.everything,
        people_count=change.people_count,
        people=change.people,
        hosts_count=change.hosts_count,
        hosts=change.hosts,
        roles=change.roles,
    )


def _ending_grant(ending: Ending) -> policy_pb2.EndingGrant:
    return policy_pb2.EndingGrant(
        grant_id=ending.item_id, user=ending.user, host=ending.host, role=ending.role, why=ending.why
    )


def _ending_request(ending: Ending) -> policy_pb2.EndingRequest:
    return policy_pb2.EndingRequest(
        request_id=ending.item_id, user=ending.user, host=ending.host, role=ending.role, why=ending.why
    )


def change_message(view: ChangeView) -> policy_pb2.PolicyChange:
    change = view.change
    return policy_pb2.PolicyChange(
        change_id=change.change_id,
        state=change.state.value,
        proposed_by=view.proposed_by,
        proposed_at=change.proposed_at,
        reason=change.reason,
        base_version=change.base_version,
        approvals_needed=change.approvals_needed,
        approvers=view.approvers,
        decisions=[
            common_pb2.Decision(by=vote.by, approved=vote.approved, reason=vote.reason, at=vote.at)
            for vote in view.decisions
        ],
        plan=None if view.plan is None else plan_message(view.plan),
        policy=text_message(change.files),
        version=change.version,
    )


def text_message(stored: Iterable[PolicyFile]) -> policy_pb2.PolicyText:
    return policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name=file.name, text=file.text) for file in stored])


def version_message(stored: StoredPolicy) -> policy_pb2.PolicyVersion:
    return policy_pb2.PolicyVersion(
        version=stored.version,
        applied_by=stored.applied_by,
        applied_at=stored.applied_at,
        approved_by=stored.approved_by,
        reason=stored.reason,
        rolled_back_to=stored.rolled_back_to,
        digest=stored.digest,
    )


def explanation_message(explanation: Explanation) -> policy_pb2.ExplainResponse:
    return policy_pb2.ExplainResponse(
        roles=[
            policy_pb2.RoleExplanation(
                role=role.role,
                allowed=role.allowed,
                checks=[
                    policy_pb2.PolicyCheck(rule=check.rule, passed=check.passed, why=check.why, hint=check.hint)
                    for check in role.checks
                ],
                approvals=role.approvals,
                approvers=role.approvers,
                needs=role.needs,
            )
            for role in explanation.roles
        ],
        verdict=explanation.verdict,
        allowed=explanation.allowed,
    )


def capability_message(capability: Capability) -> policy_pb2.Capability:
    return policy_pb2.Capability(
        user=capability.user,
        role=capability.role,
        kind="active" if capability.active else "eligible",
        groups=capability.groups,
        until=capability.until,
        run_as_users=capability.run_as_users,
        commands=capability.commands,
        hosts_count=capability.hosts_count,
        hosts=capability.hosts,
        approvals=capability.approvals,
        approvers=capability.approvers,
        mfa=capability.mfa,
        when=capability.when,
        max_s=capability.max_s,
    )
