"""The closed list of what may be asked of root (SPEC 3.2).  Anything that is not on it, exactly, is malformed."""

import base64
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Final

from jit_enforcer import admission, applying, ending, sessions, strictjson, verify
from jit_enforcer.errors import Denied, Malformed, Unsafe
from jit_enforcer.grant import GRANT_ID, SESSION_ID
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry

Answer = dict[str, Any]
_SHOWN: Final = (
    *("grant", "revision", "uid", "user", "role"),
    *("run_as_user", "run_as_group", "commands", "shell", "not_after", "until", "once", "session"),
)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{1,65000}={0,2}")


def parse(untrusted_packet: bytes) -> Callable[[Host], Answer] | None:
    """What the packet asks for, still to be done; None is `watch`.  Raises `Malformed`."""
    match strictjson.parse_object(untrusted_packet):
        case {"op": "apply", "grant": str(text), **rest} if not rest and _BASE64.fullmatch(text):
            try:
                envelope = base64.b64decode(text, validate=True)
            except ValueError as e:
                raise Malformed("grant that is not base64") from e
            return lambda host: _apply(host, envelope)
        case {"op": "end", "grant": str(grant), "reason": "revoked" | "dropped" as reason, **rest} if (
            not rest and GRANT_ID.fullmatch(grant)
        ):
            return lambda host: _end(host, grant, reason)
        case {"op": "sync", "live": [*grants], **rest} if not rest and all(
            isinstance(grant, str) and GRANT_ID.fullmatch(grant) for grant in grants
        ):
            return lambda host: _sync(host, set(grants))
        case {"op": "admit", "client": [*client], "server": [*server], "session": str(session), **rest} if (
            not rest and SESSION_ID.fullmatch(session)
        ):
            ends = _loopback(client), _loopback(server)
            return lambda host: {"ok": True, **asdict(admission.admit(host, *ends, session))}
        case {"op": str(op), "session": str(session), "message": str(message), **rest} if (
            not rest and op in sessions.ORDERS and SESSION_ID.fullmatch(session)
        ):
            if len(message) > sessions.LONGEST_MESSAGE:
                raise Malformed(f"message of {len(message)} characters, limit {sessions.LONGEST_MESSAGE}")
            return lambda host: {"ok": True, **sessions.ORDERS[op](host, session, message)}
        case {"op": "status", **rest} if not rest:
            return _status
        case {"op": "watch", **rest} if not rest:
            return None
        case {"op": "reported", "grant": str(grant), **rest} if not rest and GRANT_ID.fullmatch(grant):
            return lambda host: _reported(host, grant)
    raise Malformed("unknown request")


def _loopback(untrusted: list[object]) -> tuple[str, int]:
    match untrusted:
        case ["127.0.0.1", int(port)] if type(port) is int and 1 <= port <= 65535:
            return "127.0.0.1", port
    raise Malformed("an address that is not one of this host's own")


def _apply(host: Host, envelope: bytes) -> Answer:
    entry = applying.apply(host, envelope)
    return {"ok": True, "grant": entry.grant.grant, "revision": entry.grant.revision, "scope": entry.scope.name}


def _end(host: Host, grant: str, reason: str) -> Answer:
    entry = host.ledger.entries.get(grant)
    if entry is None:
        return {"ok": True, "known": False, "proof": None}
    if entry.state != "ended":
        (entry,) = ending.end(host, [entry], reason)
    if entry.state != "ended":
        raise Unsafe(f"{grant} is not wholly gone yet; its end is tried again")
    return {"ok": True, "known": True, "proof": entry.proof}


def _sync(host: Host, listed: set[str]) -> Answer:
    unlisted = [entry for entry in host.unfinished() if entry.grant.grant not in listed]
    ended = ending.end(host, unlisted, "revoked")
    return {"ok": True, "ended": [entry.grant.grant for entry in ended]}


def _reported(host: Host, grant: str) -> Answer:
    entry = host.ledger.entries.get(grant)
    if entry and entry.state == "ended" and not entry.reported:
        host.ledger.save(replace(entry, reported=True))
    return {"ok": True}


def _status(host: Host) -> Answer:
    problems = host.probe.problems()
    if host.ledger.spoilt:
        problems.append(f"{len(host.ledger.spoilt)} files in {host.paths.ledger} cannot be read: remove them")
    try:
        enrolled = verify.load_trust(host.paths).host
    except Denied as e:
        enrolled = None
        problems.append(str(e))
    return {
        "ok": True,
        "boot": host.boot,
        "host": enrolled,
        "sudo": host.probe.sudo_version,
        "problems": problems,
        "live": [_shown(host, entry) for entry in host.live()],
    }


def _shown(host: Host, entry: Entry) -> Answer:
    grant = asdict(entry.grant)
    processes = len(host.scopes.processes(entry.scope))
    return {name: grant[name] for name in _SHOWN} | {
        "used": entry.used,
        "scope": entry.scope.name,
        "processes": processes,
    }
