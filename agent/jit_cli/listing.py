"""`jit ls`: what I may ask for on this host."""

from __future__ import annotations

from jit_cli import agent_client, duration, eligibilities
from jit_cli.answers import Choice, Plan
from jit_cli.options import OUTPUT, Option, Parsed, Verb, no_more_words, output_format
from jit_cli.terminal import out, out_json, say
from jit_cli.view import table
from jit_cli.words import any_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VERB = Verb(
    "ls",
    usage="jit ls [-a] [-o FORMAT]",
    summary="List the roles I may ask for on this host, and what each needs; or, with -a, all I am eligible for.",
    examples=[
        ("jit ls", "for people"),
        ("jit ls --all", "on any host: until when, and what can be renewed"),
        ("jit ls -o json", "for programs"),
    ],
    options=(Option("a", "all", "", "my roles on all hosts, with their ends, also past ones"), OUTPUT),
    notes="Exit status: 0, also when there is none.",
)


def run(parsed: Parsed) -> int:
    """List; return 0."""
    no_more_words(VERB, parsed)
    wanted_format = output_format(parsed)
    if parsed.given("all"):
        eligibilities.show(wanted_format)
        return 0
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
        _table(plan.choices)
    else:
        out("There is nothing you may ask for on this host.")
    for refusal in plan.refusals:
        say(f"{refusal.role or 'this host'}: {refusal.why}", f" ({refusal.hint})" if refusal.hint else "")
    if not plan.mfa_enrolled and any(choice.code for choice in plan.choices):
        say("you have no second factor yet: ask an administrator for a token, then run `jit mfa enroll`")


def _table(choices: tuple[Choice, ...]) -> None:
    """UNTIL and WHEN only where a role has an end or a condition: most have none."""
    columns: list[tuple[str, Callable[[Choice], str]]] = [
        ("ROLE", lambda choice: choice.role),
        ("AS", lambda choice: ", ".join(choice.run_as_users)),
        ("TIME", _time),
        ("NEEDS", _needs),
    ]
    if any(choice.until for choice in choices):
        columns.append(("UNTIL", lambda choice: duration.brief(choice.until) if choice.until else "-"))
    if any(choice.when for choice in choices):
        columns.append(("WHEN", lambda choice: "; ".join(choice.when) or "-"))
    columns.append(("ALLOWS", _allows))
    table([name for name, _ in columns], [[cell(choice) for _, cell in columns] for choice in choices])


def _time(choice: Choice) -> str:
    once = ", for one sudo" if choice.once else ""
    return f"{duration.words(choice.default_s)}, at most {duration.words(choice.max_s)}{once}"


def _needs(choice: Choice) -> str:
    if choice.active:
        return "nothing: it is active"
    wants = (("reason", choice.reason), ("ticket", choice.ticket), ("code", choice.code))
    needs = [word for word, needed in wants if needed]
    if choice.approvals:
        count = f"{choice.approvals} of " if choice.approvals > 1 else ""
        needs.append(f"a yes from {count}{any_of(choice.approvers)}")
    return ", ".join(needs) or "nothing"


def _allows(choice: Choice) -> str:
    return "everything" if choice.commands == ("ALL",) else "; ".join(choice.commands)
