"""Protobuf messages to values of `model`, and refusal of what is not whole.

The only module that reads messages.  An absent required field, a zero time or
an enum value we do not know is an error, never a guess.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from jit_protos.v1 import admin_pb2, audit_pb2, common_pb2, people_pb2

from . import model, times
from .errors import CtlError

_REQUEST_STATES: dict[common_pb2.RequestState.ValueType, model.RequestState] = {
    getattr(common_pb2, f"REQUEST_STATE_{state.name}"): state for state in model.RequestState
}
_GRANT_STATES: dict[common_pb2.GrantState.ValueType, model.GrantState] = {
    getattr(common_pb2, f"GRANT_STATE_{state.name}"): state for state in model.GrantState
}
_REQUEST_NUMBERS: dict[model.RequestState, common_pb2.RequestState.ValueType] = {
    state: number for number, state in _REQUEST_STATES.items()
}
_GRANT_NUMBERS: dict[model.GrantState, common_pb2.GrantState.ValueType] = {
    state: number for number, state in _GRANT_STATES.items()
}


def malformed(what: str) -> CtlError:
    return CtlError(
        "failed",
        f"the server's answer is not understood: {what}",
        "is this jitctl older than the server? see 'jitctl version'",
    )


def instant(us: int, field: str) -> datetime:
    if us <= 0:
        raise malformed(f"no {field}")
    try:
        return times.from_us(us)
    except ValueError:
        raise malformed(f"{field} is out of range") from None


def instant_or_none(us: int, field: str) -> datetime | None:
    return instant(us, field) if us else None


def required(text: str, field: str) -> str:
    if not text:
        raise malformed(f"no {field}")
    return text


def request_state_number(state: model.RequestState) -> common_pb2.RequestState.ValueType:
    return _REQUEST_NUMBERS[state]


def grant_state_number(state: model.GrantState) -> common_pb2.GrantState.ValueType:
    return _GRANT_NUMBERS[state]


def grant(message: common_pb2.Grant) -> model.Grant:
    if message.state not in _GRANT_STATES:
        raise malformed(f"grant state {message.state}")
    return model.Grant(
        grant_id=required(message.grant_id, "grant_id"),
        request_id=message.request_id,
        user=required(message.user, "user"),
        host=required(message.host, "host"),
        role=message.role,
        run_as_user=message.run_as_user,
        run_as_group=message.run_as_group,
        commands=tuple(message.commands),
        state=_GRANT_STATES[message.state],
        not_before=instant(message.not_before, "not_before"),
        not_after=instant(message.not_after, "not_after"),
        ended_at=instant_or_none(message.ended_at, "ended_at"),
        end_reason=message.end_reason,
        end_confirmed=message.end_confirmed,
        reason=message.reason,
        approved_by=tuple(message.approved_by),
        once=message.once,
        this_session=message.this_session,
        lease_s=message.lease_s,
        extensions=message.extensions,
        unconfirmed_at=instant_or_none(message.unconfirmed_at, "unconfirmed_at"),
        leftovers=tuple(message.leftovers),
    )


def _ask(message: common_pb2.Ask) -> model.Ask:
    return model.Ask(
        argv=tuple(message.argv),
        run_as_user=required(message.run_as_user, "run_as_user"),
        run_as_group=message.run_as_group,
        shell=message.shell,
        login=message.login,
        exact=message.exact,
    )


def decision(message: common_pb2.Decision) -> model.Decision:
    return model.Decision(
        by=required(message.by, "by"),
        approved=message.approved,
        reason=message.reason,
        at=instant(message.at, "at"),
    )


def request(message: common_pb2.Request) -> model.Request:
    if message.state not in _REQUEST_STATES:
        raise malformed(f"request state {message.state}")
    if not message.HasField("ask"):
        raise malformed("no ask")
    return model.Request(
        request_id=required(message.request_id, "request_id"),
        user=required(message.user, "user"),
        host=required(message.host, "host"),
        role=required(message.role, "role"),
        ask=_ask(message.ask),
        reason=message.reason,
        ticket=message.ticket,
        duration_s=message.duration_s,
        state=_REQUEST_STATES[message.state],
        created_at=instant(message.created_at, "created_at"),
        lapses_at=instant_or_none(message.lapses_at, "lapses_at"),
        approvals_needed=message.approvals_needed,
        approvers=tuple(message.approvers),
        decisions=tuple(map(decision, message.decisions)),
        grant=grant(message.grant) if message.HasField("grant") else None,
        role_commands=tuple(message.role_commands),
        mfa_passed=message.mfa_passed,
        once=message.once,
        this_session=message.this_session,
        starts_at=instant_or_none(message.starts_at, "starts_at"),
        extends=message.extends,
        extends_to=instant_or_none(message.extends_to, "extends_to"),
        past_max_s=message.past_max_s,
        batch_id=message.batch_id,
        batch=tuple(map(_batch_host, message.batch)),
    )


def _batch_host(message: common_pb2.BatchHost) -> model.BatchHost:
    if message.state and message.state not in _REQUEST_STATES:
        raise malformed(f"request state {message.state}")
    if message.grant_state and message.grant_state not in _GRANT_STATES:
        raise malformed(f"grant state {message.grant_state}")
    return model.BatchHost(
        host=required(message.host, "host"),
        request_id=message.request_id,
        state=_REQUEST_STATES[message.state] if message.state else None,
        grant_state=_GRANT_STATES[message.grant_state] if message.grant_state else None,
        why=message.why,
    )


def lock(message: people_pb2.Lock) -> model.Lock:
    return model.Lock(
        lock_id=required(message.lock_id, "lock_id"),
        kind=required(message.kind, "kind"),
        target=required(message.target, "target"),
        reason=message.reason,
        created_by=required(message.created_by, "created_by"),
        created_at=instant(message.created_at, "created_at"),
        expires_at=instant_or_none(message.expires_at, "expires_at"),
        lifted_at=instant_or_none(message.lifted_at, "lifted_at"),
        lifted_by=message.lifted_by,
        grants_ended=message.grants_ended,
        requests_cancelled=message.requests_cancelled,
    )


def alert(message: people_pb2.Alert) -> model.Alert:
    # A kind this jitctl does not know is shown: what is the matter must not be hidden.
    return model.Alert(
        kind=required(message.kind, "kind"),
        since=instant(message.since, "since"),
        host=message.host,
        user=message.user,
        role=message.role,
        grant_id=message.grant_id,
        message=required(message.message, "message"),
    )


def who_am_i(message: people_pb2.WhoAmIResponse) -> model.WhoAmI:
    return model.WhoAmI(
        user_id=required(message.user_id, "user_id"),
        name=required(message.name, "name"),
        duties=tuple(message.duties),
        groups=tuple(message.groups),
        approver_of=tuple(message.approver_of),
        expires_at=instant(message.expires_at, "expires_at"),
        mfa_enrolled=message.mfa_enrolled,
    )


def login(message: people_pb2.LoginResponse) -> model.Login:
    return model.Login(
        certificate=required(message.certificate, "certificate"),
        ca=required(message.ca, "ca"),
        expires_at=instant(message.expires_at, "expires_at"),
        server=required(message.server, "server"),
    )


def totp_offer(message: common_pb2.TotpOffer) -> model.TotpOffer:
    return model.TotpOffer(uri=required(message.uri, "uri"), qr=tuple(message.qr))


def host(message: admin_pb2.Host) -> model.Host:
    return model.Host(
        host_id=required(message.host_id, "host_id"),
        name=required(message.name, "name"),
        labels=dict(sorted(message.labels.items())),
        enrolled_at=instant_or_none(message.enrolled_at, "enrolled_at"),
        last_seen=instant_or_none(message.last_seen, "last_seen"),
        connected=message.connected,
        agent_version=message.agent_version,
        sudo_version=message.sudo_version,
        problems=tuple(message.problems),
        live_grants=message.live_grants,
        removed=message.removed,
    )


def enroll_token(message: admin_pb2.CreateEnrollTokenResponse) -> model.EnrollToken:
    return model.EnrollToken(
        token=required(message.token, "token"),
        expires_at=instant(message.expires_at, "expires_at"),
        bootstrap=required(message.bootstrap, "bootstrap"),
        ca_fingerprint=required(message.ca_fingerprint, "ca_fingerprint"),
    )


def user(message: admin_pb2.User) -> model.User:
    return model.User(
        user_id=required(message.user_id, "user_id"),
        name=required(message.name, "name"),
        account=message.account,
        duties=tuple(message.duties),
        groups=tuple(message.groups),
        mfa_enrolled=message.mfa_enrolled,
        disabled=message.disabled,
        created_at=instant(message.created_at, "created_at"),
        service=message.service,
    )


def user_with_token(message: admin_pb2.CreateUserResponse) -> model.UserWithToken:
    made = user(message.user)
    if made.service:
        return model.UserWithToken(user=made, mfa_token="", mfa_token_expires_at=None)
    return model.UserWithToken(
        user=made,
        mfa_token=required(message.mfa_token, "mfa_token"),
        mfa_token_expires_at=instant(message.mfa_token_expires_at, "mfa_token_expires_at"),
    )


def _details(text: str) -> dict[str, Any]:
    try:
        details = json.loads(text or "{}")
    except ValueError:
        details = None
    # An event is evidence: one that cannot be read is shown as it came, not withheld.
    return details if isinstance(details, dict) else {"unreadable": text}


def event(message: audit_pb2.Event) -> model.Event:
    if message.sequence == 0:
        raise malformed("no sequence")
    return model.Event(
        sequence=message.sequence,
        at=instant(message.at, "at"),
        kind=required(message.kind, "kind"),
        actor=message.actor,
        user=message.user,
        host=message.host,
        role=message.role,
        request_id=message.request_id,
        grant_id=message.grant_id,
        details=_details(message.details),
    )
