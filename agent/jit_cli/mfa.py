"""`jit mfa enroll`: a second factor, counted only after one code from it was right (S9)."""

from __future__ import annotations

from jit_cli import agent_client
from jit_cli.errors import Failure, usage
from jit_cli.fields import Fields
from jit_cli.options import Option, Parsed, Verb
from jit_cli.prompt import NoTerminal, Terminal
from jit_cli.terminal import Painted, complain, out, out_qr, say

VERB = Verb(
    "mfa",
    usage="jit mfa enroll [--token TOKEN] [--otp CODE]",
    summary="Enrol an authenticator: show its QR code once, and confirm it with one code.",
    examples=[
        ("jit mfa enroll", "asks for the token an administrator gave you"),
        ("jit mfa enroll --token T", "the same without the question"),
        ("jit mfa enroll --token T --otp 123456", "confirm what was shown before, without a terminal"),
    ],
    options=(
        Option("", "token", "TOKEN", "the one-time token"),
        Option("", "otp", "CODE", "confirm with this code; nothing is shown"),
    ),
    notes="Exit status: 0 enrolled, 3 shown but not confirmed (no terminal), 4 token or code wrong, 130 after Ctrl-C.",
)
# The first code and two more.
_CODES = 3


def run(parsed: Parsed) -> int:
    """Enrol; return 0 once a code was right."""
    if parsed.words != ["enroll"] or parsed.after_dashes:
        raise usage("mfa knows only: enroll", f"usage: {VERB.usage}")
    try:
        terminal = Terminal()
    except NoTerminal:
        return _without_terminal(parsed)
    with terminal:
        return _with_terminal(parsed, terminal)


def _without_terminal(parsed: Parsed) -> int:
    token = parsed.text("token")
    if not token:
        raise usage("there is no terminal to ask for the token on", "add --token TOKEN")
    if parsed.given("otp"):
        return _confirm(token, parsed.text("otp"))
    _show(token)
    say("to confirm, run it again with --otp CODE")
    return Failure("pending", "").status


def _with_terminal(parsed: Parsed, terminal: Terminal) -> int:
    token = parsed.text("token") or terminal.ask_hidden("Enrolment token") or ""
    if not token:
        raise Failure("unauthenticated", "no token was given", "an administrator makes one for you")
    if parsed.given("otp"):
        return _confirm(token, parsed.text("otp"))
    _show(token)
    codes = 1
    while True:
        code = terminal.ask("Code it shows now")
        if code is None:
            raise Failure("unauthenticated", "no code was given; nothing is enrolled", "run it again")
        try:
            return _confirm(token, code)
        except Failure as failure:
            if failure.code != "unauthenticated" or codes == _CODES:
                raise
            complain(failure.message, failure.hint)
        codes += 1


def _show(token: str) -> None:
    offer = Fields(agent_client.ask("mfa_begin", token=token))
    uri = offer.text("uri")
    if out_qr(offer.texts("qr")):
        out("Scan this with an authenticator, or type in what stands below it.")
    out(uri)


def _confirm(token: str, code: str) -> int:
    agent_client.ask("mfa_confirm", token=token, otp="".join(code.split()))
    out(Painted("✔", "green"), " your second factor is enrolled")
    return 0
