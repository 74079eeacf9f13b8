"""`jit ls`: what I may ask for on this host."""

from __future__ import annotations

from jit_cli import agent_client, duration
from jit_cli.answers import Choice, Plan
from jit_cli.options import OUTPUT, Parsed, Verb, no_more_words, output_format
from jit_cli.terminal import out, out_json, say
from jit_cli.view import table
from jit_cli.words import any_of

VERB = Verb(
    "ls",
    usage="jit ls [-o FORMAT]",
    summary="List the roles I may ask for on this host, and what each needs.",
    examples=[("jit ls", "for people"), ("jit ls -o json", "for programs")],
    options=(OUTPUT,),
    notes="Exit status: 0, also when there is none.",
)


def run(parsed: Parsed) -> int:
    """List; return 0."""
    no_more_words(VERB, parsed)
    wanted_format = output_format(parsed)
    untrusted = agent_client.ask("ls")
    plan = Plan.read(untrusted)
    if wanted_format == "json":
        out_json({key: untrusted[key] for key in ("choices", "refusals", "mfa_enrolled")})
    elif wanted_format == "name":
        for choice in plan.choices:
            out(choice.role)
    else:
        _show(plan)
    return 0


def _show(plan: Plan) -> None:
    if plan.choices:
        headings = ["ROLE", "AS", "TIME", "NEEDS", "ALLOWS"]
        table(headings, [_row(choice) for choice in plan.choices])
    else:
        out("There is nothing you may ask for on this host.")
    for refusal in plan.refusals:
        say(f"{refusal.role or 'this host'}: {refusal.why}", f" ({refusal.hint})" if refusal.hint else "")
    if not plan.mfa_enrolled and any(choice.mfa for choice in plan.choices):
        say("you have no second factor yet: ask an administrator for a token, then run `jit mfa enroll`")


def _row(choice: Choice) -> list[str]:
    needs = [
        word for word, needed in (("reason", choice.reason), ("ticket", choice.ticket), ("code", choice.mfa)) if needed
    ]
    if choice.approvals:
        count = f"{choice.approvals} of " if choice.approvals > 1 else ""
        needs.append(f"a yes from {count}{any_of(choice.approvers)}")
    allows = "everything" if choice.commands == ("ALL",) else "; ".join(choice.commands)
    return [
        choice.role,
        ", ".join(choice.run_as_users),
        f"{duration.words(choice.default_s)}, at most {duration.words(choice.max_s)}",
        ", ".join(needs) or "nothing",
        allows,
    ]
