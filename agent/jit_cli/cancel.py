"""`jit cancel`: take back a request that nobody has decided yet."""

from __future__ import annotations

from dataclasses import asdict

from jit_cli import agent_client
from jit_cli.answers import Request
from jit_cli.errors import usage
from jit_cli.fields import Fields
from jit_cli.options import OUTPUT, Parsed, Verb, no_more_words, output_format
from jit_cli.terminal import out, out_json

VERB = Verb(
    "cancel",
    usage="jit cancel REQUEST [-o FORMAT]",
    summary="Take back a request that nobody has decided yet.",
    examples=[("jit cancel req-7f3a", "any start of an id that names one request will do")],
    options=(OUTPUT,),
    notes="Exit status: 0 cancelled, 6 no such request, 7 already decided.",
)


def run(parsed: Parsed) -> int:
    """Cancel one request; return 0."""
    words = no_more_words(VERB, parsed, most=1)
    wanted_format = output_format(parsed)
    if not words:
        raise usage("which request?", "`jit status` lists them")
    request = Request.read(Fields(agent_client.ask("cancel", request=words[0])).object("request"))
    if wanted_format == "json":
        out_json({"request": asdict(request)})
    elif wanted_format == "name":
        out(request.request_id)
    else:
        out(f"{request.request_id} ({request.role} on {request.where}) is cancelled")
    return 0
