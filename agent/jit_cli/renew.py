"""`jit renew`: ask that a role may be asked for longer, before or soon after the right to it ends."""

from __future__ import annotations

from dataclasses import asdict

from jit_cli import agent_client, asking, duration
from jit_cli.eligibilities import Renewal
from jit_cli.errors import usage
from jit_cli.fields import Fields
from jit_cli.options import OUTPUT, Option, Parsed, Verb, no_more_words, output_format
from jit_cli.prompt import Terminal
from jit_cli.terminal import out, out_json, say
from jit_cli.words import any_of

VERB = Verb(
    "renew",
    usage="jit renew ROLE [OPTIONS]",
    summary="Ask that my eligibility for a role lasts longer. From 14 days before its end until 30 days after it; an\n"
    "approver of the role decides. Nothing waits for that: `jit ls --all` shows what became of it.",
    examples=[
        ('jit renew db-admin -m "still on the team, INC-7"', "ask"),
        ("jit ls --all", "what ends when, and what can be renewed"),
    ],
    options=(
        Option("m", "reason", "TEXT", "why you still need it"),
        Option("n", "non-interactive", "", "never ask anything"),
        OUTPUT,
    ),
    notes="Exit status: 0 asked for, 5 not now or not this role, 6 no such role of yours, 7 asked for already.",
)


def run(parsed: Parsed) -> int:
    """Ask for one renewal; return 0."""
    words = no_more_words(VERB, parsed, most=1)
    wanted_format = output_format(parsed)
    if not words or not words[0].strip():
        raise usage("which role?", "`jit ls --all` shows those that can be renewed")
    role = words[0]
    reason = parsed.text("reason").strip() or asking.with_terminal(parsed, _reason)
    renewal = Renewal.read(Fields(agent_client.ask("renew", role=role, reason=reason)).object("renewal"))
    if wanted_format == "json":
        out_json({"renewal": asdict(renewal)})
    else:
        out(renewal.renewal_id)
    if not wanted_format:
        say(f"{renewal.role} would last until {duration.in_full(renewal.until)}; {any_of(renewal.approvers)} decides")
    return 0


def _reason(terminal: Terminal | None) -> str:
    answer = terminal.ask("Reason") if terminal is not None else None
    if answer is None:
        raise usage("no reason was given; nothing was asked for", "add -m REASON")
    return answer
