"""The enforcer's answers as values (SPEC 3); what does not fit is `Malformed`."""

from __future__ import annotations

import json
from typing import Any

from jit_agent.errors import EnforcerRefused, Malformed
from jit_agent.model import END_REASONS, Admission, Command, HostStatus, Leftover, LiveGrant, Person, Proof, is_id
from jit_agent.report_model import Applied
from jit_agent.text import safe

MAX_PACKET = 65_536
MAX_LEFTOVERS = 20
MAX_COMMAND = 1_000
RECORDS = frozenset({"none", "events", "output", "input"})


def encode(request: dict[str, Any]) -> bytes:
    """One packet; raises `Malformed` when it would be too long."""
    packet = json.dumps(request, separators=(",", ":")).encode()
    if len(packet) > MAX_PACKET:
        raise Malformed(f"a request to the enforcer has {len(packet)} bytes, limit {MAX_PACKET}")
    return packet


def parse_answer(packet: bytes) -> dict[str, Any]:
    """The object of a good answer; raises `EnforcerRefused` for a refusal, `Malformed` for anything else."""
    answer = _object(packet)
    match answer:
        case {"ok": True}:
            return answer
        case {"ok": False, "error": str(code), "message": str(message), **told}:
            raise EnforcerRefused(code, message, told)
        case _:
            raise Malformed("the enforcer's answer is neither yes nor no")


def parse_event(packet: bytes) -> Proof:
    event = _object(packet)
    if event.get("event") != "ended":
        raise Malformed("the enforcer tells an event we do not know")
    return parse_proof(event.get("proof"))


def parse_applied(answer: dict[str, Any]) -> Applied:
    return Applied(revision=_integer(answer, "revision"), scope=_text(answer, "scope"))


def parse_ended(answer: dict[str, Any]) -> Proof | None:
    proof = answer.get("proof")
    return None if proof is None else parse_proof(proof)


def parse_synced(answer: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_grant_id(item) for item in _list(answer, "ended"))


def parse_admission(answer: dict[str, Any]) -> Admission:
    grant = answer.get("grant")
    person = Person(uid=_integer(answer, "uid"), name=_text(answer, "user"))
    argv, record = _list(answer, "argv"), _text(answer, "record")
    if not all(isinstance(word, str) for word in argv) or record not in RECORDS:
        raise Malformed("the enforcer's admission is not what was agreed")
    return Admission(
        grant_id=None if grant is None else _grant_id(grant),
        person=person,
        pid=_integer(answer, "pid"),
        argv=tuple(map(_whole, argv)),
        record=record,
        required=_boolean(answer, "required"),
        subcommands=_boolean(answer, "subcommands"),
        watch_s=_integer(answer, "watch_s"),
    )


def parse_known(answer: dict[str, Any]) -> bool:
    """Whether the enforcer knows the session it was asked to do something with."""
    return _boolean(answer, "known")


def parse_refused(refusal: EnforcerRefused) -> tuple[Person, tuple[str, ...]] | None:
    """Who was not admitted, and the command line; None if the enforcer could not tell who it was."""
    match refusal.told:
        case {"uid": int(uid), "user": str(user), "argv": [*argv]} if all(isinstance(word, str) for word in argv):
            # A name or an argument that is no UTF-8 comes with lone surrogates, which no report can carry.
            return Person(uid=uid, name=_whole(user)), tuple(map(_whole, argv))
        case _:
            return None


def _whole(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def parse_status(answer: dict[str, Any]) -> HostStatus:
    host = answer.get("host")
    problems = _list(answer, "problems")
    if not (host is None or isinstance(host, str)) or not all(isinstance(p, str) for p in problems):
        raise Malformed("the enforcer's status is not what was agreed")
    return HostStatus(
        boot_id=_text(answer, "boot"),
        host_id=host,
        sudo_version=_text(answer, "sudo"),
        problems=tuple(problems),
        live=tuple(_live(item) for item in _list(answer, "live")),
    )


def parse_proof(value: object) -> Proof:
    if not isinstance(value, dict):
        raise Malformed("the enforcer's proof is not an object")
    reason = _text(value, "reason")
    if reason not in END_REASONS:
        raise Malformed("the enforcer's proof has a reason we do not know")
    return Proof(
        grant_id=_grant_id(value.get("grant")),
        revision=_integer(value, "revision"),
        reason=reason,
        ended_at=_integer(value, "ended_at"),
        late_us=_integer(value, "late_us"),
        killed=_integer(value, "killed"),
        scope_empty=_boolean(value, "scope_empty"),
        rule_removed=_boolean(value, "rule_removed"),
        leftovers=tuple(_leftover(item) for item in _list(value, "leftovers")[:MAX_LEFTOVERS]),
    )


def _leftover(value: object) -> Leftover:
    if not isinstance(value, dict):
        raise Malformed("a leftover in the enforcer's proof is not an object")
    command = safe(_text(value, "command"), MAX_COMMAND)
    return Leftover(_integer(value, "pid"), command, _boolean(value, "killed"))


def _live(value: object) -> LiveGrant:
    if not isinstance(value, dict):
        raise Malformed("a live grant of the enforcer is not an object")
    commands = value.get("commands")
    return LiveGrant(
        grant_id=_grant_id(value.get("grant")),
        revision=_integer(value, "revision"),
        uid=_integer(value, "uid"),
        user=_text(value, "user"),
        role=_text(value, "role"),
        run_as_user=_text(value, "run_as_user"),
        run_as_group=_text(value, "run_as_group"),
        commands=None if commands == "ALL" else tuple(_command(item) for item in _list(value, "commands")),
        shell=_boolean(value, "shell"),
        not_after=_integer(value, "not_after"),
        until=_integer(value, "until"),
        once=_boolean(value, "once"),
        used=_boolean(value, "used"),
        session=_integer(value, "session"),
        scope=_text(value, "scope"),
        processes=_integer(value, "processes"),
    )


def _command(value: object) -> Command:
    match value:
        case {"path": str(path), "args": None, "sha256": str(digest)}:
            return Command(path, None, digest)
        case {"path": str(path), "args": {"regex": str(expression)}, "sha256": str(digest)}:
            return Command(path, expression, digest)
        case {"path": str(path), "args": [*args], "sha256": str(digest)} if all(isinstance(arg, str) for arg in args):
            return Command(path, tuple(args), digest)
        case _:
            raise Malformed("a command of a live grant is not what was agreed")


def _object(packet: bytes) -> dict[str, Any]:
    try:
        value = json.loads(packet)
    except (ValueError, RecursionError) as e:
        raise Malformed("the enforcer's answer is not JSON") from e
    if not isinstance(value, dict):
        raise Malformed("the enforcer's answer is not an object")
    return value


def _grant_id(value: object) -> str:
    if not isinstance(value, str) or not is_id(value, "gnt"):
        raise Malformed("the enforcer names a grant by something that is no id")
    return value


def _integer(table: dict[str, Any], key: str) -> int:
    value = table.get(key)
    if type(value) is not int:
        raise Malformed(f"{key} in the enforcer's answer is not a number")
    return value


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str):
        raise Malformed(f"{key} in the enforcer's answer is not a text")
    return value


def _boolean(table: dict[str, Any], key: str) -> bool:
    value = table.get(key)
    if type(value) is not bool:
        raise Malformed(f"{key} in the enforcer's answer is not true or false")
    return value


def _list(table: dict[str, Any], key: str) -> list[Any]:
    value = table.get(key)
    if not isinstance(value, list):
        raise Malformed(f"{key} in the enforcer's answer is not a list")
    return value
