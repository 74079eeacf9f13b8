"""Protobuf messages to the agent's values and back; SPEC 4.2's JSON is the values people see.

Beside `server_link` and `enroll`, which hold the stubs, no module sees a protobuf message.  What comes in is refused
(`Malformed`) when a required field is absent, a time is zero, or an enum has a value we do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from jit_agent.errors import Malformed
from jit_agent.model import (
    Applied,
    Ask,
    DesiredState,
    DropAsked,
    Enrolled,
    Person,
    Proof,
    Refused,
    ReportBody,
    SessionEnded,
    SessionRejected,
    SessionStarted,
    SignedGrant,
    is_id,
)
from jit_protos.v1 import common_pb2, host_pb2

Json = dict[str, Any]

MAX_ENVELOPE = 32_768


def encode_report(body: ReportBody, *, grant_id: str, at: int) -> bytes:
    """A report without its number, as the spool keeps it."""
    report = host_pb2.Report(at=at, grant_id=grant_id)
    match body:
        case Applied():
            report.applied.CopyFrom(host_pb2.Applied(revision=body.revision, scope=body.scope))
        case Refused():
            report.refused.CopyFrom(host_pb2.Refused(revision=body.revision, code=body.code, message=body.message))
        case Proof():
            report.ended.CopyFrom(
                host_pb2.Ended(
                    revision=body.revision,
                    reason=body.reason,
                    late_us=body.late_us,
                    killed=body.killed,
                    scope_empty=body.scope_empty,
                    rule_removed=body.rule_removed,
                )
            )
        case SessionStarted():
            report.session_started.CopyFrom(
                host_pb2.SessionStarted(
                    session_id=body.session_id,
                    user=local_user(body.person),
                    run_as_user=body.run_as_user,
                    argv=body.argv,
                    command=body.command,
                    cwd=body.cwd,
                    tty=body.tty,
                    standing=body.standing,
                )
            )
        case SessionRejected():
            report.session_rejected.CopyFrom(
                host_pb2.SessionRejected(
                    session_id=body.session_id, user=local_user(body.person), argv=body.argv, reason=body.reason
                )
            )
        case SessionEnded():
            report.session_ended.CopyFrom(
                host_pb2.SessionEnded(
                    session_id=body.session_id,
                    exit_value=body.exit_value,
                    signal=body.signal,
                    run_time_us=body.run_time_us,
                    lost=body.lost,
                )
            )
        case DropAsked():
            report.drop_asked.CopyFrom(host_pb2.DropAsked(user=local_user(body.person)))
        case _ as never:
            assert_never(never)
    return report.SerializeToString()


def report_message(sequence: int, encoded: bytes) -> host_pb2.HostMessage:
    report = host_pb2.Report.FromString(encoded)
    report.sequence = sequence
    return host_pb2.HostMessage(report=report)


def hello_message(
    *, boot_id: str, now: int, agent_version: str, sudo_version: str, spool_id: str, problems: Sequence[str]
) -> host_pb2.HostMessage:
    hello = host_pb2.HostHello(
        boot_id=boot_id,
        now=now,
        agent_version=agent_version,
        sudo_version=sudo_version,
        spool_id=spool_id,
        problems=problems,
    )
    return host_pb2.HostMessage(hello=hello)


def settled_message(generation: int) -> host_pb2.HostMessage:
    return host_pb2.HostMessage(settled=host_pb2.Settled(generation=generation))


def heartbeat_message(now: int) -> host_pb2.HostMessage:
    return host_pb2.HostMessage(heartbeat=host_pb2.Heartbeat(now=now))


def parse_desired(message: host_pb2.DesiredState) -> DesiredState:
    """The host's whole desired state; one bad grant refuses the message, for half a set is not the set."""
    grants = tuple(_signed_grant(grant) for grant in message.grants)
    if len({grant.grant_id for grant in grants}) != len(grants):
        raise Malformed("desired state names a grant twice")
    return DesiredState(message.generation, grants)


def parse_enrolled(message: host_pb2.EnrollResponse) -> Enrolled:
    if not is_id(message.host_id, "hst") or not message.host_name or not message.host_name.isprintable():
        raise Malformed("the server's answer names no host")
    if not message.certificate or not message.ca or not message.server:
        raise Malformed("the server's answer to the enrolment is not whole")
    if not message.grant_keys or any(len(key) != 32 for key in message.grant_keys):
        raise Malformed("the server's answer has no signing key")
    return Enrolled(
        host_id=message.host_id,
        host_name=message.host_name,
        certificate=message.certificate,
        ca=message.ca,
        grant_keys=tuple(message.grant_keys),
        server=message.server,
    )


def parse_server_time(message: host_pb2.ServerTime) -> int:
    return _time(message.now, "server time")


