"""Protobuf messages about sessions to values of `session_model`; like `wire`, it refuses what is not whole."""

from __future__ import annotations

from jit_protos.v1 import sessions_pb2

from . import session_model as model
from . import times
from .wire import instant, instant_or_none, malformed, required

_STATES: dict[sessions_pb2.SessionState.ValueType, model.SessionState] = {
    getattr(sessions_pb2, f"SESSION_STATE_{state.name}"): state for state in model.SessionState
}
_STATE_NUMBERS: dict[model.SessionState, sessions_pb2.SessionState.ValueType] = {
    state: number for number, state in _STATES.items()
}
_RECORDINGS: dict[sessions_pb2.RecordingState.ValueType, model.RecordingState] = {
    getattr(sessions_pb2, f"RECORDING_STATE_{state.name}"): state for state in model.RecordingState
}


def query(wanted: model.SessionFilter, limit: int) -> sessions_pb2.ListSessionsRequest:
    return sessions_pb2.ListSessionsRequest(
        host=wanted.host,
        user=wanted.user,
        role=wanted.role,
        grant_id=wanted.grant_id,
        text=wanted.text,
        states=[_STATE_NUMBERS[state] for state in wanted.states],
        since=times.to_us(wanted.since) if wanted.since else 0,
        until=times.to_us(wanted.until) if wanted.until else 0,
        limit=limit,
    )


def session(message: sessions_pb2.Session) -> model.Session:
    if message.state not in _STATES:
        raise malformed(f"session state {message.state}")
    if message.recording not in _RECORDINGS:
        raise malformed(f"recording state {message.recording}")
    return model.Session(
        session_id=required(message.session_id, "session_id"),
        grant_id=message.grant_id,
        role=message.role,
        user=message.user,
        host=required(message.host, "host"),
        run_as_user=message.run_as_user,
        command=message.command,
        argv=tuple(message.argv),
        cwd=message.cwd,
        tty=message.tty,
        state=_STATES[message.state],
        started_at=instant_or_none(message.started_at, "started_at"),
        ended_at=instant_or_none(message.ended_at, "ended_at"),
        exit_value=message.exit_value,
        signal=message.signal,
        run_time_us=message.run_time_us,
        record=message.record,
        recording=_RECORDINGS[message.recording],
        incomplete=message.incomplete,
        chunks=message.chunks,
        output_bytes=message.output_bytes,
        input_bytes=message.input_bytes,
        stored_bytes=message.stored_bytes,
        rows=message.rows,
        columns=message.columns,
        standing=message.standing,
        watchers=tuple(message.watchers),
        order=message.order,
        reject_reason=message.reject_reason,
    )


def _command(message: sessions_pb2.SessionCommand) -> model.SessionCommand:
    return model.SessionCommand(
        at=instant(message.at, "at"),
        command=message.command,
        argv=tuple(message.argv),
        cwd=message.cwd,
        run_as_user=message.run_as_user,
        rejected=message.rejected,
    )


def details(message: sessions_pb2.SessionDetails) -> model.SessionDetails:
    if not message.HasField("session"):
        raise malformed("no session")
    return model.SessionDetails(
        session=session(message.session),
        environment=tuple(message.environment),
        commands=tuple(map(_command, message.commands)),
        truncated=message.truncated,
    )


def news(message: sessions_pb2.RecordingPiece) -> model.Session | model.Piece:
    """What one message of a recording's stream says: how the session is now, or a piece of a chunk."""
    if message.HasField("session"):
        return session(message.session)
    return model.Piece(
        chunk=message.chunk,
        end_ns=message.end_ns,
        encoding=message.encoding,
        size=message.size,
        decoded_size=message.decoded_size,
        sha256=message.sha256,
        offset=message.offset,
        data=message.data,
    )


def verdict(message: sessions_pb2.RecordingVerdict) -> model.Verdict:
    return model.Verdict(
        session_id=required(message.session_id, "session_id"),
        verdict=required(message.verdict, "verdict"),
        detail=message.detail,
        chunks=message.chunks,
        stored_bytes=message.stored_bytes,
    )
