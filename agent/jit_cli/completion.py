"""`jit completion`: print the script that the package installed for a shell."""

from __future__ import annotations

import os

from jit_cli.errors import Failure, usage
from jit_cli.options import Parsed, Verb, no_more_words
from jit_cli.terminal import out_text

VERB = Verb(
    "completion",
    usage="jit completion bash|zsh|fish",
    summary="Print the completion script of a shell. The package installs them already; this is for homes elsewhere.",
    examples=[
        ("source <(jit completion bash)", "in this shell"),
        ("jit completion fish > ~/.config/fish/completions/jit.fish", "for good"),
    ],
    notes="Exit status: 0, 6 not installed.",
)
SCRIPTS = {
    "bash": "/usr/share/bash-completion/completions/jit",
    "zsh": "/usr/share/zsh/vendor-completions/_jit",
    "fish": "/usr/share/fish/vendor_completions.d/jit.fish",
}


def run(parsed: Parsed) -> int:
    """Print; return 0."""
    words = no_more_words(VERB, parsed, most=1)
    if not words or words[0] not in SCRIPTS:
        raise usage("which shell?" if not words else f"unknown shell {words[0]!r}", "say bash, zsh or fish")
    out_text(script(words[0]))
    return 0


def script(shell: str, root: str = "") -> str:
    """Return the script installed under `root`; raise `Failure` when there is none."""
    path = root + SCRIPTS[shell]
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise Failure("not_found", f"{path}: {reason}", "reinstall the package jit-agent") from None
