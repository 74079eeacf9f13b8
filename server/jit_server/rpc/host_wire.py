"""What hosts say, as domain values, and what they are told, as messages (SPEC 5).

A host is not believed more than it must be: what it says is bounded here before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from jit_protos.v1 import common_pb2, host_pb2
from jit_server.domain import ids, report
from jit_server.domain.ask import Ask
from jit_server.domain.identity import LocalUser
from jit_server.errors import Invalid, LimitExceeded
from jit_server.rpc.wire import bounded, instant, required
from jit_server.services.delivery import DesiredState
from jit_server.services.extending import NewExtension
from jit_server.services.requests import NewRequest
from jit_server.services.views import Choice, Plan

MAX_PROBLEMS = 50
MAX_TEXT = 4_096
MAX_OTP = 64
MAX_SEQUENCE = 2**63 - 1
MAX_LEFTOVERS = 20
MAX_CHANGES = 200
MAX_WORD = 32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settled:
    """The host has acted on every grant of this generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The host is there; `now` is its clock in µs UTC."""

    now: int


def host_message(message: host_pb2.HostMessage) -> report.Hello | report.Report | Settled | Heartbeat:
    """One message of a host's stream; raises `Invalid` for what is none."""
    match message.WhichOneof("body"):
        case "hello":
            return _hello(message.hello)
        case "report":
            return _report(message.report)
        case "settled":
            if message.settled.generation > MAX_SEQUENCE:
                raise Invalid("the host has settled what is no generation")
            return Settled(message.settled.generation)
        case "heartbeat":
            return Heartbeat(instant(message.heartbeat.now, "the host's time"))
        case _:
            raise Invalid("a message of the host's stream is empty, or of a kind this server does not know")


AboutPerson = (
    host_pb2.PlanRequest
    | host_pb2.ExtendGrantRequest
    | host_pb2.CreateRequestRequest
    | host_pb2.LocalRequestRef
    | host_pb2.ListMineRequest
    | host_pb2.LocalBeginTotpRequest
    | host_pb2.LocalConfirmTotpRequest
)


def local_user(message: AboutPerson) -> LocalUser:
    """The person a message is about; raises `Invalid` when it names nobody."""
    return _user(message.HasField("user"), message.user)


def ask(message: common_pb2.Ask) -> Ask:
    return Ask(
        argv=tuple(message.argv),
        run_as_user=message.run_as_user,
        run_as_group=message.run_as_group,
        shell=message.shell,
        login=message.login,
        exact=message.exact,
    )


def new_request(message: host_pb2.CreateRequestRequest) -> NewRequest:
    if not message.HasField("ask"):
        raise Invalid("what is asked for is missing")
    if message.duration_s < 0:
        raise Invalid("the duration is negative")
    return NewRequest(
        role=bounded(message.role, "role"),
        ask=ask(message.ask),
        duration_s=message.duration_s,
        reason=message.reason,
        ticket=message.ticket,
        otp=bounded(message.otp, "the one-time code", MAX_OTP),
        once=message.once,
        session=message.session,
        starts_at=instant(message.starts_at, "the start") if message.starts_at else 0,
    )


def new_extension(message: host_pb2.ExtendGrantRequest) -> NewExtension:
    return NewExtension(
        grant_id=required(message.grant_id, "the id of the grant"),
        duration_s=message.duration_s,
        reason=message.reason,
        ticket=message.ticket,
        otp=bounded(message.otp, "the one-time code", MAX_OTP),
    )


def plan_message(plan: Plan) -> host_pb2.PlanResponse:
    return host_pb2.PlanResponse(
        choices=[_choice_message(choice) for choice in plan.choices],
        refusals=[host_pb2.Refusal(role=one.role, why=one.why, hint=one.hint) for one in plan.refusals],
        mfa_enrolled=plan.mfa_enrolled,
    )


def time_message(now: int) -> host_pb2.ServerMessage:
    return host_pb2.ServerMessage(time=host_pb2.ServerTime(now=now))


def kept_message(sequence: int) -> host_pb2.ServerMessage:
    return host_pb2.ServerMessage(kept=host_pb2.ReportsKept(sequence=sequence))


def desired_message(desired: DesiredState) -> host_pb2.ServerMessage:
    grants = [
        host_pb2.SignedGrant(grant_id=grant.grant_id, revision=grant.revision, envelope=grant.envelope)
        for grant in desired.grants
    ]
    return host_pb2.ServerMessage(desired=host_pb2.DesiredState(generation=desired.generation, grants=grants))


def _choice_message(choice: Choice) -> host_pb2.Choice:
    role = choice.role
    return host_pb2.Choice(
        role=role.name,
        description=role.description,
        default_s=role.default_s,
        max_s=role.max_s,
        mfa=role.mfa,
        reason=role.reason,
        ticket=role.ticket,
        approvals=role.approvals,
        approvers=choice.approvers,
        commands=choice.commands,
        run_as_users=role.run_as_users,
    )


