"""One audit event in a few words, for the eyes of a person; the JSON forms keep every detail."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from jit_ctl import times
from jit_ctl.model import Event
from jit_ctl.safe import shell_line

Details = Mapping[str, Any]


def told(event: Event) -> str:
    """What happened, without what the other columns say; every detail of a kind that has no words of its own."""
    words = _WORDS.get(event.kind)
    if words is None:
        return details(event)
    try:
        return words(event.details)
    except (KeyError, TypeError, ValueError):  # of a server that says more or less than this jitctl knows
        return details(event)


def details(event: Event) -> str:
    """ "key=value" pairs; a command line is quoted as a shell would have it."""
    return " ".join(f"{key}={_value(value)}" for key, value in event.details.items() if value not in ("", None))


def _value(value: Any) -> str:
    if isinstance(value, str):
        return shell_line([value])
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return f"[{shell_line(value)}]"
    return json.dumps(value)


def _asked(said: Details) -> str:
    duration = times.duration(said["duration_s"])
    if said.get("extends"):
        what = f"{duration} more for {said['extends']}"
    else:
        what = f"{said['command'] or 'the role'} as {said['run_as']} for {duration}"
    if said.get("starts_at"):
        what += f" from {_moment(said['starts_at'])}"
    return f"{what}: {said['reason']}" if said["reason"] else what


def _reason(said: Details) -> str:
    return str(said["reason"])


def _until(said: Details) -> str:
    return f"as {said['run_as']} until {_moment(said['not_after'])}"


def _moment(us: int) -> str:
    return f"{times.from_us(us):%Y-%m-%dT%H:%M:%SZ}"


def _ran(said: Details) -> str:
    standing = ", by a rule of the host's own" if said["standing"] else ""
    return f"{said['command_line']} as {said['run_as']}{standing}"


def _exited(said: Details) -> str:
    took = f"after {said['run_time_us'] / 1_000_000:.2f} s"
    if said.get("why"):
        return f"lost: {said['why']}"
    if said["lost"]:
        return f"cut off {took}"
    return f"killed by {said['signal']} {took}" if said.get("signal") else f"exit {said['exit_value']} {took}"


def _ended(said: Details) -> str:
    if "proof" in said:
        return f"{said['reason']}, {said['proof']}"
    proof = "proved: no rule, no process" if said["rule_removed"] and said["scope_empty"] else "NOT proved"
    killed = f", {said['killed']} killed" if said["killed"] else ""
    left = said.get("leftovers")
    over = f"; left over: {', '.join(left)}" if left else ""
    late = f"{said['late_us'] / 1000:.0f} ms late"
    waited_s = said.get("after_due_us", 0) // 1_000_000
    if waited_s:
        late += f" for the host, {times.duration(waited_s)} after it was due"
    return f"{said['reason']}, {proof}{killed}, {late}{over}"


def _scheduled(said: Details) -> str:
    return f"{_until(said)}, from {_moment(said['not_before'])}"


def _extended(said: Details) -> str:
    return f"{times.duration(said['duration_s'])} more, until {_moment(said['new_end'])}"


def _footprint(said: Details) -> str:
    if not said["changes"]:
        return "could not be compared in full with what was before"
    more = " and more" if said["truncated"] else ""
    return f"not as it was before: {', '.join(said['changes'])}{more}"


def _locked(said: Details) -> str:
    until = f"until {_moment(said['expires_at'])}" if said["expires_at"] else "until it is lifted"
    ended = f"{said['grants_ended']} grants revoked, {said['requests_cancelled']} requests cancelled"
    return f"{said['lock']} {until}: {said['reason']}; {ended}"


def _unlocked(said: Details) -> str:
    return f"{said['lock']}: {said['reason']}"


def _ordered(said: Details) -> str:
    if not said["done"]:
        how = f"ordered: {said['reason']}"
    elif said["why"] == "order":
        how = "done by the host"
    else:
        how = f"by the host: {said['why']}"
    return f"{said['session']}: {how}"


def _rejected(said: Details) -> str:
    return f"{said['command_line']}: {said['reason']}"


def _applied(said: Details) -> str:
    back = f", that of version {said['rolled_back_to']} again" if said["rolled_back_to"] else ""
    approved = f", approved by {', '.join(said['approved_by'])}" if said["approved_by"] else ""
    ended = f"{said['grants_ended']} grants revoked, {said['requests_cancelled']} requests cancelled"
    return f"version {said['version']}{back}{approved}; {ended}{_because(said)}"


def _proposed(said: Details) -> str:
    back = f" to go back to version {said['rolled_back_to']}" if said["rolled_back_to"] else ""
    return f"{said['change']}, a change of version {said['base_version']}{back}{_because(said)}; {said['why']}"


def _voted(said: Details) -> str:
    return f"{said['change']}{', withdrawn' if said.get('withdrawn') else ''}{_because(said)}"


def _because(said: Details) -> str:
    return f": {said['reason']}" if said["reason"] else ""


def _eligibility_ending(said: Details) -> str:
    days = "1 day" if said["days_left"] == 1 else f"{said['days_left']} days"
    return f"{said['kind']} until {_moment(said['until'])}, {days} left"


def _eligibility_ended(said: Details) -> str:
    """Before its time only with the line of the policy that it hung on; then it says why."""
    if said.get("why"):
        return f"was to be {said['kind']} until {_moment(said['until'])}: {said['why']}"
    return f"was {said['kind']} until {_moment(said['until'])}"


def _renewal_asked(said: Details) -> str:
    until, instead = _moment(said["until"]), _moment(said["ends_at"])
    return f"{said['renewal']}, until {until} instead of {instead}{_because(said)}"


def _renewed(said: Details) -> str:
    return f"{said['renewal']}, until {_moment(said['until'])}{_because(said)}"


def _stored(said: Details) -> str:
    """The digest is cut as one does for people; whole it is in JSON."""
    chunks = "1 chunk" if said["chunks"] == 1 else f"{said['chunks']} chunks"
    return f"{said['session']}: {said['bytes']} bytes in {chunks}, digest {str(said['digest'])[:12]}"


_WORDS: Mapping[str, Callable[[Details], str]] = {
    "policy.applied": _applied,
    "policy.proposed": _proposed,
    "policy.approved": _voted,
    "policy.rejected": _voted,
    "policy.overtaken": lambda said: f"{said['change']}, by version {said['version']}",
    "eligibility.renewal_asked": _renewal_asked,
    "eligibility.renewed": _renewed,
    "eligibility.renewal_denied": lambda said: f"{said['renewal']}{_because(said)}",
    "eligibility.renewal_lapsed": lambda said: f"{said['renewal']}: {said['why']}",
    "eligibility.ending": _eligibility_ending,
    "eligibility.ended": _eligibility_ended,
    "request.created": _asked,
    "request.refused": lambda said: str(said["why"]),
    "request.approved": _reason,
    "request.denied": _reason,
    "grant.scheduled": _scheduled,
    "grant.issued": _until,
    "grant.active": lambda said: f"in force, in {said['scope']}",
    "grant.revoked": _reason,
    "grant.extended": _extended,
    "grant.ended": _ended,
    "grant.refused": lambda said: str(said["message"]),
    "grant.unconfirmed": lambda said: f"{said['reason']}, and the host has not said so",
    "grant.footprint": _footprint,
    "lock.created": _locked,
    "lock.lifted": _unlocked,
    "session.started": _ran,
    "session.ended": _exited,
    "session.rejected": _rejected,
    "session.waiting": lambda said: f"{said['command_line']}, until somebody watches",
    "session.frozen": _ordered,
    "session.thawed": _ordered,
    "session.killed": _ordered,
    "session.watched": lambda said: str(said["session"]),
    "session.replayed": lambda said: str(said["session"]),
    "recording.stored": _stored,
    "recording.deleted": _stored,
    "recording.damaged": lambda said: f"{said['session']}: {said['why']}",
    "report.refused": lambda said: f"a report of {said['what'] or 'an unknown kind'} was not taken: {said['why']}",
}
