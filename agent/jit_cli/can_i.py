"""`jit can-i`: whether a command would go through now, or could be asked for; it asks for nothing and runs nothing."""

from __future__ import annotations

from jit_cli import agent_client, asking, duration
from jit_cli.answers import Choice, Plan
from jit_cli.command import wanted
from jit_cli.errors import EXIT_STATUS
from jit_cli.fields import Fields
from jit_cli.grants import Live
from jit_cli.options import OUTPUT, Option, Parsed, Verb, output_format
from jit_cli.terminal import Painted, out, out_json
from jit_cli.words import any_of, plural

VERB = Verb(
    "can-i",
    usage="jit can-i [OPTIONS] [--] COMMAND [ARGUMENT…]   or   jit can-i [OPTIONS] -i|-s",
    summary="Say whether a command would go through now, or may be asked for, and why not if neither.",
    examples=[
        ("jit can-i systemctl restart nginx", "as root"),
        ("jit can-i -u postgres psql && jit sudo -u postgres psql", "only if nothing has to be asked for"),
        ("jit can-i -r db-admin -i", "a root shell, by this role"),
    ],
    options=(
        Option("u", "user", "USER", "as this account instead of root (name or #uid)"),
        Option("g", "group", "GROUP", "with this primary group (name or #gid)"),
        Option("i", "login", "", "a login shell of that account"),
        Option("s", "shell", "", "your own shell as that account"),
        Option("r", "role", "ROLE", "by this role"),
        OUTPUT,
    ),
    notes="Exit status: 0 yes, under a grant in force; 3 not yet, but it may be asked for; 5 no.",
    takes_command=True,
)


def run(parsed: Parsed) -> int:
    """Return 0 if a grant in force covers it, 3 if it may be asked for, else 5."""
    wanted_format = output_format(parsed)
    ask = wanted(parsed).ask
    untrusted = agent_client.ask("plan", ask=ask, role=parsed.text("role"))
    fields = Fields(untrusted)
    live = fields.maybe("live")
    plan = Plan.read(untrusted)
    status = 0 if live is not None else EXIT_STATUS["pending" if plan.choices else "denied"]
    if wanted_format == "json":
        out_json({key: untrusted[key] for key in ("live", "choices", "refusals", "mfa_enrolled")})
    elif wanted_format == "name":
        for role in (Live.read(live).role,) if live is not None else [choice.role for choice in plan.choices]:
            out(role)
    elif live is not None:
        grant = Live.read(live)
        out(Painted("✔", "green"), f" yes: {grant.role} is in force until {duration.until(grant.until)}")
    elif plan.choices:
        for choice in plan.choices:
            out(Painted("○", "yellow"), f" {_after(choice)}: {choice.role} ({asking.summary(choice)})")
    else:
        _refusals(plan)
    return status


def _after(choice: Choice) -> str:
    """What stands between the person and the command."""
    if not choice.approvals:
        return "not yet, but nobody has to agree"
    return f"after {plural(choice.approvals, 'approval')} by {any_of(choice.approvers)}"


def _refusals(plan: Plan) -> None:
    if not plan.refusals:
        out(Painted("✘", "red"), " no: no role of yours on this host allows this")
    for refusal in plan.refusals:
        who = f"{refusal.role}: " if refusal.role else ""
        hint = f" ({refusal.hint})" if refusal.hint else ""
        out(Painted("✘", "red"), f" no: {who}{refusal.why}{hint}")