def _hello(message: host_pb2.HostHello) -> report.Hello:
    if len(message.problems) > MAX_PROBLEMS:
        raise LimitExceeded(f"{len(message.problems)} problems of a host, the limit is {MAX_PROBLEMS}")
    return report.Hello(
        boot_id=required(message.boot_id, "the boot id"),
        now=instant(message.now, "the host's time"),
        agent_version=bounded(message.agent_version, "the agent's version"),
        sudo_version=bounded(message.sudo_version, "sudo's version"),
        spool_id=required(message.spool_id, "the spool id"),
        problems=tuple(bounded(problem, "a problem", MAX_TEXT) for problem in message.problems),
    )


def _report(message: host_pb2.Report) -> report.Report:
    if not 1 <= message.sequence <= MAX_SEQUENCE:
        raise Invalid("the number of a report is missing or no number of a report")
    if message.grant_id and not ids.is_id(ids.Kind.GRANT, message.grant_id):
        raise Invalid("a report names something that is no grant")
    at = instant(message.at, "the time of a report")
    return report.Report(message.sequence, at, message.grant_id, _body(message))


def _body(message: host_pb2.Report) -> report.ReportBody:
    kind = message.WhichOneof("body")
    if kind in {"applied", "refused", "ended", "drop_asked", "footprint"} and not message.grant_id:
        raise Invalid(f"a report ({kind}) names no grant")
    match kind:
        case "applied":
            return report.Applied(message.applied.revision, bounded(message.applied.scope, "a scope"))
        case "refused":
            refused = message.refused
            return report.GrantRefused(
                refused.revision,
                required(refused.code, "the code of a refusal"),
                bounded(refused.message, "the text of a refusal", MAX_TEXT),
            )
        case "ended":
            return _ended(message.ended)
        case "drop_asked":
            drop = message.drop_asked
            return report.DropAsked(_user(drop.HasField("user"), drop.user))
        case "footprint":
            return _footprint(message.footprint)
        case "session_started":
            return _session_started(message.session_started)
        case "session_rejected":
            rejected = message.session_rejected
            return report.SessionRejected(
                session_id=_session_id(rejected.session_id),
                user=_user(rejected.HasField("user"), rejected.user),
                argv=tuple(rejected.argv),
                reason=bounded(rejected.reason, "the reason of a rejection", MAX_TEXT),
            )
        case "session_ended":
            return _session_ended(message.session_ended)
        case _:
            raise Invalid("a report is empty, or of a kind this server does not know")


def _ended(message: host_pb2.Ended) -> report.Ended:
    if message.reason not in report.END_REASONS:
        raise Invalid("a report gives an unknown reason for the end of a grant")
    return report.Ended(
        revision=message.revision,
        reason=message.reason,
        late_us=message.late_us,
        killed=message.killed,
        scope_empty=message.scope_empty,
        rule_removed=message.rule_removed,
        leftovers=tuple(
            report.Leftover(one.pid, bounded(one.command, "a command line", MAX_TEXT), one.killed)
            for one in _at_most(MAX_LEFTOVERS, message.leftovers, "processes left over")
        ),
    )


def _footprint(message: host_pb2.Footprint) -> report.Footprint:
    return report.Footprint(
        # Zero: nobody looked, as after a crash between the ledger and the first look.
        before_at=instant(message.before_at, "when the host was looked at before") if message.before_at else 0,
        after_at=instant(message.after_at, "when the host was looked at after"),
        changes=tuple(
            report.FootprintChange(
                required(one.path, "the path of a change", MAX_TEXT),
                required(one.kind, "the kind of a change", MAX_WORD),
                required(one.what, "what a change is", MAX_WORD),
            )
            for one in _at_most(MAX_CHANGES, message.changes, "changes")
        ),
        truncated=message.truncated,
    )


def _at_most(limit: int, items: Sequence[T], what: str) -> Sequence[T]:
    if len(items) > limit:
        raise LimitExceeded(f"{len(items)} {what} in one report, the limit is {limit}")
    return items


def _session_started(message: host_pb2.SessionStarted) -> report.SessionStarted:
    return report.SessionStarted(
        session_id=_session_id(message.session_id),
        user=_user(message.HasField("user"), message.user),
        run_as_user=bounded(message.run_as_user, "the run-as user"),
        argv=tuple(message.argv),
        command=bounded(message.command, "the command", MAX_TEXT),
        cwd=bounded(message.cwd, "the working directory", MAX_TEXT),
        tty=bounded(message.tty, "the terminal", MAX_TEXT),
        standing=message.standing,
    )


def _session_ended(message: host_pb2.SessionEnded) -> report.SessionEnded:
    if message.run_time_us < 0:
        raise Invalid("a session ran for less than no time")
    return report.SessionEnded(
        session_id=_session_id(message.session_id),
        exit_value=message.exit_value,
        signal=bounded(message.signal, "the signal"),
        run_time_us=message.run_time_us,
        lost=message.lost,
    )


def _session_id(untrusted_id: str) -> str:
    if not ids.is_id(ids.Kind.SESSION, untrusted_id):
        raise Invalid("a report names something that is no session")
    return untrusted_id


def _user(present: bool, message: host_pb2.LocalUser) -> LocalUser:
    if not present:
        raise Invalid("the person is missing")
    return LocalUser(message.uid, bounded(message.name, "the account name"))
