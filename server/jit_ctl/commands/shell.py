"""completion and version."""

from __future__ import annotations

import importlib.metadata

import click
from click.shell_completion import get_completion_class

from jit_ctl.errors import CtlError
from jit_ctl.options import output_options
from jit_ctl.output import Format, Output


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script for your shell.

    For bash: eval "$(jitctl completion bash)"
    """
    from jit_ctl.main import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise CtlError("usage", f"no completion for {shell}")
    click.echo(kind(cli, {}, "jitctl", "_JITCTL_COMPLETE").source())


@click.command()
@output_options(Format.TABLE, Format.JSON)
def version(*, out: Output) -> None:
    """Show the version."""
    number = importlib.metadata.version("jit-server")
    out.item({"version": number}, lambda _: number, lambda _: [f"jitctl {number}"])
