"""What the fake server of `jitctl` knows, and what a test may do to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn
from urllib.parse import quote

import grpc

from jit_protos.v1 import admin_pb2, audit_pb2, common_pb2, people_pb2, policy_pb2
from jit_testing.ctl_certificates import Authority

PASSWORD = "correct horse"
CODE = "123456"
TOKEN = "one-time-token"
ALICE = "usr-0000000000000001"

Context = grpc.ServicerContext


def refuse(context: Context, status: grpc.StatusCode, message: str, code: str = "", hint: str = "") -> NoReturn:
    if code:
        context.set_trailing_metadata((("jit-error-code", code), ("jit-error-hint", quote(hint))))
    context.abort(status, message)
    raise AssertionError("abort returns never")


class FakeState:
    """Data in memory; each service is a class of its own on top of it."""

    bootstrap: str
    mtls: str

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.requests: dict[str, common_pb2.Request] = {}
        self.grants: dict[str, common_pb2.Grant] = {}
        self.locks: dict[str, people_pb2.Lock] = {}
        self.alerts: list[people_pb2.Alert] = []
        self.hosts: list[admin_pb2.Host] = []
        self.users: list[admin_pb2.User] = []
        self.events: list[audit_pb2.Event] = []
        self.policies: list[policy_pb2.ShowPolicyResponse] = []
        self.plan = policy_pb2.PolicyPlan(changes_anything=True)
        self.policy_changes: dict[str, policy_pb2.PolicyChange] = {}
        self.test_results: list[policy_pb2.TestResult] = []
        self.explanation = policy_pb2.ExplainResponse(verdict="no", allowed=False)
        self.capabilities: list[policy_pb2.Capability] = []
        self.command_verdict = policy_pb2.TestCommandResponse()
        self.eligibilities: list[policy_pb2.EligibilityEntry] = []
        self.renewals: dict[str, policy_pb2.Renewal] = {}
        self.asked: list[Any] = []
        self.failure: tuple[grpc.StatusCode, str, str, str] | None = None
        self.enrolled = False
        self.lifetime_s = 3600
        self.changed = threading.Condition()
        self.changes: list[common_pb2.Request] = []
        self.stopped = False

    def put(self, *requests: common_pb2.Request) -> None:
        """Add or change requests; those who watch hear of it."""
        with self.changed:
            for one in requests:
                self.requests[one.request_id] = one
                self.changes.append(one)
            self.changed.notify_all()

    def log(self, *events: audit_pb2.Event) -> None:
        with self.changed:
            self.events.extend(events)
            self.changed.notify_all()

    def note(self, message: Any, context: Context) -> None:
        self.asked.append(message)
        if self.failure:
            status, text, code, hint = self.failure
            refuse(context, status, text, code, hint)

    def find(self, ref: str, known: Sequence[str], kind: str, context: Context) -> str:
        found = [name for name in known if name.startswith((ref, f"{kind}-{ref}"))]
        if not found:
            refuse(context, grpc.StatusCode.NOT_FOUND, f"no {kind} {ref}", "not_found", "list them first")
        if len(found) > 1:
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"{ref} names {len(found)}", "invalid", "type more of it")
        return found[0]

    def wait(self, find: Callable[[], list[Any]], context: Context) -> list[Any]:
        """What `find` gives once it gives something; nothing when the call or the server is over."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or not context.is_active() or find(), timeout=60)
            return [] if self.stopped else find()

    def wake(self) -> None:
        with self.changed:
            self.changed.notify_all()
