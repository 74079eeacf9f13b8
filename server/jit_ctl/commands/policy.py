"""policy: lint, apply and show; the server reads the policy, this only carries it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jit_ctl.errors import CtlError
from jit_ctl.model import Policy, PolicyFile, PolicyReport
from jit_ctl.options import output_options, server_options
from jit_ctl.output import Format, Output

if TYPE_CHECKING:
    from jit_ctl.client import Server

MAX_POLICY = 1024 * 1024
"""Bytes of all files together (SPEC 7)."""


@click.group()
def policy() -> None:
    """Check, apply and show the policy."""


def _read(names: tuple[str, ...]) -> list[PolicyFile]:
    files = [PolicyFile(name, _text(name)) for name in dict.fromkeys(names)]
    size = sum(len(file.text.encode()) for file in files)
    if size > MAX_POLICY:
        raise CtlError("invalid", f"the policy is too large, the limit is {MAX_POLICY} bytes")
    return files


def _text(name: str) -> str:
    try:
        # One byte more than the limit is enough to know that it is too much.
        if name == "-":
            raw = sys.stdin.buffer.read(MAX_POLICY + 1)
        else:
            with Path(name).open("rb") as file:
                raw = file.read(MAX_POLICY + 1)
    except OSError as error:
        raise CtlError("usage", f"cannot read {name}: {error.strerror}") from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise CtlError("invalid", f"{name}:{line}:{column}: not UTF-8", "save the file as UTF-8") from None


def _lines(report: PolicyReport) -> list[str]:
    return [f"{f.file}:{f.line}:{f.column}: {f.severity}: {f.message}" for f in report.findings]


def _finish(report: PolicyReport, out: Output, good: str) -> None:
    """Print the findings, say how it went, and end with status 1 when there are errors."""
    if not out.for_people or report.findings:
        out.item(report, lambda made: str(made.version), _lines)
    warnings = len(report.findings) - report.errors
    told = f", {warnings} warning{'' if warnings == 1 else 's'}" if warnings else ""
    if report.errors:
        out.talk(f"{report.errors} error{'' if report.errors == 1 else 's'}{told}; nothing was changed")
        click.get_current_context().exit(1)
    out.talk(good + told)


@policy.command()
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(allow_dash=True))
@output_options(Format.TABLE, Format.JSON, Format.JSONL)
@server_options
def lint(*, out: Output, server: Server, files: tuple[str, ...]) -> None:
    """Check policy files; tells every error as file:line:column and ends with status 1 then."""
    _finish(server.lint_policy(_read(files)), out, "no errors")


@policy.command()
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
@click.option(
    "--expect-version",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Refuse when another version than this is in force.",
)
@output_options(Format.TABLE, Format.JSON, Format.JSONL)
@server_options
def apply(*, out: Output, server: Server, files: tuple[str, ...], dry_run: bool, expect_version: int | None) -> None:
    """Put policy files in force, all of them together and in place of what was.

    Grants that the new policy no longer allows end at once.
    """
    report = server.apply_policy(_read(files), expect_version or 0, dry_run=dry_run)
    ended = report.grants_ended
    if dry_run:
        good = f"this would be accepted, and end {ended} grants"
    else:
        good = f"policy version {report.version} is in force, {ended} grants ended"
    _finish(report, out, good.replace(" 1 grants", " 1 grant"))


@policy.command()
@click.option("--version", type=click.IntRange(1), default=None, metavar="N", help="Not the one in force but this one.")
@output_options(Format.TABLE, Format.JSON, Format.JSONL, Format.NAME)
@server_options
def show(*, out: Output, server: Server, version: int | None) -> None:
    """Show the policy: its text on standard output, who applied it and when beside it."""
    found = server.policy(version or 0)
    if not out.for_people:
        out.item(found, lambda shown: str(shown.version))
        return
    out.talk(f"version {found.version}, applied by {found.applied_by}, {out.when(found.applied_at)}")
    out.exact(_whole(found))


def _whole(found: Policy) -> str:
    """One file as it was given; several each under a comment with its name."""
    if len(found.files) == 1:
        return found.files[0].text
    parts = []
    for file in found.files:
        ending = "" if file.text.endswith("\n") else "\n"
        # A name with a line break in it must not end the comment.
        parts.append(f"# file: {file.name!r}\n{file.text}{ending}")
    return "".join(parts)
