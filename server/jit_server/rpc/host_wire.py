"""What hosts say, as domain values, and what they are told, as messages (SPEC 5).

A host is not believed more than it must be: what it says is bounded here before anything looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass

from jit_protos.v1 import common_pb2, host_pb2
from jit_server.domain import report
from jit_server.domain.ask import Ask
from jit_server.domain.identity import LocalUser
from jit_server.domain.policy.circumstances import Login, LoginKind, address
from jit_server.errors import Invalid, LimitExceeded
from jit_server.rpc import report_wire
from jit_server.rpc.wire import bounded, instant, required, seconds
from jit_server.services.delivery import DesiredState
from jit_server.services.extending import NewExtension
from jit_server.services.filing import NewRequest
from jit_server.services.views import Choice, Plan

MAX_PROBLEMS = 50
MAX_OTP = 64


@dataclass(frozen=True, slots=True)
class Settled:
    """The host has acted on every grant of this generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The host is there; `now` is its clock in µs UTC."""

    now: int


@dataclass(frozen=True, slots=True)
class Account:
    """The answer to an account query: who it is, or None."""

    query: int
    user: LocalUser | None


def host_message(message: host_pb2.HostMessage) -> report.Hello | report.Report | Settled | Heartbeat | Account:
    """One message of a host's stream; raises `Invalid` for what is none."""
    match message.WhichOneof("body"):
        case "hello":
            return _hello(message.hello)
        case "report":
            return report_wire.parsed(message.report)
        case "settled":
            if message.settled.generation > report_wire.MAX_SEQUENCE:
                raise Invalid("the host has settled what is no generation")
            return Settled(message.settled.generation)
        case "heartbeat":
            return Heartbeat(instant(message.heartbeat.now, "the host's time"))
        case "account":
            answer = message.account
            user = report_wire.person(True, answer.user) if answer.HasField("user") else None
            return Account(answer.query, user)
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
    | host_pb2.LocalListSessionsRequest
    | host_pb2.LocalSessionRef
    | host_pb2.LocalRenewRequest
    | host_pb2.LocalListEligibilitiesRequest
)


def local_user(message: AboutPerson) -> LocalUser:
    """The person a message is about; raises `Invalid` when it names nobody."""
    return report_wire.person(message.HasField("user"), message.user)


def ask(message: common_pb2.Ask) -> Ask:
    return Ask(
        argv=tuple(message.argv),
        run_as_user=message.run_as_user,
        run_as_group=message.run_as_group,
        shell=message.shell,
        login=message.login,
        exact=message.exact,
    )


def login(message: host_pb2.PlanRequest | host_pb2.CreateRequestRequest) -> Login:
    """The login session that asks, as the host attests it; what is absent or makes no sense is not known."""
    if not message.HasField("login") or message.login.kind not in list(LoginKind):
        return Login()
    kind = LoginKind(message.login.kind)
    if kind is LoginKind.UNKNOWN:
        return Login()
    try:
        source = address(message.login.source) if message.login.source else None
    except ValueError:
        # A host that says what is no address is not believed about this login at all.
        return Login()
    return Login(kind, source, message.login.terminal)


def new_request(message: host_pb2.CreateRequestRequest) -> NewRequest:
    if not message.HasField("ask"):
        raise Invalid("what is asked for is missing")
    return NewRequest(
        role=bounded(message.role, "role"),
        ask=ask(message.ask),
        duration_s=seconds(message.duration_s, "the duration"),
        reason=message.reason,
        ticket=message.ticket,
        otp=bounded(message.otp, "the one-time code", MAX_OTP),
        once=message.once,
        session=message.session,
        starts_at=instant(message.starts_at, "the start") if message.starts_at else 0,
        login=login(message),
        hosts=tuple(bounded(text, "a host") for text in message.hosts),
        dry_run=message.dry_run,
    )


def new_extension(message: host_pb2.ExtendGrantRequest) -> NewExtension:
    return NewExtension(
        grant_id=required(message.grant_id, "the id of the grant"),
        duration_s=seconds(message.duration_s, "the duration"),
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


def account_query_message(query: int, account: str) -> host_pb2.ServerMessage:
    return host_pb2.ServerMessage(account=host_pb2.AccountQuery(query=query, account=account))


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
        until=choice.until,
        active=choice.active,
        once=role.once,
        max_hosts=role.max_hosts,
        when=[str(condition) for condition in role.when],
        mfa_fresh=choice.mfa_fresh,
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
        problems=tuple(bounded(problem, "a problem", report_wire.MAX_TEXT) for problem in message.problems),
    )
