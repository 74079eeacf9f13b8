"""The host's stream and enrolment: protobuf messages to the agent's values and back (SPEC 5).

Beside `people_wire`, and `server_link` and `enroll`, which hold the stubs, no module sees a protobuf message.  What
comes in is refused (`Malformed`) when a required field is absent or a time is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from jit_agent.errors import Malformed
from jit_agent.model import AccountQuery, DesiredState, Enrolled, Person, Proof, SessionOrder, SignedGrant, is_id
from jit_agent.report_model import (
    Applied,
    DropAsked,
    Footprint,
    Refused,
    ReportBody,
    SessionEnded,
    SessionFrozen,
    SessionRejected,
    SessionStarted,
    SessionWaiting,
    Subcommand,
)
from jit_agent.text import safe
from jit_protos.v1 import host_pb2

MAX_ENVELOPE = 32_768
MAX_ACCOUNT = 256
MAX_FOOTPRINT = 200_000
"""Bytes of changes in one report; the message around it may have 256 KiB."""


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
                    leftovers=[
                        host_pb2.Leftover(pid=one.pid, command=one.command, killed=one.killed) for one in body.leftovers
                    ],
                )
            )
        case SessionStarted():
            report.session_started.CopyFrom(_started(body))
        case SessionWaiting():
            report.session_waiting.CopyFrom(
                host_pb2.SessionWaiting(session_id=body.session_id, user=local_user(body.person), argv=body.argv)
            )
        case Subcommand():
            report.subcommand.CopyFrom(
                host_pb2.Subcommand(
                    session_id=body.session_id,
                    argv=body.argv,
                    command=body.command,
                    cwd=body.cwd,
                    run_as_user=body.run_as_user,
                    rejected=body.rejected,
                )
            )
        case SessionFrozen():
            report.session_frozen.CopyFrom(
                host_pb2.SessionFrozen(session_id=body.session_id, frozen=body.frozen, why=body.why)
            )
        case SessionRejected():
            report.session_rejected.CopyFrom(
                host_pb2.SessionRejected(
                    session_id=body.session_id, user=local_user(body.person), argv=body.argv, reason=body.reason
                )
            )
        case SessionEnded():
            report.session_ended.CopyFrom(_session_ended(body))
        case DropAsked():
            report.drop_asked.CopyFrom(host_pb2.DropAsked(user=local_user(body.person)))
        case Footprint():
            report.footprint.CopyFrom(_footprint(body))
        case _ as never:
            assert_never(never)
    return report.SerializeToString()


def _started(body: SessionStarted) -> host_pb2.SessionStarted:
    return host_pb2.SessionStarted(
        session_id=body.session_id,
        user=local_user(body.person),
        run_as_user=body.run_as_user,
        argv=body.argv,
        command=body.command,
        cwd=body.cwd,
        tty=body.tty,
        standing=body.standing,
        record=body.record,
        environment=body.environment,
        rows=body.rows,
        columns=body.columns,
    )


def _session_ended(body: SessionEnded) -> host_pb2.SessionEnded:
    return host_pb2.SessionEnded(
        session_id=body.session_id,
        exit_value=body.exit_value,
        signal=body.signal,
        run_time_us=body.run_time_us,
        lost=body.lost,
        chunks=body.chunks,
        digest=body.digest,
        output_bytes=body.output_bytes,
        input_bytes=body.input_bytes,
        incomplete=body.incomplete,
    )


def _footprint(body: Footprint) -> host_pb2.Footprint:
    """As many changes as one message takes (SPEC 7); what does not fit makes it a truncated one."""
    message = host_pb2.Footprint(before_at=body.before_at, after_at=body.after_at, truncated=body.truncated)
    room = MAX_FOOTPRINT
    for change in body.changes:
        one = host_pb2.FootprintChange(path=change.path, kind=change.kind, what=change.what)
        # Its tag and length take ten bytes at most.
        room -= one.ByteSize() + 10
        if room < 0:
            message.truncated = True
            break
        message.changes.append(one)
    return message


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


def account_message(number: int, person: Person | None) -> host_pb2.HostMessage:
    answer = host_pb2.AccountAnswer(query=number, user=None if person is None else local_user(person))
    return host_pb2.HostMessage(account=answer)


def parse_account_query(message: host_pb2.AccountQuery) -> AccountQuery:
    if not 1 <= len(message.account) <= MAX_ACCOUNT or "\0" in message.account:
        raise Malformed("the server asks for what is no account")
    return AccountQuery(message.query, message.account)


def parse_desired(message: host_pb2.DesiredState) -> DesiredState:
    """The host's whole desired state; one bad grant refuses the message, for half a set is not the set."""
    grants = tuple(_signed_grant(grant) for grant in message.grants)
    if len({grant.grant_id for grant in grants}) != len(grants):
        raise Malformed("desired state names a grant twice")
    return DesiredState(message.generation, grants)


def parse_orders(message: host_pb2.SessionOrders) -> tuple[SessionOrder, ...]:
    """All that is ordered; what concerns something that is no session is refused, for half of it is not the whole."""
    if any(not is_id(order.session_id, "ses") for order in message.orders):
        raise Malformed("an order of the server names no session")
    return tuple(
        SessionOrder(order.session_id, order.watched, order.frozen, order.killed, safe(order.message))
        for order in message.orders
    )


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
    return require_time(message.now, "server time")


def _signed_grant(message: host_pb2.SignedGrant) -> SignedGrant:
    if not is_id(message.grant_id, "gnt"):
        raise Malformed("desired state holds a bad grant id")
    if not message.revision:
        raise Malformed("desired state holds a grant without a revision")
    if not 1 <= len(message.envelope) <= MAX_ENVELOPE:
        raise Malformed("desired state holds an envelope of a wrong size")
    return SignedGrant(message.grant_id, message.revision, message.envelope)


def local_user(person: Person) -> host_pb2.LocalUser:
    return host_pb2.LocalUser(uid=person.uid, name=person.name)


def require_time(value: int, what: str) -> int:
    """The same instant; raises `Malformed` for none."""
    if value <= 0:
        raise Malformed(f"a message of the server has no time ({what})")
    return value
