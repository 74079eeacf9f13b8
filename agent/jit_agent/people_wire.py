"""What is asked of the server on behalf of people: protobuf messages to SPEC 4.2's JSON, the values people see.

What comes in is refused (`Malformed`) when a required field is absent, a time is zero, or an enum has a value we do not
know.
"""

from __future__ import annotations

from typing import Any

from jit_agent import wire
from jit_agent.errors import Malformed
from jit_agent.model import Arrival, Ask, Extension, NewRequest, Person, is_id
from jit_protos.v1 import common_pb2, host_pb2, sessions_pb2

Json = dict[str, Any]


def ask_message(ask: Ask) -> common_pb2.Ask:
    return common_pb2.Ask(
        argv=ask.argv,
        run_as_user=ask.run_as_user,
        run_as_group=ask.run_as_group,
        shell=ask.shell,
        login=ask.login,
        exact=ask.exact,
    )


def login_message(arrival: Arrival) -> host_pb2.Login:
    return host_pb2.Login(kind=arrival.kind, source=arrival.source, terminal=arrival.terminal)


def create_message(person: Person, new: NewRequest) -> host_pb2.CreateRequestRequest:
    return host_pb2.CreateRequestRequest(
        user=wire.local_user(person),
        role=new.role,
        ask=ask_message(new.ask),
        duration_s=new.duration_s,
        reason=new.reason,
        ticket=new.ticket,
        otp=new.otp,
        once=new.once,
        session=new.session,
        starts_at=new.starts_at,
        login=login_message(new.arrival),
        hosts=new.hosts,
        dry_run=new.dry_run,
    )


def extend_message(person: Person, extension: Extension) -> host_pb2.ExtendGrantRequest:
    return host_pb2.ExtendGrantRequest(
        user=wire.local_user(person),
        grant_id=extension.grant_id,
        duration_s=extension.duration_s,
        reason=extension.reason,
        ticket=extension.ticket,
        otp=extension.otp,
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
        "until": choice.until,
        "active": choice.active,
        "once": choice.once,
        "max_hosts": choice.max_hosts,
        "when": list(choice.when),
        "mfa_fresh": choice.mfa_fresh,
    }


def draft_json(message: common_pb2.Request) -> Json:
    """REQUEST of SPEC 4.2 as it would be: of a dry run, which has no id."""
    if message.request_id:
        raise Malformed("the server has made a request that was only tried")
    return _request_json(message)


def request_json(message: common_pb2.Request) -> Json:
    """REQUEST of SPEC 4.2."""
    if not is_id(message.request_id, "req"):
        raise Malformed("the server speaks of a request without an id")
    return _request_json(message)


def _request_json(message: common_pb2.Request) -> Json:
    if message.batch_id and not is_id(message.batch_id, "bat"):
        raise Malformed("the server speaks of a batch that is none")
    if not message.HasField("ask"):
        raise Malformed("the server speaks of a request that asks for nothing")
    if message.extends and not is_id(message.extends, "gnt"):
        raise Malformed("the server speaks of an extension of something that is no grant")
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
        "created_at": wire.require_time(message.created_at, "created_at"),
        "lapses_at": message.lapses_at,
        "approvals_needed": message.approvals_needed,
        "approvers": list(message.approvers),
        "decisions": [decision_json(decision) for decision in message.decisions],
        "grant": _grant_json(message.grant) if message.HasField("grant") else None,
        "role_commands": list(message.role_commands),
        "mfa_passed": message.mfa_passed,
        "once": message.once,
        "this_session": message.this_session,
        "starts_at": message.starts_at,
        "extends": message.extends,
        "extends_to": message.extends_to,
        "past_max_s": message.past_max_s,
        "batch_id": message.batch_id,
        "batch": [_batch_host_json(host) for host in message.batch],
    }


def _batch_host_json(host: common_pb2.BatchHost) -> Json:
    return {
        "host": host.host,
        "request_id": host.request_id,
        "state": _enum(common_pb2.RequestState, host.state, "REQUEST_STATE_") if host.state else "",
        "grant_state": _enum(common_pb2.GrantState, host.grant_state, "GRANT_STATE_") if host.grant_state else "",
        "why": host.why,
    }


def decision_json(decision: common_pb2.Decision) -> Json:
    at = wire.require_time(decision.at, "decision")
    return {"by": decision.by, "approved": decision.approved, "reason": decision.reason, "at": at}


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
        "not_before": wire.require_time(grant.not_before, "not_before"),
        "not_after": wire.require_time(grant.not_after, "not_after"),
        "ended_at": grant.ended_at,
        "end_reason": grant.end_reason,
        "end_confirmed": grant.end_confirmed,
        "reason": grant.reason,
        "approved_by": list(grant.approved_by),
        "once": grant.once,
        "this_session": grant.this_session,
        "lease_s": grant.lease_s,
        "extensions": grant.extensions,
        "unconfirmed_at": grant.unconfirmed_at,
        "leftovers": list(grant.leftovers),
    }


def sessions_json(message: sessions_pb2.ListSessionsResponse) -> Json:
    return {"sessions": [_session_json(session) for session in message.sessions], "truncated": message.truncated}


def session_details_json(message: sessions_pb2.SessionDetails) -> Json:
    if not message.HasField("session"):
        raise Malformed("the server's answer holds no session")
    return {
        "session": _session_json(message.session),
        "environment": list(message.environment),
        "commands": [_command_json(command) for command in message.commands],
        "truncated": message.truncated,
    }


def _session_json(session: sessions_pb2.Session) -> Json:
    """SESSION of SPEC 4.2."""
    if not is_id(session.session_id, "ses"):
        raise Malformed("the server speaks of a session without an id")
    return {
        "session_id": session.session_id,
        "grant_id": session.grant_id,
        "role": session.role,
        "user": session.user,
        "host": session.host,
        "run_as_user": session.run_as_user,
        "command": session.command,
        "argv": list(session.argv),
        "cwd": session.cwd,
        "tty": session.tty,
        "state": _enum(sessions_pb2.SessionState, session.state, "SESSION_STATE_"),
        "started_at": session.started_at,
        "ended_at": session.ended_at,
        "exit_value": session.exit_value,
        "signal": session.signal,
        "run_time_us": session.run_time_us,
        "record": session.record,
        "recording": _enum(sessions_pb2.RecordingState, session.recording, "RECORDING_STATE_"),
        "incomplete": session.incomplete,
        "chunks": session.chunks,
        "output_bytes": session.output_bytes,
        "input_bytes": session.input_bytes,
        "stored_bytes": session.stored_bytes,
        "rows": session.rows,
        "columns": session.columns,
        "standing": session.standing,
        "watchers": list(session.watchers),
        "order": session.order,
        "reject_reason": session.reject_reason,
    }


def _command_json(command: sessions_pb2.SessionCommand) -> Json:
    return {
        "at": wire.require_time(command.at, "command"),
        "command": command.command,
        "argv": list(command.argv),
        "cwd": command.cwd,
        "run_as_user": command.run_as_user,
        "rejected": command.rejected,
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
