"""Requests and grants in words, so that whoever decides knows what they decide.

Nothing is abbreviated: a command line is shown whole and quoted, and an end
that no host has proved is never called done (DESIGN 3).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from . import times
from .model import Ask, BatchHost, Decision, Grant, GrantState, Request, RequestState
from .output import facts
from .safe import shell_line

When = Callable[[datetime | None], str]

_STYLES = {
    "pending": "yellow",
    "scheduled": "cyan",
    "issued": "yellow",
    "ending": "yellow",
    "active": "green",
    "approved": "green",
    "denied": "red",
    "refused": "red",
    "unconfirmed": "bold red",
}

_ENDS = {"lease": "lease ran out", "used": "used up", "stopped": "stopped by the host"}
"""Ends whose word alone would say nothing to a stranger."""


def style(state: RequestState | GrantState) -> str:
    return _STYLES.get(state, "")


def command(ask: Ask) -> str:
    """What sudo would run: the command line, or which kind of shell."""
    flag = "sudo -i" if ask.login else "sudo -s" if ask.shell else ""
    if ask.argv:
        line = shell_line(ask.argv)
        return f"{flag} -- {line}" if flag else line
    if flag:
        return f"{'a login shell' if ask.login else 'a shell'} ({flag})"
    return "(no command named)"


def run_as(user: str, group: str) -> str:
    return f"{user}:{group}" if group else user


def only(*, once: bool, this_session: bool) -> str:
    """What narrows a grant beyond its commands; empty when nothing does."""
    words = ("one sudo", once), ("the login session it is asked from", this_session)
    return " in ".join(word for word, on in words if on)


def extension(request: Request, when: When) -> str:
    """What an extension asks for, and whether it goes past what the role gives by itself; empty for a new grant."""
    if not request.extends:
        return ""
    until = f", until {when(request.extends_to)}" if request.extends_to else ""
    past = f"; past the role's maximum of {times.duration(request.past_max_s)}" if request.past_max_s else ""
    return f"{times.duration(request.duration_s)} more for {request.extends}{until}{past}"


def what(request: Request) -> str:
    """The command, and before it that it is for a grant that lasts longer."""
    line = command(request.ask)
    return f"{times.duration(request.duration_s)} more for {request.extends}: {line}" if request.extends else line


def where(request: Request) -> str:
    """The host, and how many others were asked for with it."""
    others = sum(bool(one.request_id) and one.request_id != request.request_id for one in request.batch)
    return f"{request.host} +{others}" if others else request.host


def batch(request: Request) -> list[str]:
    """A line for each host of a request for several, also for those that were left out; empty when it stands alone."""
    return [f"{one.host}: {_batch_host(one)}" for one in request.batch]


def _batch_host(one: BatchHost) -> str:
    if not one.request_id:
        return f"left out: {one.why}"
    states = [state.value for state in (one.state, one.grant_state) if state is not None]
    why = f": {one.why}" if one.why else ""
    return f"{', grant '.join(states)} ({one.request_id}){why}"


def terms(grant: Grant) -> str:
    """In a few words how a grant is otherwise than others; empty for most."""
    words = (
        ("once", grant.once),
        ("this session", grant.this_session),
        (f"lease {times.duration(grant.lease_s)}", grant.lease_s),
        (f"extended {_times(grant.extensions)}", grant.extensions),
        (f"{len(grant.leftovers)} left over", grant.leftovers),
    )
    return ", ".join(word for word, on in words if on)


def _times(count: int) -> str:
    return "" if not count else "once" if count == 1 else f"{count} times"


def votes(request: Request) -> str:
    given = sum(decision.approved for decision in request.decisions)
    return f"{given} of {request.approvals_needed}"


def grant_status(grant: Grant, when: When) -> str:
    """The state of a grant as one may rely on it: without the host's proof it says so."""
    reason = _ENDS.get(grant.end_reason, grant.end_reason)
    match grant.state:
        case GrantState.SCHEDULED:
            return f"scheduled, starts {when(grant.not_before)}"
        case GrantState.ISSUED:
            return "issued, not confirmed by the host"
        case GrantState.ACTIVE:
            return "active"
        case GrantState.ENDING:
            return "ending, not confirmed by the host"
        case GrantState.UNCONFIRMED:
            since = f" since {when(grant.unconfirmed_at)}" if grant.unconfirmed_at else ""
            return f"{reason or 'time is up'}, NOT CONFIRMED by {grant.host}{since}"
        case GrantState.ENDED if grant.end_confirmed and grant.ended_at and grant.ended_at < grant.not_before:
            return f"{reason or 'ended'} before it started"
        case GrantState.ENDED if grant.end_confirmed:
            return f"{reason or 'ended'}, confirmed by the host"
        case GrantState.ENDED:
            return f"{reason or 'ended'}, NOT confirmed by the host"
        case GrantState.REFUSED:
            return f"refused: {grant.end_reason or 'no reason given'}"


