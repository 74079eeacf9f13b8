"""The flags that commands share, each written once.

`output_options` hands the command an `Output`, `server_options` a connected
`Server`.  Nothing here imports grpc before a command really runs, so help and
completion stay quick.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import click

from . import times
from .errors import CtlError
from .output import Format, Output, say

Command = Callable[..., None]

LISTS = (Format.TABLE, Format.JSON, Format.JSONL, Format.NAME)
STREAMS = (Format.TABLE, Format.JSONL, Format.NAME)
"""A stream has no end, so it cannot be one JSON document."""


class ErrorStyle:
    """Whether errors are told as JSON; set as soon as `-o` is read, so that usage errors keep it too."""

    def __init__(self) -> None:
        self.json = False


def _note_format(context: click.Context, _: click.Parameter, value: str) -> str:
    style = context.find_object(ErrorStyle)
    if style is not None:
        style.json = value in {Format.JSON, Format.JSONL}
    return value


def output_options(*formats: Format) -> Callable[[Command], Command]:
    """Add -o, --no-header, -q and --utc; the command gets `out`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*, output_format: str, no_header: bool, quiet: bool, utc: bool, **rest: Any) -> None:
            command(out=Output(Format(output_format), not no_header, quiet, utc), **rest)

        for option in (
            click.option("--utc", is_flag=True, help="Show times in UTC instead of local time."),
            click.option("-q", "--quiet", is_flag=True, help="Say nothing but data and errors."),
            click.option("--no-header", is_flag=True, help="Print a table without its header."),
            click.option(
                "-o",
                "--output",
                "output_format",
                type=click.Choice([str(name) for name in formats]),
                default=str(formats[0]),
                is_eager=True,
                callback=_note_format,
                help="Form of the output.",
            ),
        ):
            run = option(run)
        return run

    return decorate


def timeout_option(default: float) -> Callable[[Command], Command]:
    """Add --timeout, in seconds for one answer of the server."""
    return click.option(
        "--timeout",
        type=click.FloatRange(0, 3600, min_open=True),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for one answer of the server.",
    )


def _asking(default: float) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*, timeout: float, **rest: Any) -> None:
            from .client import Server

            with Server.of_session(timeout) as server:
                command(server=server, **rest)

        return timeout_option(default)(run)

    return decorate


def server_options(command: Command) -> Command:
    """Add --timeout; the command gets a `server` to ask as the person who is logged in."""
    return _asking(10)(command)


def patient_server_options(command: Command) -> Command:
    """The same for what the server weighs over the whole fleet."""
    return _asking(60)(command)


def yes_option(command: Command) -> Command:
    return click.option("-y", "--yes", is_flag=True, help="Do not ask whether you are sure.")(command)


def verbose_option(command: Command) -> Command:
    return click.option("-v", "--verbose", is_flag=True, help="Show also what is left out otherwise.")(command)


def reason_option(meaning: str, *, required: bool = False) -> Callable[[Command], Command]:
    """Add -m, --reason; a required one may not be empty."""
    if required:
        return click.option("-m", "--reason", required=True, metavar="TEXT", callback=reference, help=meaning)
    return click.option("-m", "--reason", default="", metavar="TEXT", help=meaning)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only after a clear yes; raise `CtlError` (usage) when nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CtlError("usage", "this needs a confirmation, and there is no terminal", "say it with --yes")
    if ask(f"{question} [y/N]").lower() not in {"y", "yes"}:
        raise CtlError("failed", "nothing was changed")


def ask(question: str) -> str:
    """One line from the person at the terminal, without blanks around it; empty at end of input."""
    from .safe import safe

    print(f"{safe(question)} ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        say("")
    return answer.strip()


class Duration(click.ParamType[int]):
    """Seconds, written 90s, 30m, 1h30m, 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return times.parse_duration(str(value))
        except CtlError as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)


def reference(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Callback for ids and names: an empty one would be a prefix of everything."""
    for word in value if isinstance(value, tuple) else (value,):
        if word is not None and not word.strip():
            raise click.BadParameter("is empty", ctx=context, param=parameter)
    return value
