"""`jit cancel`: take back a request that nobody has decided yet."""

from __future__ import annotations

from jit_cli import agent_client
from jit_cli.answers import Request
from jit_cli.errors import usage
from jit_cli.fields import Fields
from jit_cli.options import Parsed, Verb, no_more_words
from jit_cli.terminal import out

VERB = Verb(
    "cancel",
    usage="jit cancel REQUEST",
    summary="Take back a request that nobody has decided yet.",
    examples=[("jit cancel req-7f3a", "any start of an id that names one request will do")],
    notes="Exit status: 0 cancelled, 6 no such request, 7 already decided.",
)


def run(parsed: Parsed) -> int:
    """Cancel one request; return 0."""
    words = no_more_words(VERB, parsed, most=1)
    if not words:
        raise usage("which request?", "`jit status` lists them")
    request = Request.read(Fields(agent_client.ask("cancel", request=words[0])).object("request"))
    out(f"{request.request_id} ({request.role} on {request.host}) is cancelled")
    return 0
