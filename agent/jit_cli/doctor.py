"""`jit doctor`: what is wrong on this host, and how to mend it.

The agent knows best.  Without it, what an ordinary user can see is checked here.
"""

from __future__ import annotations

from dataclasses import asdict

from jit_cli import agent_client
from jit_cli.agent_client import AgentGone
from jit_cli.fields import Fields
from jit_cli.local_checks import Check, look
from jit_cli.options import OUTPUT, Parsed, Verb, no_more_words, output_format
from jit_cli.terminal import Painted, out, out_json

VERB = Verb(
    "doctor",
    usage="jit doctor [-o json]",
    summary="Check this host: agent, enrolment, clock, sudo. Works without the agent too, and then sees less.",
    examples=[("jit doctor", "each check, and the mend of what is wrong")],
    options=(OUTPUT,),
    notes="Exit status: 0 all is well, 1 something is wrong.",
)


def run(parsed: Parsed) -> int:
    """Check, show, and return 0 only if all is well."""
    no_more_words(VERB, parsed)
    wanted_format = output_format(parsed, names=False)
    try:
        checks = _of_agent()
    except AgentGone as gone:
        checks = look(gone.message)
    if wanted_format == "json":
        out_json({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            _show(check)
    return 0 if checks and all(check.ok for check in checks) else 1


def _of_agent() -> list[Check]:
    answer = Fields(agent_client.ask("doctor"))
    return [
        Check(one.text("name"), one.flag("ok"), one.text("detail"), one.text("fix")) for one in answer.objects("checks")
    ]


def _show(check: Check) -> None:
    mark = Painted("✔", "green") if check.ok else Painted("✘", "red")
    out(mark, f" {check.name}{f': {check.detail}' if check.detail else ''}")
    if not check.ok and check.fix:
        out("    mend: ", check.fix)
