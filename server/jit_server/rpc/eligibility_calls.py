"""The calls about the life of eligibility: PolicyService's of people, HostService's for the people on a host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from jit_protos.v1 import common_pb2, host_pb2, policy_pb2
from jit_server.domain.eligibility import Entry
from jit_server.domain.identity import HostCaller
from jit_server.rpc import host_wire, wire
from jit_server.rpc.identity import LoggedIn
from jit_server.services import Services
from jit_server.services.eligibility import Eligibilities
from jit_server.services.renewals import RenewalView


class EligibilityCalls:
    """Turns messages into calls of the eligibility, renewal and suggestion services."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def handlers(self) -> Mapping[str, Callable[[LoggedIn, Any], Awaitable[Message]]]:
        """Those of PolicyService."""
        return {
            "Suggest": self._suggest,
            "ListEligibilities": self._list,
            "Renew": self._renew,
            "DecideRenewal": self._decide,
        }

    def local_handlers(self) -> Mapping[str, Callable[[HostCaller, Any], Awaitable[Message]]]:
        """Those of HostService."""
        return {"ListMyEligibilities": self._list_mine, "RenewMyEligibility": self._renew_mine}

    async def _suggest(self, caller: LoggedIn, request: policy_pb2.SuggestRequest) -> policy_pb2.SuggestResponse:
        role = wire.required(request.role, "the role")
        found = await self._services.suggestions.suggest(caller.person, role, wire.instant(request.since, "since when"))
        return policy_pb2.SuggestResponse(text=found.text, sessions=found.sessions, left_out=found.left_out)

    async def _list(
        self, caller: LoggedIn, request: policy_pb2.ListEligibilitiesRequest
    ) -> policy_pb2.ListEligibilitiesResponse:
        found = await self._services.eligibility.list_visible(
            caller.person,
            untrusted_user=wire.bounded(request.user, "the user"),
            untrusted_role=wire.bounded(request.role, "the role"),
            ends_within_s=request.ends_within_s,
        )
        return _list_message(found)

    async def _renew(self, caller: LoggedIn, request: policy_pb2.RenewRequest) -> policy_pb2.Renewal:
        role = wire.required(request.role, "the role")
        return renewal_message(await self._services.renewals.ask(caller.person, role, request.reason))

    async def _decide(self, caller: LoggedIn, request: policy_pb2.DecideRenewalRequest) -> policy_pb2.Renewal:
        wanted = wire.required(request.renewal_id, "the id of the renewal")
        decided = await self._services.renewals.decide(
            caller.person, wanted, approved=request.approved, untrusted_reason=request.reason
        )
        return renewal_message(decided)

    async def _list_mine(
        self, caller: HostCaller, request: host_pb2.LocalListEligibilitiesRequest
    ) -> policy_pb2.ListEligibilitiesResponse:
        return _list_message(await self._services.eligibility.list_local(caller, host_wire.local_user(request)))

    async def _renew_mine(self, caller: HostCaller, request: host_pb2.LocalRenewRequest) -> policy_pb2.Renewal:
        user, role = host_wire.local_user(request), wire.required(request.role, "the role")
        return renewal_message(await self._services.renewals.ask_local(caller, user, role, request.reason))


def renewal_message(view: RenewalView) -> policy_pb2.Renewal:
    renewal, vote = view.renewal, view.decision
    decision = None
    if vote is not None:
        decision = common_pb2.Decision(by=vote.by, approved=vote.approved, reason=vote.reason, at=vote.at)
    return policy_pb2.Renewal(
        renewal_id=renewal.renewal_id,
        user=view.user,
        role=renewal.role,
        state=renewal.state.value,
        asked_at=renewal.asked_at,
        reason=renewal.reason,
        until=renewal.until,
        approvers=view.approvers,
        decision=decision,
    )


def _list_message(found: Eligibilities) -> policy_pb2.ListEligibilitiesResponse:
    return policy_pb2.ListEligibilitiesResponse(
        eligibilities=[_entry_message(entry) for entry in found.entries],
        renewals=[renewal_message(view) for view in found.renewals],
    )


def _entry_message(entry: Entry) -> policy_pb2.EligibilityEntry:
    return policy_pb2.EligibilityEntry(
        user=entry.user,
        role=entry.role,
        kind="active" if entry.active else "eligible",
        groups=entry.groups,
        since=entry.since,
        until=entry.until,
        state=entry.state.value,
        renewed=entry.renewed,
        renewable_s=entry.renewable_s,
        reason=entry.reason,
    )
