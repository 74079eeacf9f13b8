"""Reports of hosts as domain values (SPEC 5.3): bounded here before anything looks at what they say (S11).

One that makes no sense becomes an `Unfit` one: a host sends it until it is kept, and what comes after it waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from jit_protos.v1 import host_pb2
from jit_server.domain import ids, report
from jit_server.domain.grant import Record
from jit_server.domain.identity import LocalUser
from jit_server.domain.recording import DIGEST_BYTES
from jit_server.errors import Invalid, LimitExceeded
from jit_server.rpc.wire import MAX_NUMBER, bounded, instant, required

MAX_TEXT = 4_096
MAX_SEQUENCE = 2**63 - 1
MAX_LEFTOVERS = 20
MAX_CHANGES = 200
MAX_WORD = 32
MAX_ENVIRONMENT = 256

T = TypeVar("T")


def parsed(message: host_pb2.Report) -> report.Report:
    """One report of a host; raises `Invalid` if it has no number, for then it cannot be kept."""
    if not 1 <= message.sequence <= MAX_SEQUENCE:
        raise Invalid("the number of a report is missing or no number of a report")
    about_grant = ids.is_id(ids.Kind.GRANT, message.grant_id)
    body: report.ReportBody
    try:
        if message.grant_id and not about_grant:
            raise Invalid("a report names something that is no grant")
        instant(message.at, "the time of a report")
        body = _body(message)
    except Invalid as error:
        body = _unfit(message, str(error))
    return report.Report(message.sequence, message.at, message.grant_id if about_grant else "", body)


def _unfit(message: host_pb2.Report, why: str) -> report.Unfit:
    encoded = message.SerializeToString(deterministic=True)
    return report.Unfit(message.WhichOneof("body") or "", why, len(encoded), hashlib.sha256(encoded).hexdigest())


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
            return report.DropAsked(person(drop.HasField("user"), drop.user))
        case "footprint":
            return _footprint(message.footprint)
        case None:
            raise Invalid("a report is empty, or of a kind this server does not know")
        case about_session:
            return _of_session(about_session, message)


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


def _of_session(kind: str, message: host_pb2.Report) -> report.SessionReport:
    match kind:
        case "session_waiting":
            waiting = message.session_waiting
            return report.SessionWaiting(
                session_id=_session_id(waiting.session_id),
                user=person(waiting.HasField("user"), waiting.user),
                argv=tuple(waiting.argv),
            )
        case "session_started":
            return _session_started(message.session_started)
        case "session_rejected":
            rejected = message.session_rejected
            return report.SessionRejected(
                session_id=_session_id(rejected.session_id),
                user=person(rejected.HasField("user"), rejected.user),
                argv=tuple(rejected.argv),
                reason=bounded(rejected.reason, "the reason of a rejection", MAX_TEXT),
            )
        case "session_ended":
            return _session_ended(message.session_ended)
        case "subcommand":
            return _subcommand(message.subcommand)
        case _:
            frozen = message.session_frozen
            why = required(frozen.why, "why a session was frozen", MAX_WORD)
            return report.SessionFrozen(_session_id(frozen.session_id), frozen.frozen, why)


def _session_started(message: host_pb2.SessionStarted) -> report.SessionStarted:
    record = _record(message.record)
    # SPEC 8.1: of a session that is not recorded nobody learns more than that it was.
    told = record is not Record.NONE
    command = bounded(message.command, "the command", MAX_TEXT)
    cwd = bounded(message.cwd, "the working directory", MAX_TEXT)
    environment = _at_most(MAX_ENVIRONMENT, message.environment, "variables of an environment")
    return report.SessionStarted(
        session_id=_session_id(message.session_id),
        user=person(message.HasField("user"), message.user),
        run_as_user=bounded(message.run_as_user, "the run-as user"),
        argv=tuple(message.argv) if told else (),
        command=command if told else "",
        cwd=cwd if told else "",
        tty=bounded(message.tty, "the terminal", MAX_TEXT),
        standing=message.standing,
        record=record,
        environment=tuple(environment) if told else (),
        rows=message.rows,
        columns=message.columns,
    )


def _record(untrusted_word: str) -> Record:
    try:
        return Record(untrusted_word)
    except ValueError:
        raise Invalid("a report does not say what is kept of a session") from None


def _session_ended(message: host_pb2.SessionEnded) -> report.SessionEnded:
    if not 0 <= message.run_time_us <= MAX_NUMBER:
        raise Invalid("a session ran for no time that can be")
    if max(message.output_bytes, message.input_bytes) > MAX_NUMBER:
        raise Invalid("a session wrote or read more bytes than there are")
    if len(message.digest) != (DIGEST_BYTES if message.chunks else 0):
        raise Invalid("a report gives no digest of a recording, or one of none")
    return report.SessionEnded(
        session_id=_session_id(message.session_id),
        exit_value=message.exit_value,
        signal=bounded(message.signal, "the signal"),
        run_time_us=message.run_time_us,
        lost=message.lost,
        chunks=message.chunks,
        digest=message.digest.hex(),
        output_bytes=message.output_bytes,
        input_bytes=message.input_bytes,
        incomplete=bounded(message.incomplete, "why a recording is not whole", MAX_TEXT),
    )


def _subcommand(message: host_pb2.Subcommand) -> report.Subcommand:
    return report.Subcommand(
        session_id=_session_id(message.session_id),
        argv=tuple(message.argv),
        command=bounded(message.command, "the command", MAX_TEXT),
        cwd=bounded(message.cwd, "the working directory", MAX_TEXT),
        run_as_user=bounded(message.run_as_user, "the run-as user"),
        rejected=bounded(message.rejected, "the reason of a rejection", MAX_TEXT),
    )


def _session_id(untrusted_id: str) -> str:
    if not ids.is_id(ids.Kind.SESSION, untrusted_id):
        raise Invalid("a report names something that is no session")
    return untrusted_id


def person(present: bool, message: host_pb2.LocalUser) -> LocalUser:
    """A person as their host knows them; raises `Invalid` when nobody is named."""
    if not present:
        raise Invalid("the person is missing")
    return LocalUser(message.uid, bounded(message.name, "the account name"))
