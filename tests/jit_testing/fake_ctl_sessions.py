"""SessionService of the fake server, and recordings as a host would have made them."""

# ruff: noqa: N802 - the methods have the names of the .proto files
from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import zstandard

from jit_protos.sudo import log_server_pb2 as sudo
from jit_protos.v1 import sessions_pb2
from jit_protos.v1.sessions_pb2_grpc import SessionServiceServicer
from jit_testing.ctl_certificates import Authority
from jit_testing.ctl_values import now_us
from jit_testing.fake_ctl_state import Context, FakeState, refuse

PIECE = 128 * 1024
RUNNING = sessions_pb2.SESSION_STATE_RUNNING
FROZEN = sessions_pb2.SESSION_STATE_FROZEN
ENDED = sessions_pb2.SESSION_STATE_ENDED
OVER = {ENDED, sessions_pb2.SESSION_STATE_LOST, sessions_pb2.SESSION_STATE_REJECTED}


def session(number: int, **changes: Any) -> sessions_pb2.Session:
    """A session of bob that ended well and is recorded whole."""
    made = sessions_pb2.Session(
        session_id=f"ses-{number:016d}",
        grant_id="gnt-0000000000000001",
        role="web-operator",
        user="bob",
        host="web1",
        run_as_user="root",
        command="/usr/bin/systemctl",
        argv=["/usr/bin/systemctl", "restart", "nginx.service"],
        cwd="/home/bob",
        tty="/dev/pts/3",
        state=ENDED,
        started_at=now_us() - 180_000_000,
        ended_at=now_us() - 120_000_000,
        run_time_us=60_000_000,
        record="output",
        recording=sessions_pb2.RECORDING_STATE_WHOLE,
        chunks=1,
        output_bytes=2048,
        stored_bytes=300,
        rows=24,
        columns=80,
    )
    made.MergeFrom(sessions_pb2.Session(**changes))
    return made


def _delay(seconds: float) -> sudo.TimeSpec:
    whole, rest = divmod(round(seconds * 1_000_000_000), 1_000_000_000)
    return sudo.TimeSpec(tv_sec=whole, tv_nsec=rest)


def out(data: bytes, after: float = 0.0, *, stream: str = "ttyout") -> sudo.ClientMessage:
    return sudo.ClientMessage(**{f"{stream}_buf": sudo.IoBuffer(delay=_delay(after), data=data)})  # type: ignore[arg-type]


def resized(rows: int, columns: int, after: float = 0.0) -> sudo.ClientMessage:
    return sudo.ClientMessage(winsize_event=sudo.ChangeWindowSize(delay=_delay(after), rows=rows, cols=columns))


def suspended(signal: bytes, after: float = 0.0) -> sudo.ClientMessage:
    return sudo.ClientMessage(suspend_event=sudo.CommandSuspend(delay=_delay(after), signal=signal))


def exited(value: int = 0, signal: bytes = b"", after: float = 0.0) -> sudo.ClientMessage:
    return sudo.ClientMessage(exit_msg=sudo.ExitMessage(run_time=_delay(after), exit_value=value, signal=signal))


def framed(messages: Sequence[sudo.ClientMessage]) -> bytes:
    """As on the wire: each with its length before it."""
    coded = (message.SerializeToString() for message in messages)
    return b"".join(len(one).to_bytes(4, "big") + one for one in coded)


@dataclass
class StoredChunk:
    data: bytes
    decoded_size: int
    encoding: str
    end_ns: int
    sha256: bytes

    @classmethod
    def of(cls, decoded: bytes, end_ns: int = 0, *, compress: bool = True) -> StoredChunk:
        data = zstandard.ZstdCompressor(1).compress(decoded) if compress else decoded
        return cls(data, len(decoded), "zstd" if compress else "none", end_ns, hashlib.sha256(data).digest())

    def pieces(self, session_id: str, number: int) -> Iterator[sessions_pb2.RecordingPiece]:
        for offset in range(0, len(self.data), PIECE):
            yield sessions_pb2.RecordingPiece(
                session_id=session_id,
                chunk=number,
                end_ns=self.end_ns,
                encoding=self.encoding,
                size=len(self.data),
                decoded_size=self.decoded_size,
                sha256=self.sha256,
                offset=offset,
                data=self.data[offset : offset + PIECE],
            )


