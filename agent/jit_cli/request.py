"""`jit request`: ask for a role before it is needed."""

from __future__ import annotations

import time
from dataclasses import asdict

from jit_cli import agent_client, asking, batch, command, duration, many_hosts, start_time, wait
from jit_cli.answers import Plan, Request
from jit_cli.errors import Failure, usage
from jit_cli.options import ASKING, NARROWING, OUTPUT, Option, Parsed, Verb, meant, output_format
from jit_cli.terminal import out, out_json, say
from jit_cli.view import how_long, table
from jit_cli.words import any_of, plural

VERB = Verb(
    "request",
    usage="jit request ROLE [OPTIONS] [-- COMMAND [ARGUMENT…]]",
    summary="Ask for a role on this host, or with --hosts on several, and wait until it is in force, or, with --at,\n"
    "until it is approved.",
    examples=[
        ('jit request db-admin -m "restore INC-7" -d 2h', "before the work starts"),
        ("jit request db-admin --no-wait", "ask, and come back later"),
        ("jit request db-admin --at 2026-11-24T22:00 -d 2h", "for the maintenance window; approvers decide now"),
        ("jit request web-operator -- systemctl restart nginx", "name the first command to the approvers"),
        ("jit request web-operator --hosts tier=web,env!=prod -d 1h", "one request, a grant on each host it selects"),
        ("jit request db-admin --dry-run", "would it be taken, and who would decide"),
    ],
    options=(
        Option("u", "user", "USER", "the account to run as; root if not given"),
        Option("g", "group", "GROUP", "the primary group to run with"),
        Option("", "at", "TIME", "start then: 14:00, 2026-11-24T09:00 (local time) or +2h; else once approved"),
        Option("", "hosts", "SELECTION", "on these hosts: key=value, key!=value (all hold), or names", repeatable=True),
        Option("", "dry-run", "", "check all of it but the code, and ask for nothing"),
        *NARROWING,
        *ASKING,
        OUTPUT,
    ),
    notes="Exit status: 0 in force (on every host), or approved for its time, 1 in force on some hosts only, 3 still\n"
    "pending (--no-wait), 4 code missing or wrong, 5 denied, 6 no such role, 130 after Ctrl-C (the request stays).",
)


def run(parsed: Parsed) -> int:
    """Ask for the role; return 0 once it is in force."""
    if len(parsed.words) != 1:
        raise usage("exactly one role is needed", f"usage: {VERB.usage}")
    role = parsed.words[0]
    wanted_format = output_format(parsed)
    user, group = command.run_as(parsed)
    words = parsed.after_dashes or []
    argv = [command.resolve(words[0]), *words[1:]] if words else []
    starts_at = start_time.parse(parsed.text("at"), time.time()) if parsed.given("at") else 0
    hosts = many_hosts.selection(parsed.text("hosts")) if parsed.given("hosts") else []
    plan = Plan.read(agent_client.ask("ls"))
    if starts_at:
        say(f"it shall start at {duration.in_full(starts_at)}, in {duration.words(duration.left(starts_at))}")
    ask = command.ask(argv, user, group)
    if hosts:
        request = many_hosts.send(plan, role, ask, hosts, parsed, starts_at=starts_at)
    else:
        request = asking.send(_only(plan, role), ask, parsed, starts_at=starts_at)
    if parsed.given("dry-run"):
        _show_dry(request, wanted_format)
        return 0
    come_back = f"jit status -w {request.request_id}"
    unattended = parsed.given("no-wait") or parsed.given("non-interactive")
    if unattended and request.state == "pending":
        _show(request, wanted_format, in_force=False)
        say(f"waits for an approval; come back with: {come_back}")
        return Failure("pending", "").status
    request = wait.until_in_force(request, come_back, patient=not unattended, scheduled_will_do=True)
    whole = all(one.in_force for one in request.batch)
    _show(request, wanted_format, in_force=not request.scheduled and whole)
    return 0 if whole or request.scheduled else 1


def _show(request: Request, wanted_format: str, *, in_force: bool) -> None:
    if wanted_format == "json":
        out_json({"request": asdict(request), "in_force": in_force})
    elif request.batch and not wanted_format:
        table(["HOST", "STATE", "REQUEST", "WHY"], batch.rows(request.batch))
    else:
        out(request.request_id)


def _show_dry(request: Request, wanted_format: str) -> None:
    """What would be asked of whom; nothing was."""
    if wanted_format == "json":
        out_json({"request": asdict(request), "in_force": False})
        return
    need = request.approvals_needed
    needs = f"{plural(need, 'approval')} by {any_of(request.approvers)}" if need else "no approval"
    out(f"It would be taken: {request.role} on {request.where} for {how_long(request)}; it needs {needs}.")
    if request.batch:
        table(["HOST", "STATE", "WHY"], [[one.host, one.dry_standing, one.why] for one in request.batch])


def _only(plan: Plan, role: str) -> Plan:
    """The plan for one role; raise `Failure` when the person has no such role here."""
    choices = tuple(choice for choice in plan.choices if choice.role == role)
    refusals = tuple(refusal for refusal in plan.refusals if refusal.role == role)
    if not choices and not refusals:
        known = [choice.role for choice in plan.choices]
        unnamed = tuple(refusal for refusal in plan.refusals if not refusal.role)
        if unnamed:
            return Plan((), unnamed, plan.mfa_enrolled)
        raise Failure("not_found", f"you have no role {role!r} on this host", meant(role, known) or "see `jit ls`")
    return Plan(choices, refusals, plan.mfa_enrolled)
