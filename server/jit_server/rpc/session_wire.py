"""Sessions, their orders and questions about them, as domain values and as messages (SPEC 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jit_protos.v1 import host_pb2, sessions_pb2
from jit_server.domain.session import RecordingState, SessionState
from jit_server.domain.session_order import Orders
from jit_server.errors import Invalid
from jit_server.rpc.wire import bounded
from jit_server.services.sessions import SessionDetails, SessionList, SessionView
from jit_server.store_values import SessionQuery

_STATES = {
    SessionState.WAITING: sessions_pb2.SESSION_STATE_WAITING,
    SessionState.RUNNING: sessions_pb2.SESSION_STATE_RUNNING,
    SessionState.FROZEN: sessions_pb2.SESSION_STATE_FROZEN,
    SessionState.ENDED: sessions_pb2.SESSION_STATE_ENDED,
    SessionState.LOST: sessions_pb2.SESSION_STATE_LOST,
    SessionState.REJECTED: sessions_pb2.SESSION_STATE_REJECTED,
}
_STATE_OF: Mapping[int, SessionState] = {number: state for state, number in _STATES.items()}
_RECORDINGS = {
    RecordingState.NONE: sessions_pb2.RECORDING_STATE_NONE,
    RecordingState.ARRIVING: sessions_pb2.RECORDING_STATE_ARRIVING,
    RecordingState.WHOLE: sessions_pb2.RECORDING_STATE_WHOLE,
    RecordingState.INCOMPLETE: sessions_pb2.RECORDING_STATE_INCOMPLETE,
    RecordingState.DELETED: sessions_pb2.RECORDING_STATE_DELETED,
}


def session_query(message: sessions_pb2.ListSessionsRequest) -> SessionQuery:
    if message.since < 0 or message.until < 0:
        raise Invalid("since and until are no times")
    return SessionQuery(
        host=bounded(message.host, "host"),
        user=bounded(message.user, "user"),
        role=bounded(message.role, "role"),
        grant_id=bounded(message.grant_id, "grant id"),
        text=bounded(message.text, "the text"),
        states=_session_states(message.states),
        since=message.since,
        until=message.until,
    )


def session_message(view: SessionView) -> sessions_pb2.Session:
    session = view.session
    return sessions_pb2.Session(
        session_id=session.session_id,
        grant_id=session.grant_id,
        role=session.role,
        user=session.user,
        host=session.host,
        run_as_user=session.run_as_user,
        command=session.command,
        argv=session.argv,
        cwd=session.cwd,
        tty=session.tty,
        state=_STATES[session.state],
        started_at=session.started_at,
        ended_at=session.ended_at,
        exit_value=session.exit_value,
        signal=session.signal,
        run_time_us=session.run_time_us,
        record=session.record.value,
        recording=_RECORDINGS[session.recording],
        incomplete=session.damage or session.incomplete,
        chunks=session.chunks,
        output_bytes=session.output_bytes,
        input_bytes=session.input_bytes,
        stored_bytes=session.stored_bytes,
        rows=session.rows,
        columns=session.columns,
        standing=session.standing,
        watchers=view.watchers,
        order=session.order,
        reject_reason=session.reject_reason,
    )


def list_message(listed: SessionList) -> sessions_pb2.ListSessionsResponse:
    return sessions_pb2.ListSessionsResponse(
        sessions=[session_message(view) for view in listed.sessions], truncated=listed.truncated
    )


def details_message(details: SessionDetails) -> sessions_pb2.SessionDetails:
    return sessions_pb2.SessionDetails(
        session=session_message(details.view),
        environment=details.view.session.environment,
        commands=[
            sessions_pb2.SessionCommand(
                at=command.at,
                command=command.command,
                argv=command.argv,
                cwd=command.cwd,
                run_as_user=command.run_as_user,
                rejected=command.rejected,
            )
            for command in details.commands
        ],
        truncated=details.truncated,
    )


def orders_message(orders: Orders) -> host_pb2.ServerMessage:
    return host_pb2.ServerMessage(
        orders=host_pb2.SessionOrders(
            orders=[
                host_pb2.SessionOrder(
                    session_id=order.session_id,
                    watched=order.watched,
                    frozen=order.frozen,
                    killed=order.killed,
                    message=order.message,
                )
                for order in orders.orders
            ]
        )
    )


def _session_states(numbers: Iterable[int]) -> frozenset[SessionState]:
    try:
        return frozenset(_STATE_OF[number] for number in numbers)
    except KeyError as error:
        raise Invalid(f"unknown state of a session: {error.args[0]}") from None
