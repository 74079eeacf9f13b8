"""What a person wants sudo to run, and what a role lets sudo run.

`Command` and the rules for it are SPEC 2.3; limits are SPEC 7.  What could not be rendered on a host without doubt is
refused here already, where the person still sees why.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Final, Literal

from jit_server.domain import shell
from jit_server.errors import Invalid, LimitExceeded

MAX_WORDS = 1_000
MAX_ARGV_BYTES = 64 * 1024
MAX_ARG_LENGTH = 4_096
MAX_COMMANDS = 200

ALL: Final = "ALL"
"""Any command at all."""

_PATH = re.compile(r"/[A-Za-z0-9._+@%=:,~/-]*[A-Za-z0-9._+@%=:,~-]")
_ARG = re.compile(r"[!-~]{1,4096}")


@dataclass(frozen=True, slots=True)
class Command:
    """One program; with exactly these arguments, or with any if `args` is None."""

    path: str
    args: tuple[str, ...] | None

    def __str__(self) -> str:
        """One shell-quoted line; `…` stands for any arguments."""
        return f"{shell.quote(self.path)} …" if self.args is None else shell.join((self.path, *self.args))

    def covers(self, other: Command) -> bool:
        """Whether everything `other` lets through is let through by this."""
        return self.path == other.path and (self.args is None or self.args == other.args)


Commands = tuple[Command, ...] | Literal["ALL"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What `jit sudo` was given; `argv` is empty for a shell without a command, or to ask for the role as such."""

    argv: tuple[str, ...]
    run_as_user: str = "root"
    run_as_group: str = ""
    shell: bool = False
    login: bool = False
    exact: bool = False

    @property
    def wants_shell(self) -> bool:
        return self.shell or self.login

    @property
    def command(self) -> Command | None:
        return Command(self.argv[0], self.argv[1:]) if self.argv else None

    def __str__(self) -> str:
        flags = [flag for flag, on in (("-i", self.login), ("-s", self.shell)) if on]
        return " ".join(part for part in (*flags, shell.join(self.argv)) if part)


def describe(commands: Commands) -> tuple[str, ...]:
    """One shell-quoted line for each command, or the one word ALL."""
    return (ALL,) if commands == ALL else tuple(str(command) for command in commands)


def covers(commands: Commands, wanted: Commands) -> bool:
    """Whether `commands` let through everything that `wanted` lets through."""
    if commands == ALL:
        return True
    if wanted == ALL:
        return False
    return all(any(have.covers(want) for have in commands) for want in wanted)


def command_problem(command: Command) -> str | None:
    """Say why no host could render this command without doubt (SPEC 2.3), or None if one can."""
    if not _PATH.fullmatch(command.path) or posixpath.normpath(command.path) != command.path:
        return f"{command.path[:200]!a} is not an absolute, normalised path of plain characters"
    for arg in command.args or ():
        if len(arg) > MAX_ARG_LENGTH:
            return f"an argument has {len(arg)} characters; the limit is {MAX_ARG_LENGTH}"
        if not _ARG.fullmatch(arg):
            return f"the argument {arg[:80]!a} is empty, or has blanks or characters outside printable ASCII"
    return None


def check_ask(untrusted_ask: Ask) -> Ask:
    """Return the ask; raise `Invalid` or `LimitExceeded` if it cannot be one."""
    ask = untrusted_ask
    if len(ask.argv) > MAX_WORDS:
        raise LimitExceeded(f"the command has {len(ask.argv)} words; the limit is {MAX_WORDS}")
    size = sum(len(word.encode("utf-8", "surrogatepass")) + 1 for word in ask.argv)
    if size > MAX_ARGV_BYTES:
        raise LimitExceeded(f"the command has {size} bytes; the limit is {MAX_ARGV_BYTES}")
    if any("\0" in word for word in ask.argv):
        raise Invalid("the command holds a NUL character")
    if ask.argv and not ask.argv[0].startswith("/"):
        raise Invalid(f"{ask.argv[0][:80]!a} is not an absolute path", hint="name the program by its full path")
    for what, name in (("user", ask.run_as_user), ("group", ask.run_as_group)):
        if len(name) > 256 or not name.isprintable():
            raise Invalid(f"the run-as {what} is not a name")
    if not ask.run_as_user:
        raise Invalid("the run-as user is missing")
    if ask.shell and ask.login:
        raise Invalid("a shell (-s) and a login shell (-i) exclude each other")
    if ask.exact:
        _check_exact(ask)
    return ask


def _check_exact(ask: Ask) -> None:
    if ask.wants_shell or ask.command is None:
        raise Invalid("only a command can be asked for exactly, not a shell or a whole role")
    problem = command_problem(ask.command)
    if problem is not None:
        raise Invalid(f"this command cannot be granted exactly: {problem}", hint="ask for the role without --exact")
