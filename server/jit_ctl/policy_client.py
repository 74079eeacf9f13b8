"""PolicyService as one object: each method is one call, values in and out.

It is the `policy` of a `client.Server`.  Every method raises `CtlError`; see `channel` for the codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import grpc

from jit_protos.v1 import policy_pb2
from jit_protos.v1.policy_pb2_grpc import PolicyServiceStub

from . import channel, policy_model, policy_wire, times

Answer = TypeVar("Answer")
Files = Sequence[policy_model.PolicyFile]


class PolicyClient:
    """The policy: its files, how it changes, what it says, and the life of eligibility."""

    def __init__(self, name: str, connection: grpc.Channel, timeout: float) -> None:
        self._name = name
        self._stub = PolicyServiceStub(connection)
        self._timeout = timeout

    def _call(self, call: Callable[[], Answer]) -> Answer:
        with channel.told(self._name):
            return call()

    # Files and versions

    def lint(self, files: Files) -> policy_model.PolicyReport:
        query = policy_wire.text(files)
        return policy_wire.report(self._call(lambda: self._stub.Lint(query, timeout=self._timeout)))

    def plan(self, files: Files) -> policy_model.PolicyPlan:
        query = policy_pb2.PlanPolicyRequest(policy=policy_wire.text(files))
        return policy_wire.plan(self._call(lambda: self._stub.Plan(query, timeout=self._timeout)))

    def apply(self, files: Files, expected_version: int, reason: str) -> policy_model.PolicyPlan:
        """Expected version 0: whichever is in force."""
        order = policy_pb2.ApplyPolicyRequest(
            policy=policy_wire.text(files), expected_version=expected_version, reason=reason
        )
        return policy_wire.plan(self._call(lambda: self._stub.Apply(order, timeout=self._timeout)))

    def rollback(self, version: int, reason: str) -> policy_model.PolicyPlan:
        order = policy_pb2.RollbackPolicyRequest(version=version, reason=reason)
        return policy_wire.plan(self._call(lambda: self._stub.Rollback(order, timeout=self._timeout)))

    def show(self, version: int) -> policy_model.Policy:
        """Version 0: the one in force."""
        query = policy_pb2.ShowPolicyRequest(version=version)
        return policy_wire.policy(self._call(lambda: self._stub.Show(query, timeout=self._timeout)))

    def history(self, limit: int) -> list[policy_model.PolicyVersion]:
        """Newest first."""
        query = policy_pb2.PolicyHistoryRequest(limit=limit)
        answer = self._call(lambda: self._stub.History(query, timeout=self._timeout))
        return [policy_wire.version(message) for message in answer.versions]

    def test(self, files: Files) -> policy_model.TestReport:
        """No files: the policy in force."""
        query = policy_wire.text(files)
        return policy_wire.test_report(self._call(lambda: self._stub.Test(query, timeout=self._timeout)))

    # Changes that wait for a second person

    def changes(self, *, over_too: bool) -> list[policy_model.PolicyChange]:
        """Newest first."""
        query = policy_pb2.ListChangesRequest(all=over_too)
        answer = self._call(lambda: self._stub.ListChanges(query, timeout=self._timeout))
        return [policy_wire.change(message) for message in answer.changes]

    def change(self, ref: str) -> policy_model.PolicyChange:
        query = policy_pb2.ChangeRef(change_id=ref)
        return policy_wire.change(self._call(lambda: self._stub.GetChange(query, timeout=self._timeout)))

    def approve_change(self, ref: str, reason: str) -> policy_model.PolicyChange:
        vote = policy_pb2.DecideChangeRequest(change_id=ref, reason=reason)
        return policy_wire.change(self._call(lambda: self._stub.ApproveChange(vote, timeout=self._timeout)))

    def reject_change(self, ref: str, reason: str) -> policy_model.PolicyChange:
        vote = policy_pb2.DecideChangeRequest(change_id=ref, reason=reason)
        return policy_wire.change(self._call(lambda: self._stub.RejectChange(vote, timeout=self._timeout)))

    # Answers

    def explain(
        self,
        user: str,
        host: str,
        argv: Sequence[str],
        supposed: policy_model.Circumstances,
        files: Files,
    ) -> policy_model.Explanation:
        """No words: the roles as such; no files: the policy in force."""
        query = policy_pb2.ExplainRequest(
            user=user,
            host=host,
            ask=policy_wire.ask(argv, supposed.run_as) if argv else None,
            role=supposed.role,
            at=times.to_us(supposed.at) if supposed.at else 0,
            login=supposed.login,
            source=supposed.source,
            terminal=supposed.terminal,
            duration_s=supposed.duration_s,
            policy=policy_wire.text(files) if files else None,
        )
        return policy_wire.explanation(self._call(lambda: self._stub.Explain(query, timeout=self._timeout)))

    def who_can(self, run_as: str, hosts: Sequence[str], argv: Sequence[str]) -> list[policy_model.Capability]:
        """No hosts: any; no words: anything at all that a role lets through."""
        query = policy_pb2.WhoCanRequest(
            run_as=run_as, hosts=hosts, ask=policy_wire.ask(argv, run_as) if argv else None
        )
        answer = self._call(lambda: self._stub.WhoCan(query, timeout=self._timeout))
        return [policy_wire.capability(message) for message in answer.capabilities]

    def what_can(self, user: str) -> list[policy_model.Capability]:
        query = policy_pb2.WhatCanRequest(user=user)
        answer = self._call(lambda: self._stub.WhatCan(query, timeout=self._timeout))
        return [policy_wire.capability(message) for message in answer.capabilities]

    def test_command(self, role: str, argv: Sequence[str], files: Files) -> policy_model.CommandVerdict:
        query = policy_pb2.TestCommandRequest(role=role, argv=argv, policy=policy_wire.text(files) if files else None)
        return policy_wire.command_verdict(self._call(lambda: self._stub.TestCommand(query, timeout=self._timeout)))

    def suggest(self, role: str, since_us: int) -> policy_model.Suggestion:
        query = policy_pb2.SuggestRequest(role=role, since=since_us)
        return policy_wire.suggestion(self._call(lambda: self._stub.Suggest(query, timeout=self._timeout)))

    # The life of eligibility

    def eligibilities(
        self, user: str = "", role: str = "", ends_within_s: int = 0
    ) -> tuple[list[policy_model.Eligibility], list[policy_model.Renewal]]:
        """Empty and zero: everybody's, all, whenever they end; renewals newest first."""
        query = policy_pb2.ListEligibilitiesRequest(user=user, role=role, ends_within_s=ends_within_s)
        answer = self._call(lambda: self._stub.ListEligibilities(query, timeout=self._timeout))
        return (
            [policy_wire.eligibility(message) for message in answer.eligibilities],
            [policy_wire.renewal(message) for message in answer.renewals],
        )

    def renew(self, role: str, reason: str) -> policy_model.Renewal:
        """Ask that one's own lasts longer."""
        wish = policy_pb2.RenewRequest(role=role, reason=reason)
        return policy_wire.renewal(self._call(lambda: self._stub.Renew(wish, timeout=self._timeout)))

    def decide_renewal(self, ref: str, reason: str, *, approved: bool) -> policy_model.Renewal:
        vote = policy_pb2.DecideRenewalRequest(renewal_id=ref, approved=approved, reason=reason)
        return policy_wire.renewal(self._call(lambda: self._stub.DecideRenewal(vote, timeout=self._timeout)))
