"""How grants, requests and roles look to a person: blocks after `systemctl status`, and plain tables."""

from __future__ import annotations

import shlex

from jit_cli import duration
from jit_cli.answers import Request, Status
from jit_cli.grants import Live
from jit_cli.terminal import Painted, out
from jit_cli.words import all_of, any_of, plural

# State of a request: its dot and colour.
_DOTS = {"pending": ("○", "yellow"), "approved": ("●", "green")}


def named(identifier: str, wanted: str) -> bool:
    """Whether `wanted` is an id or a start of it, with or without the kind (SPEC 1.1)."""
    wanted = wanted.lower()
    return bool(wanted) and (identifier.startswith(wanted) or identifier.partition("-")[2].startswith(wanted))


def run_as(user: str, group: str) -> str:
    return f"{user}:{group}" if group else user


def command_line(request: Request) -> str:
    """What was asked to run, as it would be typed; the untrusted words are quoted."""
    ask = request.ask
    options = ["-u", ask["run_as_user"]] if ask["run_as_user"] != "root" else []
    options += ["-g", ask["run_as_group"]] if ask["run_as_group"] else []
    if ask["login"] or ask["shell"]:
        options.append("-i" if ask["login"] else "-s")
        # The shell's own path and -c are not typed.
        return " ".join(["sudo", *map(shlex.quote, options), *ask["argv"][2:]])
    return shlex.join(["sudo", *options, *ask["argv"]]) if ask["argv"] else ""


def live_block(live: Live, status: Status) -> None:
    """One grant in force: what, since when, for how long, who agreed, and how to end it."""
    request = status.request_of(live)
    grant = None if request is None else request.grant
    who = run_as(live.run_as_user, live.run_as_group)
    out(Painted("●", "green"), " ", Painted(live.role, "bold"), f" on {status.host} as {who}")
    if grant is not None:
        row("Since", duration.since(grant.not_before))
    times = f", extended {plural(grant.extensions, 'time')}" if grant is not None and grant.extensions else ""
    row("Ends", f"{duration.until(live.until)}{times}")
    _lease(live, 0 if grant is None else grant.lease_s)
    if live.once:
        row("Once", "used; it ends with what runs" if live.used else "for one sudo; not used yet")
    if live.session:
        row("Session", f"only from login session {live.session}")
    if request is not None:
        if request.approved_by:
            row("Approved", f"by {all_of(request.approved_by)}")
        _reason(request)
    row("Allows", "everything" if live.commands == ("ALL",) else "; ".join(live.commands))
    if live.processes:
        row("Running", plural(live.processes, "process"))
    for extension in status.extensions_of(live):
        row("Extension", f"{how_long(extension)}; pending: {_need(extension)} ({extension.request_id})")
    row("Extend", f"jit extend {live.grant}")
    row("Give back", f"jit drop {live.grant}")


def _lease(live: Live, lease_s: int) -> None:
    """What ends before it was promised to unless the server is heard (SPEC 2.6)."""
    if live.not_after >= live.until and not lease_s:
        return
    after = f"{duration.words(lease_s)} after the server is last heard" if lease_s else "unless the server is heard"
    row("Lease", f"ends {after}: now {duration.until(live.not_after)}")


def request_block(request: Request) -> None:
    """One request: what was asked, and where it stands."""
    dot, colour = _DOTS.get(request.state, ("○", "dim"))
    who = run_as(request.ask["run_as_user"], request.ask["run_as_group"])
    out(Painted(dot, colour), " ", Painted(request.role, "bold"), f" on {request.host} as {who}: {standing(request)}")
    row("Request", request.request_id)
    row("Asked", f"{duration.since(request.created_at)}, for {how_long(request)}")
    if request.extends:
        row("Grant", request.extends)
    if request.starts_at:
        row("Starts", f"{duration.in_full(request.starts_at)}{_in(request.starts_at)}")
    if request.once or request.this_session:
        narrow = [text for text, so in (("one sudo", request.once), ("one login session", request.this_session)) if so]
        row("Only", f"for {all_of(narrow)}")
    _reason(request)
    if request.ask["argv"]:
        row("Command", command_line(request))
    for decision in request.decisions:
        verdict = "yes" if decision.approved else "no"
        why = f': "{decision.reason}"' if decision.reason else ""
        row("Decided", f"{decision.by} said {verdict}{why}, {duration.since(decision.at)}")
    for one in request.batch:
        row(one.host, f"{one.standing}{f': {one.why}' if one.why else ''}")
    if request.grant is not None:
        for line in request.grant.leftovers:
            row("Left behind", line)
    if request.state == "pending":
        row("Needs", f"{_need(request)}; lapses {duration.until(request.lapses_at)}")
    if request.under_way:
        row("Wait", f"jit status -w {request.request_id}")
    if request.state == "pending" or request.scheduled:
        row("Take back", f"jit cancel {request.request_id}")


def _need(request: Request) -> str:
    return f"{plural(request.approvals_needed, 'approval')} by {any_of(request.approvers)}"


def _in(at_us: int) -> str:
    return f" (in {duration.words(duration.left(at_us))})" if duration.left(at_us) else ""


def _reason(request: Request) -> None:
    if request.reason:
        row("Reason", f"{request.reason}{f' ({request.ticket})' if request.ticket else ''}")


def how_long(request: Request) -> str:
    """What is asked for: a time, or so much more than there is, and whether that passes what the role gives."""
    asked = duration.words(request.duration_s)
    if not request.extends:
        return asked
    until = f", until {duration.instant(request.extends_to)}" if request.extends_to else ""
    past = f"; past the role's maximum of {duration.words(request.past_max_s)}" if request.past_max_s else ""
    return f"{asked} more{until}{past}"


def standing(request: Request) -> str:
    """Where a request stands, in one word or few; what no host confirmed is not called done."""
    grant = request.grant
    if request.state != "approved" or grant is None:
        return request.state
    if request.extends:
        return "approved"
    match grant.state:
        case "scheduled":
            return "approved, not yet started"
        case "issued":
            return "approved, not yet in force"
        case "active":
            return "in force"
        case "ending":
            return "ending, not yet confirmed by the host"
        case "ended" if grant.ended_at < grant.not_before:
            return f"{grant.end_reason or 'over'} before it started"
        case "ended":
            return f"{grant.end_reason or 'over'}, confirmed by the host"
        case "unconfirmed":
            since = f" since {duration.instant(grant.unconfirmed_at)}" if grant.unconfirmed_at else ""
            return f"over, unconfirmed{since}: the host has not answered"
        case "refused":
            return f"refused: {grant.end_reason}"
        case other:
            return other


def table(headings: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as they need; the last one is free."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings) - 1)]
    for row in [headings, *rows]:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        line = "  ".join([*padded, row[-1]]).rstrip()
        out(Painted(line, "bold") if row is headings else line)


def row(name: str, text: str) -> None:
    """One field of a block."""
    out(f"{name:>11}: ", text)
