"""Protobuf messages about the policy to values of `policy_model`; like `wire`, it refuses what is not whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jit_protos.v1 import common_pb2, policy_pb2

from . import policy_model as model
from .wire import decision, instant, instant_or_none, malformed, required


def text(files: Iterable[model.PolicyFile]) -> policy_pb2.PolicyText:
    return policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name=file.name, text=file.text) for file in files])


def ask(argv: Sequence[str], run_as: str) -> common_pb2.Ask:
    return common_pb2.Ask(argv=argv, run_as_user=run_as)


def _files(message: policy_pb2.PolicyText) -> tuple[model.PolicyFile, ...]:
    return tuple(model.PolicyFile(file.name, file.text) for file in message.files)


def _finding(message: policy_pb2.Finding) -> model.Finding:
    return model.Finding(
        file=message.file,
        line=message.line,
        column=message.column,
        severity=required(message.severity, "severity"),
        message=required(message.message, "message"),
        rule=message.rule,
        fix=message.fix,
    )


def report(message: policy_pb2.PolicyReport) -> model.PolicyReport:
    return model.PolicyReport(
        findings=tuple(map(_finding, message.findings)), suppressed=tuple(map(_finding, message.suppressed))
    )


def _result(message: policy_pb2.TestResult) -> model.TestResult:
    return model.TestResult(
        file=message.file,
        line=message.line,
        name=message.name,
        passed=message.passed,
        message=message.message,
    )


def test_report(message: policy_pb2.TestPolicyResponse) -> model.TestReport:
    return model.TestReport(report=report(message.report), results=tuple(map(_result, message.results)))


def _role_change(message: policy_pb2.RoleChange) -> model.RoleChange:
    return model.RoleChange(
        role=required(message.role, "role"),
        what=required(message.what, "what"),
        details=tuple(message.details),
    )


def _reach(message: policy_pb2.ReachChange) -> model.ReachChange:
    return model.ReachChange(
        gained=message.gained,
        run_as=required(message.run_as, "run_as"),
        everything=message.everything,
        people_count=message.people_count,
        people=tuple(message.people),
        hosts_count=message.hosts_count,
        hosts=tuple(message.hosts),
        roles=tuple(message.roles),
    )


def plan(message: policy_pb2.PolicyPlan) -> model.PolicyPlan:
    return model.PolicyPlan(
        current_version=message.current_version,
        version=message.version,
        report=report(message.report),
        failed_tests=tuple(map(_result, message.failed_tests)),
        changes_anything=message.changes_anything,
        roles=tuple(map(_role_change, message.roles)),
        reach=tuple(map(_reach, message.reach)),
        grants=tuple(
            model.EndingGrant(required(one.grant_id, "grant_id"), one.user, one.host, one.role, one.why)
            for one in message.grants
        ),
        requests=tuple(
            model.EndingRequest(required(one.request_id, "request_id"), one.user, one.host, one.role, one.why)
            for one in message.requests
        ),
        change=change(message.change) if message.HasField("change") else None,
        needs_approval=message.needs_approval,
        reach_count=message.reach_count,
        grants_count=message.grants_count,
        requests_count=message.requests_count,
    )


def version(message: policy_pb2.PolicyVersion) -> model.PolicyVersion:
    if message.version == 0:
        raise malformed("no version")
    return model.PolicyVersion(
        version=message.version,
        applied_by=required(message.applied_by, "applied_by"),
        applied_at=instant(message.applied_at, "applied_at"),
        approved_by=tuple(message.approved_by),
        reason=message.reason,
        rolled_back_to=message.rolled_back_to,
        digest=message.digest,
    )


def policy(message: policy_pb2.ShowPolicyResponse) -> model.Policy:
    return model.Policy(version=version(message.version), files=_files(message.policy))


def change(message: policy_pb2.PolicyChange) -> model.PolicyChange:
    return model.PolicyChange(
        change_id=required(message.change_id, "change_id"),
        state=required(message.state, "state"),
        proposed_by=required(message.proposed_by, "proposed_by"),
        proposed_at=instant(message.proposed_at, "proposed_at"),
        reason=message.reason,
        base_version=message.base_version,
        approvals_needed=message.approvals_needed,
        approvers=tuple(message.approvers),
        decisions=tuple(map(decision, message.decisions)),
        plan=plan(message.plan) if message.HasField("plan") else None,
        files=_files(message.policy),
        version=message.version,
    )


def _role_explanation(message: policy_pb2.RoleExplanation) -> model.RoleExplanation:
    return model.RoleExplanation(
        role=required(message.role, "role"),
        allowed=message.allowed,
        checks=tuple(
            model.PolicyCheck(required(one.rule, "rule"), one.passed, one.why, one.hint) for one in message.checks
        ),
        approvals=message.approvals,
        approvers=tuple(message.approvers),
        needs=tuple(message.needs),
    )


def explanation(message: policy_pb2.ExplainResponse) -> model.Explanation:
    return model.Explanation(
        verdict=required(message.verdict, "verdict"),
        allowed=message.allowed,
        roles=tuple(map(_role_explanation, message.roles)),
    )


def capability(message: policy_pb2.Capability) -> model.Capability:
    return model.Capability(
        user=required(message.user, "user"),
        role=required(message.role, "role"),
        kind=required(message.kind, "kind"),
        groups=tuple(message.groups),
        until=instant_or_none(message.until, "until"),
        run_as_users=tuple(message.run_as_users),
        commands=tuple(message.commands),
        hosts_count=message.hosts_count,
        hosts=tuple(message.hosts),
        approvals=message.approvals,
        approvers=tuple(message.approvers),
        mfa=message.mfa,
        when=tuple(message.when),
        max_s=message.max_s,
    )


def command_verdict(message: policy_pb2.TestCommandResponse) -> model.CommandVerdict:
    return model.CommandVerdict(allowed=message.allowed, by=message.by, why=message.why, sudoers=message.sudoers)


def suggestion(message: policy_pb2.SuggestResponse) -> model.Suggestion:
    return model.Suggestion(text=message.text, sessions=message.sessions, left_out=tuple(message.left_out))


def eligibility(message: policy_pb2.EligibilityEntry) -> model.Eligibility:
    return model.Eligibility(
        user=required(message.user, "user"),
        role=required(message.role, "role"),
        kind=required(message.kind, "kind"),
        groups=tuple(message.groups),
        since=instant_or_none(message.since, "since"),
        until=instant_or_none(message.until, "until"),
        state=required(message.state, "state"),
        renewed=message.renewed,
        renewable_s=message.renewable_s,
        reason=message.reason,
    )


def renewal(message: policy_pb2.Renewal) -> model.Renewal:
    return model.Renewal(
        renewal_id=required(message.renewal_id, "renewal_id"),
        user=required(message.user, "user"),
        role=required(message.role, "role"),
        state=required(message.state, "state"),
        asked_at=instant(message.asked_at, "asked_at"),
        reason=message.reason,
        until=instant_or_none(message.until, "until"),
        approvers=tuple(message.approvers),
        decision=decision(message.decision) if message.HasField("decision") else None,
    )
