"""PolicyService of the fake server: versions, changes and renewals in memory, and answers as a test put them there."""

# ruff: noqa: N802 - the methods have the names of the .proto files
from __future__ import annotations

import grpc

from jit_protos.v1 import policy_pb2
from jit_protos.v1.policy_pb2_grpc import PolicyServiceServicer
from jit_testing.ctl_values import now_us
from jit_testing.fake_ctl_state import Context, FakeState, refuse


class FakePolicy(FakeState, PolicyServiceServicer):
    """`plan` is what every plan says; one with `change` set is proposed, not applied."""

    @property
    def policy_version(self) -> int:
        """What is in force; zero: nothing."""
        return self.policies[-1].version.version if self.policies else 0

    def put_policy(self, text: policy_pb2.PolicyText, reason: str = "", rolled_back_to: int = 0) -> None:
        """Make these files the next version, by alice."""
        version = policy_pb2.PolicyVersion(
            version=self.policy_version + 1,
            applied_by="alice",
            applied_at=now_us(),
            reason=reason,
            rolled_back_to=rolled_back_to,
        )
        self.policies.append(policy_pb2.ShowPolicyResponse(version=version, policy=text))

    def _find_version(self, number: int, context: Context) -> policy_pb2.ShowPolicyResponse:
        found = [one for one in self.policies if one.version.version == (number or self.policy_version)]
        if not found:
            refuse(context, grpc.StatusCode.NOT_FOUND, f"there is no version {number}", "not_found")
        return found[0]

    def _planned(self) -> policy_pb2.PolicyPlan:
        made = policy_pb2.PolicyPlan(current_version=self.policy_version)
        made.MergeFrom(self.plan)
        made.reach_count = len(made.reach)
        made.grants_count = len(made.grants)
        made.requests_count = len(made.requests)
        return made

    def Lint(self, message: policy_pb2.PolicyText, context: Context) -> policy_pb2.PolicyReport:
        self.note(message, context)
        return self.plan.report

    def Plan(self, message: policy_pb2.PlanPolicyRequest, context: Context) -> policy_pb2.PolicyPlan:
        self.note(message, context)
        made = self._planned()
        made.ClearField("change")
        return made

    def Apply(self, message: policy_pb2.ApplyPolicyRequest, context: Context) -> policy_pb2.PolicyPlan:
        self.note(message, context)
        if message.expected_version not in {0, self.policy_version}:
            text = f"version {self.policy_version} is in force"
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, text, "conflict")
        return self._put(message.policy, message.reason)

    def _put(self, text: policy_pb2.PolicyText, reason: str, rolled_back_to: int = 0) -> policy_pb2.PolicyPlan:
        made = self._planned()
        wrong = any(finding.severity != "warning" for finding in made.report.findings) or made.failed_tests
        if made.changes_anything and not wrong and not made.HasField("change"):
            self.put_policy(text, reason, rolled_back_to)
            made.version = self.policy_version
        return made

    def Rollback(self, message: policy_pb2.RollbackPolicyRequest, context: Context) -> policy_pb2.PolicyPlan:
        self.note(message, context)
        return self._put(self._find_version(message.version, context).policy, message.reason, message.version)

    def Show(self, message: policy_pb2.ShowPolicyRequest, context: Context) -> policy_pb2.ShowPolicyResponse:
        self.note(message, context)
        return self._find_version(message.version, context)

    def History(self, message: policy_pb2.PolicyHistoryRequest, context: Context) -> policy_pb2.PolicyHistoryResponse:
        self.note(message, context)
        newest = [one.version for one in reversed(self.policies)]
        return policy_pb2.PolicyHistoryResponse(versions=newest[: message.limit or 100])

    def ListChanges(self, message: policy_pb2.ListChangesRequest, context: Context) -> policy_pb2.ListChangesResponse:
        self.note(message, context)
        found = [one for one in self.policy_changes.values() if message.all or one.state == "pending"]
        return policy_pb2.ListChangesResponse(changes=found)

    def _find_change(self, ref: str, context: Context) -> policy_pb2.PolicyChange:
        return self.policy_changes[self.find(ref, list(self.policy_changes), "chg", context)]

    def GetChange(self, message: policy_pb2.ChangeRef, context: Context) -> policy_pb2.PolicyChange:
        self.note(message, context)
        return self._find_change(message.change_id, context)

    def ApproveChange(self, message: policy_pb2.DecideChangeRequest, context: Context) -> policy_pb2.PolicyChange:
        self.note(message, context)
        one = self._find_change(message.change_id, context)
        if one.proposed_by == "alice":
            refuse(context, grpc.StatusCode.PERMISSION_DENIED, "nobody approves their own change", "denied")
        one.decisions.add(by="alice", approved=True, reason=message.reason, at=now_us())
        if len(one.decisions) >= one.approvals_needed:
            self.put_policy(one.policy, one.reason)
            one.state, one.version = "applied", self.policy_version
        return one

    def RejectChange(self, message: policy_pb2.DecideChangeRequest, context: Context) -> policy_pb2.PolicyChange:
        self.note(message, context)
        one = self._find_change(message.change_id, context)
        one.state = "withdrawn" if one.proposed_by == "alice" else "rejected"
        return one

    def Test(self, message: policy_pb2.PolicyText, context: Context) -> policy_pb2.TestPolicyResponse:
        self.note(message, context)
        return policy_pb2.TestPolicyResponse(report=self.plan.report, results=self.test_results)

    def Explain(self, message: policy_pb2.ExplainRequest, context: Context) -> policy_pb2.ExplainResponse:
        self.note(message, context)
        return self.explanation

    def WhoCan(self, message: policy_pb2.WhoCanRequest, context: Context) -> policy_pb2.WhoCanResponse:
        self.note(message, context)
        return policy_pb2.WhoCanResponse(capabilities=self.capabilities)

    def WhatCan(self, message: policy_pb2.WhatCanRequest, context: Context) -> policy_pb2.WhatCanResponse:
        self.note(message, context)
        found = [one for one in self.capabilities if one.user == message.user]
        return policy_pb2.WhatCanResponse(capabilities=found)

    def TestCommand(self, message: policy_pb2.TestCommandRequest, context: Context) -> policy_pb2.TestCommandResponse:
        self.note(message, context)
        return self.command_verdict

    def Suggest(self, message: policy_pb2.SuggestRequest, context: Context) -> policy_pb2.SuggestResponse:
        self.note(message, context)
        return policy_pb2.SuggestResponse(text="roles: {}\n", sessions=7, left_out=["/bin/sh -c 'a b': a blank"])

    def ListEligibilities(
        self, message: policy_pb2.ListEligibilitiesRequest, context: Context
    ) -> policy_pb2.ListEligibilitiesResponse:
        self.note(message, context)
        return policy_pb2.ListEligibilitiesResponse(
            eligibilities=[
                one for one in self.eligibilities if message.user in {"", one.user} and message.role in {"", one.role}
            ],
            renewals=self.renewals.values(),
        )

    def Renew(self, message: policy_pb2.RenewRequest, context: Context) -> policy_pb2.Renewal:
        self.note(message, context)
        made = policy_pb2.Renewal(
            renewal_id=f"rnw-{len(self.renewals) + 1:016d}",
            user="alice",
            role=message.role,
            state="pending",
            asked_at=now_us(),
            reason=message.reason,
            until=now_us() + 90 * 86_400_000_000,
            approvers=["bob"],
        )
        self.renewals[made.renewal_id] = made
        return made

    def DecideRenewal(self, message: policy_pb2.DecideRenewalRequest, context: Context) -> policy_pb2.Renewal:
        self.note(message, context)
        one = self.renewals[self.find(message.renewal_id, list(self.renewals), "rnw", context)]
        if one.state != "pending":
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, f"{one.renewal_id} is decided", "conflict")
        one.state = "approved" if message.approved else "denied"
        one.decision.MergeFrom(
            type(one.decision)(by="alice", approved=message.approved, reason=message.reason, at=now_us())
        )
        return one
