"""What can be said of policy files as such: lint, their schema, and the tests they bring along."""

from __future__ import annotations

import importlib.resources
import json
from typing import TYPE_CHECKING

import click

from jit_ctl import describe_policy
from jit_ctl.commands.policy import files
from jit_ctl.options import output_options, patient_server_options, verbose_option
from jit_ctl.output import Format, Output

if TYPE_CHECKING:
    from jit_ctl.client import Server

_FORMS = (Format.TABLE, Format.JSON, Format.JSONL)


@click.command()
@files.files_argument()
@verbose_option
@output_options(*_FORMS)
@patient_server_options
def lint(*, out: Output, server: Server, names: tuple[str, ...], verbose: bool) -> None:
    """Check policy files; every finding is told as file:line:column.

    A directory stands for all *.yaml in it. With -v findings that the files suppress are shown too. Ends with status 1
    when there is an error. For example: jitctl policy lint policy/
    """
    report = server.policy.lint(files.read(names))
    lines = list(describe_policy.findings(report, suppressed=verbose))
    out.item(report, str, lambda _: lines)
    _end(out, describe_policy.tally(report) or "no errors", wrong=report.errors > 0)


@click.command()
@output_options(Format.TABLE, Format.JSON)
def schema(*, out: Output) -> None:
    """Print the JSON Schema of policy files, for editors; needs no server.

    For example: jitctl policy schema > policy.schema.json
    """
    text = importlib.resources.files("jit_ctl").joinpath("policy.schema.json").read_text(encoding="utf-8")
    if out.for_people:
        out.exact(text)
    else:
        out.item(json.loads(text), str)


@click.command()
@files.files_argument(required=False)
@verbose_option
@output_options(*_FORMS)
@patient_server_options
def test(*, out: Output, server: Server, names: tuple[str, ...], verbose: bool) -> None:
    """Run the tests of policy files, or of the policy in force.

    Tells those that failed, with -v all; ends with status 1 when one failed or the files have errors. For example:
    jitctl policy test policy/
    """
    tested = server.policy.test(files.read(names))
    lines = [describe_policy.result(result) for result in tested.results if verbose or not result.passed]
    if tested.report.errors:
        lines[:0] = describe_policy.findings(tested.report, suppressed=False)
    out.item(tested, str, lambda _: lines)
    if tested.report.errors:
        said = describe_policy.tally(tested.report)
    else:
        said = f"{describe_policy.plural(len(tested.results), 'test')}, {tested.failed or 'none'} failed"
    _end(out, said, wrong=bool(tested.report.errors or tested.failed))


def _end(out: Output, said: str, *, wrong: bool) -> None:
    out.talk(said)
    if wrong:
        click.get_current_context().exit(1)
