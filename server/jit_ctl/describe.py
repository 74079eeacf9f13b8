"""Requests and grants in words, so that whoever decides knows what they decide.

Nothing is abbreviated: a command line is shown whole and quoted, and an end
that no host has proved is never called done (DESIGN 3).
"""

from __future__ import annotations

from collections.abc import Callable

from . import times
from .model import Ask, Decision, Grant, GrantState, Request, RequestState
from .output import facts
from .safe import shell_line

When = Callable[..., str]

_STYLES = {
    "pending": "yellow",
    "issued": "yellow",
    "ending": "yellow",
    "active": "green",
    "approved": "green",
    "denied": "red",
    "refused": "red",
    "unconfirmed": "red",
}


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


def votes(request: Request) -> str:
    given = sum(decision.approved for decision in request.decisions)
    return f"{given} of {request.approvals_needed}"


def grant_status(grant: Grant) -> str:
    """The state of a grant as one may rely on it: without the host's proof it says so."""
    reason = grant.end_reason or "ended"
    match grant.state:
        case GrantState.ISSUED:
            return "issued, not confirmed by the host"
        case GrantState.ACTIVE:
            return "active"
        case GrantState.ENDING:
            return "ending, not confirmed by the host"
        case GrantState.UNCONFIRMED:
            return "time is up, NOT confirmed by the host"
        case GrantState.ENDED if grant.end_confirmed:
            return f"{reason}, confirmed by the host"
        case GrantState.ENDED:
            return f"{reason}, NOT confirmed by the host"
        case GrantState.REFUSED:
            return f"refused by the host: {grant.end_reason or 'no reason given'}"


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
            ("Run as", run_as(request.ask.run_as_user, request.ask.run_as_group)),
            ("Command", command(request.ask)),
            ("Role", request.role),
            ("Lets through", _lets_through(request)),
            ("Reason", request.reason or "(none)"),
            ("Ticket", request.ticket),
            ("Duration", times.duration(request.duration_s)),
            ("Second factor", "proved" if request.mfa_passed else "not asked for"),
            ("Since", when(request.created_at)),
            ("Lapses", when(request.lapses_at) if pending and request.lapses_at else ""),
            ("May decide", ", ".join(request.approvers) or "nobody"),
            ("Approvals", votes(request)),
            ("Decisions", [_decision(decision, when) for decision in request.decisions]),
            ("Grant", f"{grant.grant_id}: {grant_status(grant)}" if grant else ""),
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
            ("State", grant_status(grant)),
            ("Who", grant.user),
            ("Host", grant.host),
            ("Run as", run_as(grant.run_as_user, grant.run_as_group)),
            ("Role", grant.role),
            ("Lets through", list(grant.commands)),
            ("Reason", grant.reason),
            ("Approved by", ", ".join(grant.approved_by) or "nobody (the role needs no approval)"),
            ("From", when(grant.not_before)),
            ("Until", when(grant.not_after)),
            ("Ended", when(grant.ended_at) if grant.ended_at else ""),
            ("Request", grant.request_id),
        )
    )