@dataclass
class Told:
    """One session as the server knows it."""

    details: sessions_pb2.SessionDetails
    chunks: list[StoredChunk] = field(default_factory=list)
    version: int = 0
    watched: int = 0


class FakeSessions(FakeState, SessionServiceServicer):
    """`keep` and `record` are what a test puts into it; those who watch hear of it."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.told: dict[str, Told] = {}
        self.verdicts: list[sessions_pb2.RecordingVerdict] = []

    def keep(self, one: sessions_pb2.Session, **details: Any) -> None:
        """Add or change a session."""
        with self.changed:
            known = self.told.setdefault(one.session_id, Told(sessions_pb2.SessionDetails()))
            known.details.MergeFrom(sessions_pb2.SessionDetails(**details))
            known.details.session.CopyFrom(one)
            known.version += 1
            self.changed.notify_all()

    def record(self, session_id: str, *messages: sudo.ClientMessage, end: float = 0.0, compress: bool = True) -> float:
        """Add one chunk; return when that was, by `time.monotonic`."""
        with self.changed:
            chunk = StoredChunk.of(framed(messages), round(end * 1_000_000_000), compress=compress)
            self.told[session_id].chunks.append(chunk)
            self.changed.notify_all()
            return time.monotonic()

    def _session(self, ref: str, context: Context) -> Told:
        return self.told[self.find(ref, list(self.told), "ses", context)]

    def ListSessions(
        self, message: sessions_pb2.ListSessionsRequest, context: Context
    ) -> sessions_pb2.ListSessionsResponse:
        self.note(message, context)
        found = [one.details.session for one in reversed(self.told.values())]
        limit = message.limit or 100
        return sessions_pb2.ListSessionsResponse(sessions=found[:limit], truncated=len(found) > limit)

    def GetSession(self, message: sessions_pb2.SessionRef, context: Context) -> sessions_pb2.SessionDetails:
        self.note(message, context)
        return self._session(message.session_id, context).details

    def ControlSession(self, message: sessions_pb2.ControlSessionRequest, context: Context) -> sessions_pb2.Session:
        self.note(message, context)
        known = self._session(message.session_id, context)
        one = known.details.session
        if one.state in OVER:
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, f"{one.session_id} is over", "conflict")
        changed = sessions_pb2.Session()
        changed.CopyFrom(one)
        match message.act:
            case "freeze":
                changed.state, changed.order = FROZEN, f"frozen by alice: {message.reason}"
            case "thaw":
                changed.state, changed.order = RUNNING, ""
            case "kill":
                changed.state, changed.order = ENDED, f"killed by alice: {message.reason}"
                changed.signal = "KILL"
        self.keep(changed)
        return changed

    def ReadRecording(
        self, message: sessions_pb2.ReadRecordingRequest, context: Context
    ) -> Iterator[sessions_pb2.RecordingPiece]:
        self.note(message, context)
        context.add_callback(self.wake)
        known = self._session(message.session_id, context)
        session_id = known.details.session.session_id
        number, version = message.first_chunk, -1
        known.watched += message.watch
        try:
            while fresh := self.wait(partial(self._news, known, number, version), context):
                version = fresh[0]
                yield sessions_pb2.RecordingPiece(session_id=session_id, session=known.details.session)
                for chunk in known.chunks[number:]:
                    yield from chunk.pieces(session_id, number)
                    number += 1
                if not message.watch or known.details.session.state in OVER:
                    return
        finally:
            known.watched -= message.watch

    def _news(self, known: Told, number: int, version: int) -> list[int]:
        return [known.version] if version != known.version or number < len(known.chunks) else []

    def VerifyRecordings(
        self, message: sessions_pb2.VerifyRecordingsRequest, context: Context
    ) -> Iterator[sessions_pb2.RecordingVerdict]:
        self.note(message, context)
        yield from (one for one in self.verdicts if message.session_id in {"", one.session_id})