def _decision(decision: Decision, when: When) -> str:
    word = "approved" if decision.approved else "denied"
    because = f": {decision.reason}" if decision.reason else ""
    return f"{word} by {decision.by}, {when(decision.at)}{because}"


def request_facts(request: Request, when: When) -> list[str]:
    """Every line that matters to somebody who decides."""
    pending = request.state is RequestState.PENDING
    grant = request.grant
    return list(
        facts(
            ("Request", request.request_id),
            ("State", request.state.value),
            ("Who", request.user),
            ("Host", request.host),
            ("Hosts, as one", batch(request)),
            ("Run as", run_as(request.ask.run_as_user, request.ask.run_as_group)),
            ("Asks for", extension(request, when)),
            ("Command", command(request.ask)),
            ("Role", request.role),
            ("Lets through", _lets_through(request)),
            ("Only", only(once=request.once, this_session=request.this_session)),
            ("Reason", request.reason or "(none)"),
            ("Ticket", request.ticket),
            ("Starts", when(request.starts_at) if request.starts_at else ""),
            ("Duration", times.duration(request.duration_s)),
            ("Second factor", "proved" if request.mfa_passed else "not asked for"),
            ("Since", when(request.created_at)),
            ("Lapses", when(request.lapses_at) if pending and request.lapses_at else ""),
            ("May decide", ", ".join(request.approvers) or "nobody"),
            ("Approvals", votes(request)),
            ("Decisions", [_decision(decision, when) for decision in request.decisions]),
            ("Grant", f"{grant.grant_id}: {grant_status(grant, when)}" if grant else ""),
            ("Ends", when(grant.not_after) if grant else ""),
        )
    )


def _lets_through(request: Request) -> list[str]:
    if request.ask.exact:
        return ["this one command only"]
    return list(request.role_commands) or ["(the server did not say)"]


def grant_facts(grant: Grant, when: When) -> list[str]:
    return list(
        facts(
            ("Grant", grant.grant_id),
            ("State", grant_status(grant, when)),
            ("Who", grant.user),
            ("Host", grant.host),
            ("Run as", run_as(grant.run_as_user, grant.run_as_group)),
            ("Role", grant.role),
            ("Lets through", list(grant.commands)),
            ("Only", only(once=grant.once, this_session=grant.this_session)),
            ("Reason", grant.reason),
            ("Approved by", ", ".join(grant.approved_by) or "nobody (the role needs no approval)"),
            ("From", when(grant.not_before)),
            ("Until", when(grant.not_after)),
            ("Extended", _times(grant.extensions)),
            (
                "Offline",
                f"ends {times.duration(grant.lease_s)} after the server was last heard" if grant.lease_s else "",
            ),
            ("Ended", when(grant.ended_at) if grant.ended_at else ""),
            ("Left over", list(grant.leftovers)),
            ("Request", grant.request_id),
        )
    )
