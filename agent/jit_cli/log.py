"""`jit log`: what I ran with sudo, on any host, and what was recorded of it."""

from __future__ import annotations

from jit_cli import agent_client
from jit_cli.errors import usage
from jit_cli.fields import Fields
from jit_cli.options import OUTPUT, Option, Parsed, Verb, no_more_words, output_format
from jit_cli.session_view import session_block, session_table
from jit_cli.sessions import Details, Session
from jit_cli.terminal import out, out_json, say

_USUALLY = 20
_MOST = 1000

VERB = Verb(
    "log",
    usage="jit log [SESSION] [-n N] [-o FORMAT]",
    summary="Show what I ran with sudo, on every host, newest first; or one session, with the programs it started.",
    examples=[
        ("jit log", f"the newest {_USUALLY}"),
        ("jit log -n 100", "more of them"),
        ("jit log ses-7f3a", "one in full; any start of an id that names one will do"),
    ],
    options=(Option("n", "number", "N", f"so many sessions, {_USUALLY} unless told, at most {_MOST}"), OUTPUT),
    notes="Exit status: 0, also when there is none; 6 no such session, 69 server unreachable.",
)


def run(parsed: Parsed) -> int:
    """Show; return 0."""
    words = no_more_words(VERB, parsed, most=1)
    wanted_format = output_format(parsed)
    if words:
        if parsed.given("number"):
            raise usage("-n goes with the list, not with one session", f"usage: {VERB.usage}")
        if not words[0].strip():
            # To the agent it would be no id at all, and the list.
            raise usage("which session?", "`jit log` lists them")
        return _one(words[0], wanted_format)
    return _newest(_number(parsed), wanted_format)


def _newest(number: int, wanted_format: str) -> int:
    untrusted = agent_client.ask("log", session="", limit=number)
    fields = Fields(untrusted)
    sessions, truncated = tuple(map(Session.read, fields.objects("sessions"))), fields.flag("truncated")
    if wanted_format == "json":
        out_json({"sessions": untrusted["sessions"], "truncated": truncated})
    elif wanted_format == "name":
        for session in sessions:
            out(session.session_id)
    elif not sessions:
        out("You have run nothing with sudo that was recorded.")
    else:
        session_table(sessions)
        if truncated and len(sessions) < number:
            say(f"there are older ones; an answer holds no more than these {len(sessions)}")
        elif truncated:
            say(f"there are older ones; `jit log -n {min(_MOST, number * 5)}` shows more")
    return 0


def _one(wanted: str, wanted_format: str) -> int:
    untrusted = agent_client.ask("log", session=wanted, limit=0)
    details = Details.read(untrusted)
    if wanted_format == "json":
        out_json({key: untrusted[key] for key in ("session", "environment", "commands", "truncated")})
    elif wanted_format == "name":
        out(details.session.session_id)
    else:
        session_block(details)
    return 0


def _number(parsed: Parsed) -> int:
    text = parsed.text("number")
    if not parsed.given("number"):
        return _USUALLY
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _MOST):
        raise usage(f"-n takes a number from 1 to {_MOST}, not {text!r}")
    return int(text)
