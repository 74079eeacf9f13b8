"""What HostService offers about eligibility, and how a request for several hosts looks."""

# ruff: noqa: N802 (gRPC names the methods)
from __future__ import annotations

from typing import Any

from jit_protos.v1 import common_pb2, host_pb2, host_pb2_grpc, policy_pb2

END = 1_800_000_000_000_000


def a_batch(
    *hosts: str,
    state: common_pb2.RequestState.ValueType = common_pb2.REQUEST_STATE_PENDING,
    grants: common_pb2.GrantState.ValueType = common_pb2.GRANT_STATE_UNSPECIFIED,
) -> common_pb2.Request:
    """The part of a request that tells of its hosts; the last one was left out."""
    told = [
        common_pb2.BatchHost(host=host, request_id=f"req-{number:016d}", state=state, grant_state=grants)
        for number, host in enumerate(hosts, 1)
    ]
    told.append(common_pb2.BatchHost(host="web9", why="web9: it is not connected"))
    return common_pb2.Request(batch_id="bat-0000000000000001", batch=told)


def renewal(**changes: Any) -> policy_pb2.Renewal:
    """A pending one, as the server tells it."""
    fields: dict[str, Any] = {
        "renewal_id": "rnw-0000000000000001",
        "user": "alice",
        "role": "web-operator",
        "state": "pending",
        "asked_at": 1_700_000_000_000_000,
        "reason": "still here",
        "until": END,
        "approvers": ["carol"],
    }
    return policy_pb2.Renewal(**(fields | changes))


class FakeEligibilityCalls(host_pb2_grpc.HostServiceServicer):
    """Part of `FakeServer`."""

    async def _ask(self, request: Any, context: Any) -> None:
        raise NotImplementedError

    async def ListMyEligibilities(
        self, request: host_pb2.LocalListEligibilitiesRequest, context: Any
    ) -> policy_pb2.ListEligibilitiesResponse:
        await self._ask(request, context)
        entry = policy_pb2.EligibilityEntry(
            user="alice", role="web-operator", kind="eligible", groups=["ops"], until=END, state="current"
        )
        return policy_pb2.ListEligibilitiesResponse(eligibilities=[entry], renewals=[renewal()])

    async def RenewMyEligibility(self, request: host_pb2.LocalRenewRequest, context: Any) -> policy_pb2.Renewal:
        await self._ask(request, context)
        return renewal(role=request.role, reason=request.reason)
