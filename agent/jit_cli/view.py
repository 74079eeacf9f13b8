"""How grants, requests and roles look to a person: blocks after `systemctl status`, and plain tables."""

from __future__ import annotations

import shlex

from jit_cli import duration
from jit_cli.answers import Live, Request, Status
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
    who = run_as(live.run_as_user, live.run_as_group)
    out(Painted("●", "green"), " ", Painted(live.role, "bold"), f" on {status.host} as {who}")
    if request is not None and request.grant is not None:
        _row("Since", duration.since(request.grant.not_before))
    _row("Ends", duration.until(live.not_after))
    if request is not None:
        if request.approved_by:
            _row("Approved", f"by {all_of(request.approved_by)}")
        if request.reason:
            _row("Reason", f"{request.reason}{f' ({request.ticket})' if request.ticket else ''}")
    _row("Allows", "everything" if live.commands == ("ALL",) else "; ".join(live.commands))
    if live.processes:
        _row("Running", plural(live.processes, "process"))
    _row("Give back", f"jit drop {live.grant}")


def request_block(request: Request) -> None:
    """One request: what was asked, and where it stands."""
    dot, colour = _DOTS.get(request.state, ("○", "dim"))
    who = run_as(request.ask["run_as_user"], request.ask["run_as_group"])
    out(Painted(dot, colour), " ", Painted(request.role, "bold"), f" on {request.host} as {who}: {standing(request)}")
    _row("Request", request.request_id)
    _row("Asked", f"{duration.since(request.created_at)}, for {duration.words(request.duration_s)}")
    if request.reason:
        _row("Reason", f"{request.reason}{f' ({request.ticket})' if request.ticket else ''}")
    if request.ask["argv"]:
        _row("Command", command_line(request))
    for decision in request.decisions:
        verdict = "yes" if decision.approved else "no"
        why = f': "{decision.reason}"' if decision.reason else ""
        _row("Decided", f"{decision.by} said {verdict}{why}, {duration.since(decision.at)}")
    if request.state == "pending":
        need = plural(request.approvals_needed, "approval")
        _row("Needs", f"{need} by {any_of(request.approvers)}; lapses {duration.until(request.lapses_at)}")
        _row("Wait", f"jit status -w {request.request_id}")
        _row("Take back", f"jit cancel {request.request_id}")


def standing(request: Request) -> str:
    """Where a request stands, in one word or few; what no host confirmed is not called done."""
    grant = request.grant
    if request.state != "approved" or grant is None:
        return request.state
    match grant.state:
        case "issued":
            return "approved, not yet in force"
        case "active":
            return "in force"
        case "ending":
            return "ending, not yet confirmed by the host"
        case "ended":
            return f"{grant.end_reason or 'over'}, confirmed by the host"
        case "unconfirmed":
            return "over, unconfirmed: the host has not answered"
        case "refused":
            return f"refused by the host: {grant.end_reason}"
        case other:
            return other


def table(headings: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as they need; the last one is free."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings) - 1)]
    for row in [headings, *rows]:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        line = "  ".join([*padded, row[-1]]).rstrip()
        out(Painted(line, "bold") if row is headings else line)


def _row(name: str, text: str) -> None:
    out(f"{name:>11}: ", text)
