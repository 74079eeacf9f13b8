"""`jit request`: ask for a role before it is needed."""

from __future__ import annotations

import time
from dataclasses import asdict

from jit_cli import agent_client, asking, command, duration, start_time, wait
from jit_cli.answers import Plan, Request
from jit_cli.errors import Failure, usage
from jit_cli.options import ASKING, NARROWING, OUTPUT, Option, Parsed, Verb, meant, output_format
from jit_cli.terminal import out, out_json, say

VERB = Verb(
    "request",
    usage="jit request ROLE [OPTIONS] [-- COMMAND [ARGUMENT…]]",
    summary="Ask for a role on this host, and wait until it is in force, or, with --at, until it is approved.",
    examples=[
        ('jit request db-admin -m "restore INC-7" -d 2h', "before the work starts"),
        ("jit request db-admin --no-wait", "ask, and come back later"),
        ("jit request db-admin --at 2026-11-24T22:00 -d 2h", "for the maintenance window; approvers decide now"),
        ("jit request web-operator -- systemctl restart nginx", "name the first command to the approvers"),
    ],
    options=(
        Option("u", "user", "USER", "the account to run as; root if not given"),
        Option("g", "group", "GROUP", "the primary group to run with"),
        Option("", "at", "TIME", "start then: 14:00, 2026-11-24T09:00 (local time) or +2h; else once approved"),
        *NARROWING,
        *ASKING,
        OUTPUT,
    ),
    notes="Exit status: 0 in force, or approved for its time, 3 still pending (--no-wait), 4 code missing or wrong,\n"
    "5 denied, 6 no such role, 130 after Ctrl-C (the request stays).",
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
    plan = _only(Plan.read(agent_client.ask("ls")), role)
    if starts_at:
        say(f"it shall start at {duration.in_full(starts_at)}, in {duration.words(duration.left(starts_at))}")
    request = asking.send(plan, command.ask(argv, user, group), parsed, starts_at=starts_at)
    come_back = f"jit status -w {request.request_id}"
    unattended = parsed.given("no-wait") or parsed.given("non-interactive")
    if unattended and request.state == "pending":
        _show(request, wanted_format, in_force=False)
        say(f"waits for an approval; come back with: {come_back}")
        return Failure("pending", "").status
    request = wait.until_in_force(request, come_back, patient=not unattended, scheduled_will_do=True)
    _show(request, wanted_format, in_force=not request.scheduled)
    return 0


def _show(request: Request, wanted_format: str, *, in_force: bool) -> None:
    if wanted_format == "json":
        out_json({"request": asdict(request), "in_force": in_force})
    else:
        out(request.request_id)


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
