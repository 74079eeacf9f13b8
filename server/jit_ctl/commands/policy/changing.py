"""What changes the policy in force: plan, apply and rollback; each shows what the change does to people first."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from jit_ctl import describe_policy
from jit_ctl.commands.policy import files
from jit_ctl.completing import policy_versions
from jit_ctl.errors import EXIT_STATUS, CtlError
from jit_ctl.options import (
    ErrorStyle,
    confirm,
    output_options,
    patient_server_options,
    reason_option,
    verbose_option,
    yes_option,
)
from jit_ctl.output import Format, Output, say, tell
from jit_ctl.policy_model import PolicyFile, PolicyPlan

if TYPE_CHECKING:
    from jit_ctl.client import Server

_FORMS = (Format.TABLE, Format.JSON, Format.JSONL)
_CHANGES = 2
"""Status of `plan --detailed-exitcode` when something changes."""


def _detailed_exitcode(command: Callable[..., None]) -> Callable[..., None]:
    """Add --detailed-exitcode, with which every failure is status 1: 2 must mean nothing but a change."""

    @functools.wraps(command)
    def run(*, detailed_exitcode: bool, **rest: Any) -> None:
        if not detailed_exitcode:
            command(detailed=False, **rest)
            return
        context = click.get_current_context()
        try:
            command(detailed=True, **rest)
        except CtlError as error:
            style = context.find_object(ErrorStyle) or ErrorStyle()
            tell(error, as_json=style.json)
            context.exit(1)

    return click.option(
        "--detailed-exitcode", is_flag=True, help="End with 0: nothing changes, 1: an error, 2: something changes."
    )(run)


@click.command()
@files.files_argument()
@verbose_option
@output_options(*_FORMS)
@_detailed_exitcode
@patient_server_options
def plan(*, out: Output, server: Server, names: tuple[str, ...], verbose: bool, detailed: bool) -> None:
    """Say what policy files would change, and change nothing.

    First who gains and loses what where, then each grant and request that would end, and each role key by key. For
    example: jitctl policy plan policy/
    """
    planned = server.policy.plan(files.read(names))
    out.item(planned, str, lambda made: describe_policy.plan(made, verbose=verbose))
    if planned.impossible:
        out.talk(describe_policy.outcome(planned))
        click.get_current_context().exit(1)
    if detailed and planned.changes_anything:
        click.get_current_context().exit(_CHANGES)


@click.command()
@files.files_argument()
@click.option(
    "--expect-version",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Refuse when another version than this is in force.",
)
@reason_option("Why; kept with the version and in the audit log.")
@yes_option
@verbose_option
@output_options(*_FORMS)
@patient_server_options
def apply(
    *,
    out: Output,
    server: Server,
    names: tuple[str, ...],
    expect_version: int | None,
    reason: str,
    yes: bool,
    verbose: bool,
) -> None:
    """Put policy files in force, all of them together and in place of what was.

    Shows the plan and asks first. Grants that the new policy no longer allows end at once. Where the policy wants a
    second person, it is proposed, and in force once they approve. For example:
    jitctl policy apply policy/ -m 'CHG-12: on-call may restart nginx'
    """
    read = files.read(names)

    def act(seen: int) -> PolicyPlan:
        # What was shown is what is done: not against a version that came meanwhile.
        return server.policy.apply(read, expect_version or seen, reason)

    _change(out, server, lambda: read, act, "Apply this?", yes=yes, verbose=verbose)


@click.command()
@click.argument("version", type=click.IntRange(1), shell_complete=policy_versions)
@reason_option("Why; kept with the version and in the audit log.")
@yes_option
@verbose_option
@output_options(*_FORMS)
@patient_server_options
def rollback(*, out: Output, server: Server, version: int, reason: str, yes: bool, verbose: bool) -> None:
    """Put a former version in force again, as a new one.

    Shows what that changes and asks first; it is checked and approved like any other change. For example:
    jitctl policy rollback 41 -m 'INC-7'
    """
    _change(
        out,
        server,
        lambda: server.policy.show(version).files,
        lambda _: server.policy.rollback(version, reason),
        f"Put version {version} in force again?",
        yes=yes,
        verbose=verbose,
    )


def _change(
    out: Output,
    server: Server,
    wanted: Callable[[], Sequence[PolicyFile]],
    act: Callable[[int], PolicyPlan],
    question: str,
    *,
    yes: bool,
    verbose: bool,
) -> None:
    """Show what it would do and ask, unless `yes`; then `act` against the version that was shown, and say what came."""
    shown = None
    if yes:
        done = act(0)
    else:
        if not sys.stdin.isatty():
            confirm(question, yes=False)
        done = shown = server.policy.plan(wanted())
        # Whoever says yes has to have seen it, whatever form the data has.
        show = out.line if out.for_people else say
        for line in describe_policy.plan(shown, verbose=verbose):
            show(line)
        if shown.changes_anything and not shown.impossible:
            confirm(question, yes=False)
            done = act(shown.current_version)
    if not out.for_people or shown is None or (done is not shown and done.impossible):
        out.item(done, str, lambda made: describe_policy.plan(made, verbose=verbose))
    out.talk(describe_policy.outcome(done))
    if done.impossible:
        click.get_current_context().exit(1)
    if done.change is not None:
        # Nothing is in force yet, and a pipeline must not take it for applied.
        click.get_current_context().exit(EXIT_STATUS["pending"])
