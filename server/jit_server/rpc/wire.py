"""Messages to domain values and back: with `host_wire` and `lock_wire` the only place that does it (STYLE 9).

What comes in is refused here when a required part is absent, a time is zero, a number is beyond its meaning, or an enum
value is unknown (SPEC 7); the services check what it means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from jit_protos.v1 import admin_pb2, audit_pb2, common_pb2, people_pb2
from jit_server.domain.ask import Ask
from jit_server.domain.events import Query, RecordedEvent
from jit_server.domain.identity import Duty
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.errors import Invalid, LimitExceeded
from jit_server.ports import TotpOffer
from jit_server.services.batch_views import BatchHostView
from jit_server.services.views import GrantView, HostView, RequestView, UserView, WhoAmI

MAX_NAME = 256
MAX_DECISION_REASON = 1_000
DEFAULT_LISTED = 100
MAX_LISTED = 1_000
DEFAULT_EVENTS = 1_000
MAX_EVENTS = 10_000
MAX_NUMBER = 2**53
"""The largest whole number that every reader of JSON agrees on; as µs the year 2255, as bytes 8 PiB."""

_REQUEST_STATES = {
    RequestState.PENDING: common_pb2.REQUEST_STATE_PENDING,
    RequestState.APPROVED: common_pb2.REQUEST_STATE_APPROVED,
    RequestState.DENIED: common_pb2.REQUEST_STATE_DENIED,
    RequestState.CANCELLED: common_pb2.REQUEST_STATE_CANCELLED,
    RequestState.LAPSED: common_pb2.REQUEST_STATE_LAPSED,
}
_GRANT_STATES = {
    GrantState.SCHEDULED: common_pb2.GRANT_STATE_SCHEDULED,
    GrantState.ISSUED: common_pb2.GRANT_STATE_ISSUED,
    GrantState.ACTIVE: common_pb2.GRANT_STATE_ACTIVE,
    GrantState.ENDING: common_pb2.GRANT_STATE_ENDING,
    GrantState.ENDED: common_pb2.GRANT_STATE_ENDED,
    GrantState.UNCONFIRMED: common_pb2.GRANT_STATE_UNCONFIRMED,
    GrantState.REFUSED: common_pb2.GRANT_STATE_REFUSED,
}
_REQUEST_STATE_OF: Mapping[int, RequestState] = {number: state for state, number in _REQUEST_STATES.items()}
_GRANT_STATE_OF: Mapping[int, GrantState] = {number: state for state, number in _GRANT_STATES.items()}


# To the domain


def required(text: str, what: str, limit: int = MAX_NAME) -> str:
    """The text of a required field; raises `Invalid` when it is absent and `LimitExceeded` when it is too long."""
    if not text:
        raise Invalid(f"{what} is missing")
    return bounded(text, what, limit)


def bounded(text: str, what: str, limit: int = MAX_NAME) -> str:
    """The text of an optional field; raises `LimitExceeded` when it is too long, `Invalid` for one with a NUL."""
    if len(text) > limit:
        raise LimitExceeded(f"{what} has {len(text)} characters, the limit is {limit}")
    if "\0" in text:
        # PostgreSQL has no such texts, and would answer for all that comes with this one.
        raise Invalid(f"{what} holds a NUL")
    return text


def instant(at: int, what: str) -> int:
    """A time that is required; raises `Invalid` for zero, for before the epoch, and for one no client can show."""
    if not 0 < at <= MAX_NUMBER:
        raise Invalid(f"{what} is missing or is no time")
    return at


def seconds(count: int, what: str) -> int:
    """A duration, zero for none; raises `Invalid` for a negative one, and for one beyond every calendar."""
    if not 0 <= count <= MAX_NUMBER // 1_000_000:
        raise Invalid(f"{what} is negative or too long")
    return count


def listed(limit: int) -> int:
    """How many to list: zero means the default; raises `LimitExceeded`."""
    if limit > MAX_LISTED:
        raise LimitExceeded(f"a list of {limit}, the limit is {MAX_LISTED}")
    return limit or DEFAULT_LISTED


def request_states(numbers: Iterable[int]) -> frozenset[RequestState]:
    try:
        return frozenset(_REQUEST_STATE_OF[number] for number in numbers)
    except KeyError as error:
        raise Invalid(f"unknown state of a request: {error.args[0]}") from None


def grant_states(numbers: Iterable[int]) -> frozenset[GrantState]:
    try:
        return frozenset(_GRANT_STATE_OF[number] for number in numbers)
    except KeyError as error:
        raise Invalid(f"unknown state of a grant: {error.args[0]}") from None


def duties(untrusted_names: Iterable[str]) -> frozenset[Duty]:
    try:
        return frozenset(Duty(name) for name in untrusted_names)
    except ValueError:
        raise Invalid("unknown duty", hint=f"duties are {' and '.join(Duty)}") from None


def query(message: audit_pb2.QueryRequest) -> Query:
    if message.limit > MAX_EVENTS:
        raise LimitExceeded(f"{message.limit} events, the limit is {MAX_EVENTS}")
    if message.after >= 2**63:
        raise Invalid("after is no sequence of an event")
    if message.since < 0 or message.until < 0:
        raise Invalid("since and until are no times")
    return Query(
        after=message.after,
        limit=message.limit or DEFAULT_EVENTS,
        user=bounded(message.user, "user"),
        host=bounded(message.host, "host"),
        role=bounded(message.role, "role"),
        request_id=bounded(message.request_id, "request id"),
        grant_id=bounded(message.grant_id, "grant id"),
        kind=bounded(message.kind, "kind"),
        since=message.since,
        until=message.until,
        newest=message.newest,
    )


# From the domain


def ask_message(ask: Ask) -> common_pb2.Ask:
    return common_pb2.Ask(
        argv=ask.argv,
        run_as_user=ask.run_as_user,
        run_as_group=ask.run_as_group,
        shell=ask.shell,
        login=ask.login,
        exact=ask.exact,
    )


def request_message(view: RequestView) -> common_pb2.Request:
    request = view.request
    return common_pb2.Request(
        request_id=request.request_id,
        user=view.user,
        host=view.host,
        role=request.role,
        ask=ask_message(request.ask),
        reason=request.reason,
        ticket=request.ticket,
        duration_s=request.duration_s,
        state=_REQUEST_STATES[request.state],
        created_at=request.created_at,
        lapses_at=request.lapses_at,
        approvals_needed=request.approvals_needed,
        approvers=view.approvers,
        decisions=[
            common_pb2.Decision(by=vote.by, approved=vote.approved, reason=vote.reason, at=vote.at)
            for vote in view.decisions
        ],
        grant=None if view.grant is None else grant_message(view.grant),
        role_commands=request.role_commands,
        mfa_passed=request.mfa_passed,
        once=request.once,
        this_session=request.session != 0,
        starts_at=request.starts_at,
        extends=request.extends,
        extends_to=view.extends_to,
        past_max_s=view.past_max_s,
        batch_id=request.batch_id,
        batch=[_batch_host_message(host) for host in view.batch],
    )


def _batch_host_message(host: BatchHostView) -> common_pb2.BatchHost:
    return common_pb2.BatchHost(
        host=host.host,
        request_id=host.request_id,
        state=_REQUEST_STATES[host.state] if host.state else common_pb2.REQUEST_STATE_UNSPECIFIED,
        grant_state=_GRANT_STATES[host.grant_state] if host.grant_state else common_pb2.GRANT_STATE_UNSPECIFIED,
        why=host.why,
    )


def grant_message(view: GrantView) -> common_pb2.Grant:
    grant = view.grant
    return common_pb2.Grant(
        grant_id=grant.grant_id,
        request_id=grant.request_id,
        user=view.user,
        host=view.host,
        role=grant.role,
        run_as_user=grant.run_as_user,
        run_as_group=grant.run_as_group,
        commands=view.commands,
        state=_GRANT_STATES[grant.state],
        not_before=grant.not_before,
        not_after=grant.not_after,
        ended_at=grant.ended_at,
        end_reason=grant.end_reason,
        end_confirmed=view.end_confirmed,
        reason=grant.reason,
        approved_by=view.approved_by,
        once=grant.once,
        this_session=grant.session != 0,
        lease_s=grant.lease_s,
        extensions=grant.extensions,
        unconfirmed_at=grant.unconfirmed_at,
        leftovers=grant.leftovers,
    )


def totp_offer_message(offer: TotpOffer) -> common_pb2.TotpOffer:
    return common_pb2.TotpOffer(uri=offer.uri, qr=offer.qr)


def who_am_i_message(view: WhoAmI, expires_at: int) -> people_pb2.WhoAmIResponse:
    return people_pb2.WhoAmIResponse(
        user_id=view.user.user_id,
        name=view.user.name,
        duties=sorted(view.user.duties),
        groups=view.groups,
        approver_of=view.approver_of,
        expires_at=expires_at,
        mfa_enrolled=view.user.mfa_enrolled,
    )


def host_message(view: HostView) -> admin_pb2.Host:
    host = view.host
    return admin_pb2.Host(
        host_id=host.host_id,
        name=host.name,
        labels=host.labels,
        enrolled_at=host.enrolled_at,
        last_seen=host.last_seen,
        connected=host.connected,
        agent_version=host.agent_version,
        sudo_version=host.sudo_version,
        problems=host.problems,
        live_grants=view.live_grants,
        removed=host.removed,
    )


def user_message(view: UserView) -> admin_pb2.User:
    user = view.user
    return admin_pb2.User(
        user_id=user.user_id,
        name=user.name,
        account=user.account,
        duties=sorted(user.duties),
        groups=view.groups,
        mfa_enrolled=user.mfa_enrolled,
        disabled=user.disabled,
        created_at=user.created_at,
        service=user.service,
    )


def event_message(recorded: RecordedEvent) -> audit_pb2.Event:
    event = recorded.event
    return audit_pb2.Event(
        sequence=recorded.sequence,
        at=event.at,
        kind=event.kind.value,
        actor=event.actor,
        user=event.user,
        host=event.host,
        role=event.role,
        request_id=event.request_id,
        grant_id=event.grant_id,
        details=json.dumps(dict(event.details), ensure_ascii=False, sort_keys=True, separators=(",", ":")),
    )
