"""What the policy answers: why somebody may or may not, who can, what they can, and what a role could do without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl import command_line, describe_answers, times
from jit_ctl.commands.policy import files
from jit_ctl.completing import host_names, policy_roles, user_names
from jit_ctl.errors import EXIT_STATUS
from jit_ctl.options import LISTS, Duration, output_options, patient_server_options, reference, server_options
from jit_ctl.output import Column, Format, Output
from jit_ctl.policy_model import Capability, Circumstances

if TYPE_CHECKING:
    from jit_ctl.client import Server

_FORMS = (Format.TABLE, Format.JSON, Format.JSONL)
_WHO: Column[Capability] = Column("WHO", lambda c: c.user)
_WHAT: Sequence[Column[Capability]] = (
    Column("ROLE", lambda c: c.role),
    Column("THROUGH", lambda c: describe_answers.through(c.groups)),
    Column("AS", lambda c: ", ".join(c.run_as_users)),
    Column("HOSTS", describe_answers.where),
    Column("COMMANDS", describe_answers.commands),
    Column("TERMS", describe_answers.terms),
    Column("UNTIL", lambda c: c.until or "permanent"),
)


def _argv(out: Output, words: tuple[str, ...]) -> list[str]:
    argv, assumed = command_line.resolve(words)
    if assumed:
        out.talk(assumed)
    return argv


def _refused() -> None:
    click.get_current_context().exit(EXIT_STATUS["denied"])


@click.command()
@click.argument("user", metavar="USER", callback=reference, shell_complete=user_names)
@click.argument("host", metavar="HOST", callback=reference, shell_complete=host_names)
@click.argument("words", metavar="[-- COMMAND…]", nargs=-1, type=click.UNPROCESSED)
@click.option("--run-as", default="root", show_default=True, metavar="ACCOUNT", help="The account to run it as.")
@click.option("--role", default="", metavar="ROLE", shell_complete=policy_roles, help="Consider only this role.")
@click.option("--at", default="", metavar="TIME", help="Suppose they ask then; else now.")
@click.option(
    "--login", type=click.Choice(["ssh", "console", "other", "unknown"]), default="ssh", help="Suppose they came so."
)
@click.option("--from", "source", default="", metavar="ADDRESS", help="Suppose they came from there.")
@click.option("--no-terminal", is_flag=True, help="Suppose they do not sit at a terminal.")
@click.option(
    "--for", "duration_s", type=Duration(), default=0, metavar="DURATION", help="Suppose they ask for so long."
)
@files.file_option
@output_options(*_FORMS)
@patient_server_options
def explain(
    *,
    out: Output,
    server: Server,
    user: str,
    host: str,
    words: tuple[str, ...],
    run_as: str,
    role: str,
    at: str,
    login: str,
    source: str,
    no_terminal: bool,
    duration_s: int,
    names: tuple[str, ...],
) -> None:
    """Say why somebody may run a command on a host, or why not: each rule, and what would make it pass.

    Ends with status 5 when they may not. For example:
    jitctl policy explain alice web1 -- systemctl restart nginx
    """
    supposed = Circumstances(
        run_as=run_as,
        role=role,
        at=out.parse_moment(at),
        login=login,
        source=source,
        terminal=not no_terminal,
        duration_s=duration_s,
    )
    argv = _argv(out, words)
    found = server.policy.explain(user, host, argv, supposed, files.read(names))
    out.item(found, str, describe_answers.explanation)
    if not found.allowed:
        _refused()


@click.command("who-can")
@click.argument("words", metavar="[-- COMMAND…]", nargs=-1, type=click.UNPROCESSED)
@click.option("--run-as", default="root", show_default=True, metavar="ACCOUNT", help="The account to run it as.")
@click.option(
    "--on",
    "hosts",
    multiple=True,
    metavar="HOSTS",
    callback=reference,
    help="Only these: key=value, key!=value or a host's name; may be repeated.",
)
@output_options(*LISTS)
@patient_server_options
def who_can(*, out: Output, server: Server, words: tuple[str, ...], run_as: str, hosts: tuple[str, ...]) -> None:
    """List who can run something as an account: by which role, where, approved by whom, under which conditions.

    For example: jitctl policy who-can --run-as root --on env=prod
    """
    found = server.policy.who_can(run_as, hosts, _argv(out, words))
    out.items(found, (_WHO, *_WHAT), lambda can: can.user, f"nobody can run that as {run_as}")


@click.command("what-can")
@click.argument("user", metavar="[USER]", required=False, callback=reference, shell_complete=user_names)
@output_options(*LISTS)
@patient_server_options
def what_can(*, out: Output, server: Server, user: str | None) -> None:
    """List what somebody can do where, and on which terms; without a name, yourself.

    For example: jitctl policy what-can alice
    """
    who = user or server.who_am_i().name
    out.items(server.policy.what_can(who), _WHAT, lambda can: can.role, f"{who} can do nothing anywhere")


@click.command("test-command")
@click.argument("role", metavar="ROLE", callback=reference, shell_complete=policy_roles)
@click.argument("words", metavar="-- COMMAND…", nargs=-1, required=True, type=click.UNPROCESSED)
@files.file_option
@output_options(*_FORMS)
@server_options
def test_command(*, out: Output, server: Server, role: str, words: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Say whether a role lets a command line through, by which of its commands, and how sudoers will have it.

    Ends with status 5 when it does not. For example:
    jitctl policy test-command web-operator -- /usr/bin/systemctl restart nginx
    """
    verdict = server.policy.test_command(role, _argv(out, words), files.read(names))
    out.item(verdict, str, describe_answers.command_verdict)
    if not verdict.allowed:
        _refused()


@click.command()
@click.argument("role", metavar="ROLE", callback=reference, shell_complete=policy_roles)
@click.option("--since", type=Duration(), default="90d", show_default=True, help="What was run in this time.")
@output_options(*_FORMS)
@patient_server_options
def suggest(*, out: Output, server: Server, role: str, since: int) -> None:
    """Propose a narrower role from what was really run under one, as a policy file.

    What was run and cannot be written as a command is told beside it. For example:
    jitctl policy suggest web-admin --since 90d > web-admin.yaml
    """
    found = server.policy.suggest(role, times.to_us(times.now()) - since * 1_000_000)
    if not out.for_people:
        out.item(found, str)
        return
    out.exact(found.text)
    for line in found.left_out:
        out.talk(f"left out: {line}")
    out.talk(f"from {found.sessions} session{'' if found.sessions == 1 else 's'} in {times.duration(since)}")
