"""Eligibilities and their renewals, as the server tells a person on this host: protobuf to SPEC 4.2's JSON."""

from __future__ import annotations

from jit_agent import wire
from jit_agent.errors import Malformed
from jit_agent.model import is_id
from jit_agent.people_wire import Json, decision_json
from jit_protos.v1 import policy_pb2


def eligibilities_json(message: policy_pb2.ListEligibilitiesResponse) -> Json:
    return {
        "eligibilities": [_eligibility_json(entry) for entry in message.eligibilities],
        "renewals": [renewal_json(renewal) for renewal in message.renewals],
    }


def _eligibility_json(entry: policy_pb2.EligibilityEntry) -> Json:
    return {
        "user": entry.user,
        "role": entry.role,
        "kind": entry.kind,
        "groups": list(entry.groups),
        "since": entry.since,
        "until": entry.until,
        "state": entry.state,
        "renewed": entry.renewed,
        "renewable_s": entry.renewable_s,
        "reason": entry.reason,
    }


def renewal_json(message: policy_pb2.Renewal) -> Json:
    """RENEWAL of SPEC 4.2."""
    if not is_id(message.renewal_id, "rnw"):
        raise Malformed("the server speaks of a renewal without an id")
    return {
        "renewal_id": message.renewal_id,
        "user": message.user,
        "role": message.role,
        "state": message.state,
        "asked_at": wire.require_time(message.asked_at, "asked_at"),
        "reason": message.reason,
        "until": wire.require_time(message.until, "until"),
        "approvers": list(message.approvers),
        "decision": decision_json(message.decision) if message.HasField("decision") else None,
    }
