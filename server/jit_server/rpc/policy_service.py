"""PolicyService: the policy's files, its changes, and what it says; who may what, the services decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from google.protobuf.message import Message

from jit_protos.v1 import policy_pb2
from jit_server.domain.policy.answers import Capability
from jit_server.errors import LimitExceeded
from jit_server.rpc import policy_wire, wire
from jit_server.rpc.dispatch import Service
from jit_server.rpc.eligibility_calls import EligibilityCalls
from jit_server.rpc.identity import Admission, LoggedIn
from jit_server.rpc.server import POLICY_LIMIT, TO_HOST_LIMIT
from jit_server.services import Services
from jit_server.services.policy_changes import PolicyPlan

Answer = TypeVar("Answer", bound=Message)
_WITH_FILES = ("Lint", "Plan", "Apply", "Test", "Explain", "TestCommand")


class PolicyService:
    """Turns messages into calls of the policy services."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def service(self, admission: Admission) -> Service[LoggedIn]:
        handlers: Mapping[str, Callable[[LoggedIn, Any], Awaitable[Message]]] = {
            "Lint": self._lint,
            "Plan": self._plan,
            "Apply": self._apply,
            "Rollback": self._rollback,
            "Show": self._show,
            "History": self._history,
            "ListChanges": self._list_changes,
            "GetChange": self._get_change,
            "ApproveChange": self._approve_change,
            "RejectChange": self._reject_change,
            "Test": self._test,
            "Explain": self._explain,
            "WhoCan": self._who_can,
            "WhatCan": self._what_can,
            "TestCommand": self._test_command,
            **EligibilityCalls(self._services).handlers(),
        }
        return Service(
            policy_pb2.DESCRIPTOR.services_by_name["PolicyService"],
            admission.person,
            handlers,
            limits=dict.fromkeys(_WITH_FILES, POLICY_LIMIT),
        )

    async def _lint(self, caller: LoggedIn, request: policy_pb2.PolicyText) -> policy_pb2.PolicyReport:
        checked = await self._services.policies.lint(caller.person, policy_wire.files(request))
        return policy_wire.report_message(checked.findings, checked.suppressed)

    async def _plan(self, caller: LoggedIn, request: policy_pb2.PlanPolicyRequest) -> policy_pb2.PolicyPlan:
        plan = await self._services.policy_changes.plan(caller.person, policy_wire.files(request.policy))
        return _sendable(policy_wire.plan_message(plan))

    async def _apply(self, caller: LoggedIn, request: policy_pb2.ApplyPolicyRequest) -> policy_pb2.PolicyPlan:
        plan = await self._services.policy_changes.apply(
            caller.person,
            policy_wire.files(request.policy),
            expected_version=policy_wire.version(request.expected_version),
            untrusted_reason=request.reason,
        )
        return await self._done(caller, plan)

    async def _rollback(self, caller: LoggedIn, request: policy_pb2.RollbackPolicyRequest) -> policy_pb2.PolicyPlan:
        number = policy_wire.version(request.version)
        return await self._done(
            caller, await self._services.policy_changes.rollback(caller.person, number, request.reason)
        )

    async def _done(self, caller: LoggedIn, plan: PolicyPlan) -> policy_pb2.PolicyPlan:
        """With the change, if it waits for somebody; its files are the caller's own and are not sent back."""
        message = policy_wire.plan_message(plan)
        if plan.change is not None:
            view = await self._services.policy_approvals.glance(caller.person, plan.change.change_id)
            message.change.CopyFrom(policy_wire.change_message(view))
        return message

    async def _show(self, caller: LoggedIn, request: policy_pb2.ShowPolicyRequest) -> policy_pb2.ShowPolicyResponse:
        stored = await self._services.policies.show(caller.person, policy_wire.version(request.version))
        return policy_pb2.ShowPolicyResponse(
            version=policy_wire.version_message(stored), policy=policy_wire.text_message(stored.files)
        )

    async def _history(
        self, caller: LoggedIn, request: policy_pb2.PolicyHistoryRequest
    ) -> policy_pb2.PolicyHistoryResponse:
        stored = await self._services.policies.history(caller.person, wire.listed(request.limit))
        return policy_pb2.PolicyHistoryResponse(versions=[policy_wire.version_message(one) for one in stored])

    async def _list_changes(
        self, caller: LoggedIn, request: policy_pb2.ListChangesRequest
    ) -> policy_pb2.ListChangesResponse:
        views = await self._services.policy_approvals.list_changes(caller.person, over_too=request.all)
        return policy_pb2.ListChangesResponse(changes=[policy_wire.change_message(view) for view in views])

    async def _get_change(self, caller: LoggedIn, request: policy_pb2.ChangeRef) -> policy_pb2.PolicyChange:
        wanted = wire.required(request.change_id, "the id of the change")
        return _sendable(policy_wire.change_message(await self._services.policy_approvals.get(caller.person, wanted)))

    async def _approve_change(
        self, caller: LoggedIn, request: policy_pb2.DecideChangeRequest
    ) -> policy_pb2.PolicyChange:
        wanted = wire.required(request.change_id, "the id of the change")
        view = await self._services.policy_approvals.approve(caller.person, wanted, request.reason)
        return policy_wire.change_message(view)

    async def _reject_change(
        self, caller: LoggedIn, request: policy_pb2.DecideChangeRequest
    ) -> policy_pb2.PolicyChange:
        wanted = wire.required(request.change_id, "the id of the change")
        view = await self._services.policy_approvals.reject(caller.person, wanted, request.reason)
        return policy_wire.change_message(view)

    async def _test(self, caller: LoggedIn, request: policy_pb2.PolicyText) -> policy_pb2.TestPolicyResponse:
        tested = await self._services.policies.test(caller.person, policy_wire.files(request))
        return policy_pb2.TestPolicyResponse(
            report=policy_wire.report_message(tested.findings, tested.suppressed),
            results=[policy_wire.test_message(result) for result in tested.results],
        )

    async def _explain(self, caller: LoggedIn, request: policy_pb2.ExplainRequest) -> policy_pb2.ExplainResponse:
        question = policy_wire.question(request)
        explanation = await self._services.policy_answers.explain(caller.person, question)
        return _sendable(policy_wire.explanation_message(explanation))

    async def _who_can(self, caller: LoggedIn, request: policy_pb2.WhoCanRequest) -> policy_pb2.WhoCanResponse:
        asked = replace(policy_wire.ask(request.ask), run_as_user=request.run_as or "root")
        found = await self._services.policy_answers.who_can(caller.person, asked, tuple(request.hosts))
        return _sendable(policy_pb2.WhoCanResponse(capabilities=_capabilities(found)))

    async def _what_can(self, caller: LoggedIn, request: policy_pb2.WhatCanRequest) -> policy_pb2.WhatCanResponse:
        found = await self._services.policy_answers.what_can(caller.person, wire.bounded(request.user, "the user"))
        return _sendable(policy_pb2.WhatCanResponse(capabilities=_capabilities(found)))

    async def _test_command(
        self, caller: LoggedIn, request: policy_pb2.TestCommandRequest
    ) -> policy_pb2.TestCommandResponse:
        role = wire.required(request.role, "the role")
        found = await self._services.policy_answers.test_command(
            caller.person, role, tuple(request.argv), policy_wire.files(request.policy)
        )
        return policy_pb2.TestCommandResponse(allowed=found.allowed, by=found.by, why=found.why, sudoers=found.sudoers)


def _capabilities(found: Iterable[Capability]) -> list[policy_pb2.Capability]:
    return [policy_wire.capability_message(capability) for capability in found]


def _sendable(message: Answer) -> Answer:
    """The message, if it is not larger than a caller takes; raises `LimitExceeded`."""
    size = message.ByteSize()
    if size > TO_HOST_LIMIT:
        raise LimitExceeded(
            f"the answer has {size} bytes, the limit is {TO_HOST_LIMIT}", hint="ask for less: a role, fewer hosts"
        )
    return message