def _signed_grant(message: host_pb2.SignedGrant) -> SignedGrant:
    if not is_id(message.grant_id, "gnt"):
        raise Malformed("desired state holds a bad grant id")
    if not message.revision:
        raise Malformed("desired state holds a grant without a revision")
    if not 1 <= len(message.envelope) <= MAX_ENVELOPE:
        raise Malformed("desired state holds an envelope of a wrong size")
    return SignedGrant(message.grant_id, message.revision, message.envelope)


# On behalf of people.


def local_user(person: Person) -> host_pb2.LocalUser:
    return host_pb2.LocalUser(uid=person.uid, name=person.name)


def ask_message(ask: Ask) -> common_pb2.Ask:
    return common_pb2.Ask(
        argv=ask.argv,
        run_as_user=ask.run_as_user,
        run_as_group=ask.run_as_group,
        shell=ask.shell,
        login=ask.login,
        exact=ask.exact,
    )


def plan_json(message: host_pb2.PlanResponse) -> Json:
    return {
        "choices": [_choice_json(choice) for choice in message.choices],
        "refusals": [{"role": r.role, "why": r.why, "hint": r.hint} for r in message.refusals],
        "mfa_enrolled": message.mfa_enrolled,
    }


def _choice_json(choice: host_pb2.Choice) -> Json:
    if not choice.role:
        raise Malformed("the server offers a role without a name")
    return {
        "role": choice.role,
        "description": choice.description,
        "default_s": choice.default_s,
        "max_s": choice.max_s,
        "mfa": choice.mfa,
        "reason": choice.reason,
        "ticket": choice.ticket,
        "approvals": choice.approvals,
        "approvers": list(choice.approvers),
        "commands": list(choice.commands),
        "run_as_users": list(choice.run_as_users),
    }


def request_json(message: common_pb2.Request) -> Json:
    """REQUEST of SPEC 4.2."""
    if not is_id(message.request_id, "req"):
        raise Malformed("the server speaks of a request without an id")
    if not message.HasField("ask"):
        raise Malformed("the server speaks of a request that asks for nothing")
    return {
        "request_id": message.request_id,
        "user": message.user,
        "host": message.host,
        "role": message.role,
        "ask": _ask_json(message.ask),
        "reason": message.reason,
        "ticket": message.ticket,
        "duration_s": message.duration_s,
        "state": _enum(common_pb2.RequestState, message.state, "REQUEST_STATE_"),
        "created_at": _time(message.created_at, "created_at"),
        "lapses_at": message.lapses_at,
        "approvals_needed": message.approvals_needed,
        "approvers": list(message.approvers),
        "decisions": [
            {"by": d.by, "approved": d.approved, "reason": d.reason, "at": _time(d.at, "decision")}
            for d in message.decisions
        ],
        "grant": _grant_json(message.grant) if message.HasField("grant") else None,
        "role_commands": list(message.role_commands),
        "mfa_passed": message.mfa_passed,
    }


def _ask_json(ask: common_pb2.Ask) -> Json:
    return {
        "argv": list(ask.argv),
        "run_as_user": ask.run_as_user,
        "run_as_group": ask.run_as_group,
        "shell": ask.shell,
        "login": ask.login,
        "exact": ask.exact,
    }


def _grant_json(grant: common_pb2.Grant) -> Json:
    if not is_id(grant.grant_id, "gnt"):
        raise Malformed("the server speaks of a grant without an id")
    return {
        "grant_id": grant.grant_id,
        "request_id": grant.request_id,
        "user": grant.user,
        "host": grant.host,
        "role": grant.role,
        "run_as_user": grant.run_as_user,
        "run_as_group": grant.run_as_group,
        "commands": list(grant.commands),
        "state": _enum(common_pb2.GrantState, grant.state, "GRANT_STATE_"),
        "not_before": _time(grant.not_before, "not_before"),
        "not_after": _time(grant.not_after, "not_after"),
        "ended_at": grant.ended_at,
        "end_reason": grant.end_reason,
        "end_confirmed": grant.end_confirmed,
        "reason": grant.reason,
        "approved_by": list(grant.approved_by),
    }


def totp_json(message: common_pb2.TotpOffer) -> Json:
    if not message.uri:
        raise Malformed("the server's offer of a second factor is empty")
    return {"uri": message.uri, "qr": list(message.qr)}


def _enum(kind: Any, value: int, prefix: str) -> str:
    if not value or value not in kind.values():
        raise Malformed(f"the server uses a state we do not know ({prefix.lower()}{value})")
    name: str = kind.Name(value)
    return name.removeprefix(prefix).lower()


def _time(value: int, what: str) -> int:
    if value <= 0:
        raise Malformed(f"a message of the server has no time ({what})")
    return value
