"""The `jit` command: which verb is meant, and what its failure costs (SPEC 4.3).

Verbs live in modules with a `VERB` (what it takes) and a `run`; only the one that
is meant gets imported, because `jit sudo` is on the path of every command.
"""

from __future__ import annotations

import os
import sys

from jit_cli import VERSION
from jit_cli.errors import INTERRUPTED, Failure, Interrupted, usage
from jit_cli.options import Parsed, help_text, meant, parse
from jit_cli.terminal import complain, out, out_text, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Verb: the module that runs it, and what it is for.
VERBS = {
    "sudo": ("elevate", "run a command with sudo, asking for the right to first if need be"),
    "request": ("request", "ask for a role before it is needed"),
    "status": ("status", "what I may do now, and what I have asked for"),
    "ls": ("listing", "what I may ask for on this host"),
    "can-i": ("can_i", "whether a command would go through, or may be asked for"),
    "renew": ("renew", "ask that I may ask for a role longer"),
    "extend": ("extend", "let a grant in force last longer"),
    "drop": ("drop", "give back a grant before its time is up"),
    "cancel": ("cancel", "take back a request nobody has decided yet"),
    "log": ("log", "what I ran with sudo, and what was recorded of it"),
    "mfa": ("mfa", "enrol the second factor (one-time codes)"),
    "doctor": ("doctor", "find what is wrong on this host, and how to mend it"),
    "completion": ("completion", "print the completion script of a shell"),
    "version": ("", "print the version"),
    "help": ("", "show this help, or that of a verb"),
}

_OVERVIEW = """\
Usage: jit VERB [OPTIONS] …

Just-in-time sudo: nobody holds standing root; ask, be approved, and for a limited time real sudo lets it through.

Examples:
  jit sudo systemctl restart nginx      run it; ask for the right to if there is none yet
  jit ls                                what may I ask for here
  jit status                            what may I do now, and until when
  jit extend                            a little longer
  jit drop                              give it back

Verbs:
{verbs}

`jit VERB --help` tells more. Exit status: 0 done, 1 failed, 2 usage, 3 still pending, 4 code missing or wrong,
5 denied, 6 not found, 7 conflict, 65 bad data, 69 agent or server unreachable, 75 try again, 78 configuration,
130 interrupted. `jit sudo` exits with the command's own status, or 1 if it never started. See also: jit(1).
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line; return the exit status.  Nothing but `SystemExit` leaves here."""
    words = sys.argv[1:] if words is None else words
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        say()
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`jit ls | head`) has had enough; the interpreter must not complain at its end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def _dispatch(words: Sequence[str]) -> int:
    parsed = Parsed()
    like_sudo = False
    try:
        if not words:
            raise usage("no verb was given", "see `jit help`")
        name, rest = words[0], words[1:]
        if name in {"help", "-h", "--help"}:
            return _help(rest)
        if name in {"version", "-V", "--version"}:
            out(f"jit {VERSION}")
            return 0
        module = _module(name)
        like_sudo = module.VERB.like_sudo
        parse(module.VERB, rest, parsed)
        if parsed.given("help"):
            out_text(help_text(module.VERB))
            return 0
        status: int = module.run(parsed)
        return status
    except Failure as failure:
        complain(failure.message, failure.hint)
        if like_sudo and parsed.text("exit-codes") != "extended" and not isinstance(failure, Interrupted):
            return 1
        return failure.status


def _module(name: str):  # type: ignore[no-untyped-def]
    if name not in VERBS or not VERBS[name][0]:
        raise usage(f"unknown verb {name!r}", meant(name, VERBS) or "see `jit help`")
    return __import__(f"jit_cli.{VERBS[name][0]}", fromlist=["VERB", "run"])


def _help(rest: Sequence[str]) -> int:
    if rest and rest[0] in VERBS and VERBS[rest[0]][0]:
        out_text(help_text(_module(rest[0]).VERB))
    elif rest and rest[0] not in VERBS:
        _module(rest[0])
    else:
        verbs = "\n".join(f"  {name:<12}{what}" for name, (_, what) in VERBS.items())
        out_text(_OVERVIEW.format(verbs=verbs))
    return 0
