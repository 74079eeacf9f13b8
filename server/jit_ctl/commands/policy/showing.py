"""What the policy is and was: show, history and diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from jit_ctl import describe_policy
from jit_ctl.commands.policy import files
from jit_ctl.completing import policy_versions
from jit_ctl.errors import CtlError
from jit_ctl.options import LISTS, output_options, patient_server_options, server_options
from jit_ctl.output import Column, Format, Output
from jit_ctl.policy_model import Policy, PolicyFile, PolicyPlan, PolicyVersion

if TYPE_CHECKING:
    from jit_ctl.client import Server

_COLUMNS: Sequence[Column[PolicyVersion]] = (
    Column("VERSION", lambda v: str(v.version), whole=True),
    Column("SINCE", lambda v: v.applied_at),
    Column("BY", lambda v: v.applied_by),
    Column("APPROVED BY", lambda v: ", ".join(v.approved_by)),
    Column("WHY", describe_policy.origin),
)


@click.command()
@click.option(
    "--version",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    shell_complete=policy_versions,
    help="Not the one in force but this one.",
)
@output_options(Format.TABLE, Format.JSON, Format.JSONL, Format.NAME)
@server_options
def show(*, out: Output, server: Server, version: int | None) -> None:
    """Show the policy: its text on standard output, who applied it and when beside it.

    For example: jitctl policy show > policy.yaml
    """
    found = server.policy.show(version or 0)
    if not out.for_people:
        out.item(found, lambda shown: str(shown.version.version))
        return
    by = found.version
    approved = f", approved by {', '.join(by.approved_by)}" if by.approved_by else ""
    out.talk(f"version {by.version}, applied by {by.applied_by}{approved}, {out.when(by.applied_at)}")
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


@click.command()
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most this many.")
@output_options(*LISTS)
@server_options
def history(*, out: Output, server: Server, limit: int) -> None:
    """List the versions, newest first: who applied and approved them, and why.

    For example: jitctl policy history -n 5
    """
    found = server.policy.history(limit)
    out.items(found, _COLUMNS, lambda version: str(version.version), "no policy was ever applied")
    if len(found) == limit:
        out.talk(f"only the newest {limit} are shown; more with --limit")


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    files: Sequence[PolicyFile]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """`plan` is what it would do to put the second in place of the first; None where the first is not in force."""

    before: str
    after: str
    diff: tuple[str, ...]
    plan: PolicyPlan | None


@click.command()
@click.argument("names", metavar="[A [B]|FILE…]", nargs=-1, type=click.Path(allow_dash=True))
@output_options(Format.TABLE, Format.JSON, Format.JSONL)
@patient_server_options
def diff(*, out: Output, server: Server, names: tuple[str, ...]) -> None:
    """Compare the policy in force with files or a version, or two versions.

    Without an argument: what the last change changed. A number is a version; a file of such a name is ./7. From the
    policy in force it also says what that would do to people. For example: jitctl policy diff 41 42
    """
    before, after, from_current = _sides(server, names)
    lines = tuple(unified(before.files, after.files, before.name, after.name))
    planned = server.policy.plan(after.files) if from_current and lines else None
    compared = _Comparison(before.name, after.name, lines, planned)
    out.item(compared, str, _lines)
    if not lines:
        out.talk(f"no difference between {before.name} and {after.name}")


def _lines(compared: _Comparison) -> Iterator[str]:
    yield from compared.diff
    if compared.plan is not None:
        yield ""
        yield from describe_policy.plan(compared.plan, verbose=False)


def _sides(server: Server, names: tuple[str, ...]) -> tuple[_Side, _Side, bool]:
    """The two to compare, and whether the first is in force."""
    versions = [int(name) for name in names if name.isascii() and name.isdigit()]
    if versions and (len(versions) != len(names) or len(versions) > 2 or 0 in versions):
        raise CtlError("usage", "compare one or two versions, or files", "write a file of such a name as ./7")
    current = server.policy.show(0)
    number = current.version.version
    if len(versions) == 2:
        before, after = versions
        return _version(server, before), _version(server, after), before == number
    if versions:
        return _side(current), _version(server, versions[0]), True
    if names:
        return _side(current), _Side("the files", files.read(names)), True
    if number == 1:
        return _Side("nothing", ()), _side(current), False
    return _version(server, number - 1), _side(current), False


def _version(server: Server, number: int) -> _Side:
    return _side(server.policy.show(number))


def _side(found: Policy) -> _Side:
    return _Side(f"version {found.version.version}", found.files)


def unified(before: Sequence[PolicyFile], after: Sequence[PolicyFile], old: str, new: str) -> Iterator[str]:
    """A unified diff, file by file; a single file that was only renamed is compared all the same."""
    if len(before) == len(after) == 1:
        yield from _file_diff(before[0], after[0], old, new)
        return
    was, is_now = {file.name: file for file in before}, {file.name: file for file in after}
    for name in sorted({*was, *is_now}):
        nothing = PolicyFile(name, "")
        yield from _file_diff(was.get(name, nothing), is_now.get(name, nothing), old, new)


def _file_diff(before: PolicyFile, after: PolicyFile, old: str, new: str) -> Iterator[str]:
    labels = f"{before.name} ({old})", f"{after.name} ({new})"
    yield from difflib.unified_diff(before.text.splitlines(), after.text.splitlines(), *labels, lineterm="")
