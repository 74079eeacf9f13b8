"""mfa enroll: a second factor, proved by one code before it counts (S9)."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from jit_ctl import state
from jit_ctl.errors import CtlError
from jit_ctl.options import ask, output_options, timeout_option
from jit_ctl.output import Format, Output, say

from .login import user_name

ATTEMPTS = 3


@click.group()
def mfa() -> None:
    """Your second factor."""


@mfa.command()
@click.option("--token", required=True, help="The one-time token your administrator gave you.")
@click.option("--user", default="", metavar="NAME", help="Who you are; kept for the next time.")
@click.option("--server", "server_address", default="", metavar="HOST[:7444]", help="The server, the first time.")
@click.option("--ca", default="", metavar="sha256:HEX", help="Fingerprint of its CA, the first time.")
@click.option("--otp", default="", metavar="CODE", help="Confirm what an earlier run without a terminal began.")
@timeout_option(30)
@output_options(Format.TABLE, Format.JSON, Format.JSONL)
def enroll(*, out: Output, token: str, user: str, server_address: str, ca: str, otp: str, timeout: float) -> None:
    """Enrol an authenticator app (TOTP).

    Shows a QR code and asks for one code.  Without a terminal it shows the URI
    and ends with status 3; run it again with --otp to confirm.
    """
    from jit_ctl import access, trust

    name = user_name(user)
    address, pinned = trust.establish(server_address, ca, timeout)
    state.write_config(state.Config(address, name))
    if otp:
        access.confirm_totp(address, pinned, name, token=token, otp=otp.strip(), timeout=timeout)
        out.talk(f"the second factor of {name} is enrolled")
        return
    offer = access.begin_totp(address, pinned, name, token, timeout)
    if out.for_people and sys.stdout.isatty():
        for row in offer.qr:
            out.line(row)
    out.item(offer, lambda _: offer.uri, lambda _: [offer.uri])
    if not sys.stdin.isatty():
        raise CtlError("pending", "the second factor is not confirmed yet", "run it again with --otp CODE")
    _confirm(lambda code: access.confirm_totp(address, pinned, name, token=token, otp=code, timeout=timeout))
    out.talk(f"the second factor of {name} is enrolled")


def _confirm(prove: Callable[[str], None]) -> None:
    """Ask for a code until one proves the factor; a typing error is no reason to begin anew."""
    for left in reversed(range(ATTEMPTS)):
        code = ask("Scan it, then type the code it shows:")
        if not code:
            raise CtlError("unauthenticated", "no one-time code was given; the second factor is not enrolled")
        try:
            return prove(code)
        except CtlError as error:
            if error.code != "unauthenticated" or not left:
                raise
            say(f"jitctl: {error.message}")
    return None
