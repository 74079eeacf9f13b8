"""What a person wants sudo to run, and what a role lets sudo run.

`Command` and the rules for it are SPEC 2.3 and 9.3; limits are SPEC 7.  What a host could not write into sudoers
without doubt is refused here already, where the person still sees why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from jit_server.domain import pattern, shell
from jit_server.domain.pattern import Pattern
from jit_server.errors import Invalid, LimitExceeded

MAX_WORDS = 1_000
MAX_ARGV_BYTES = 64 * 1024
MAX_ARG_LENGTH = 4_096
MAX_COMMANDS = 200

ALL: Final = "ALL"
"""Any command at all."""

_PATH = re.compile(r"(/[A-Za-z0-9._+@%~-]+)+")
_ARG = re.compile(r"[!-~]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Command:
    """One program; with exactly these arguments, with those an expression matches, or with any if `args` is None.

    `sha256`, hexadecimal: only while the file's content has this digest; empty: whatever it holds.
    """

    path: str
    args: tuple[str, ...] | Pattern | None
    sha256: str = ""

    def __str__(self) -> str:
        """One line, exact arguments as a shell would have to be told them; `…` stands for any arguments."""
        digest = f"sha256:{self.sha256} " if self.sha256 else ""
        match self.args:
            case None:
                return f"{digest}{shell.quote(self.path)} …"
            case Pattern() as expression:
                return f"{digest}{shell.quote(self.path)} {expression}"
            case words:
                return f"{digest}{shell.join((self.path, *words))}"

    def admits(self, argv: Sequence[str]) -> bool:
        """Whether it lets this command line through; what the file holds is seen only on the host."""
        if not argv or argv[0] != self.path:
            return False
        match self.args:
            case None:
                return True
            case Pattern() as expression:
                return expression.matches_words(argv[1:])
            case words:
                return words == tuple(argv[1:])

    def covers(self, other: Command) -> bool:
        """Whether everything `other` lets through is let through by this.

        Of two different expressions it is not told; then the answer is no.
        """
        if self.path != other.path or self.sha256 not in ("", other.sha256):
            return False
        if self.args is None or self.args == other.args:
            return True
        return isinstance(other.args, tuple) and self.admits((other.path, *other.args))


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
    """One line for each command, or the one word ALL."""
    return (ALL,) if commands == ALL else tuple(str(command) for command in commands)


def covers(commands: Commands, wanted: Commands) -> bool:
    """Whether `commands` let through everything that `wanted` lets through."""
    if commands == ALL:
        return True
    if wanted == ALL:
        return False
    return all(any(have.covers(want) for have in commands) for want in wanted)


def admits(commands: Commands, argv: Sequence[str]) -> bool:
    """Whether `commands` let this command line through."""
    return commands == ALL or any(command.admits(argv) for command in commands)


def narrowed(commands: Commands, argv: Sequence[str]) -> Commands:
    """What of `commands` is for exactly this command line: it alone, with the digests it is held to; may be nothing."""
    exact = Command(argv[0], tuple(argv[1:]))
    if commands == ALL:
        return (exact,)
    digests = {command.sha256 for command in commands if command.admits(argv)}
    return tuple(replace(exact, sha256=digest) for digest in sorted({""} & digests or digests))


def command_problem(command: Command) -> str | None:
    """Say why no host could write this command into sudoers without doubt, and what to do instead; None if one can."""
    path, args = command.path, command.args
    if not _PATH.fullmatch(path) or len(path) > MAX_ARG_LENGTH or not {".", ".."}.isdisjoint(path.split("/")):
        return f"{path[:200]!a} is not an absolute, normalised path of plain characters"
    if path.endswith("/sudoedit"):
        return "sudoedit lets its user choose the editor: name a program that puts the file in place"
    if command.sha256 and not _SHA256.fullmatch(command.sha256):
        return f"{command.sha256[:80]!a} is not a SHA-256 digest: 64 hexadecimal digits in lower case"
    if args is None:
        return None
    return pattern.problem(args.text) if isinstance(args, Pattern) else _words_problem(args)


def _words_problem(words: Sequence[str]) -> str | None:
    for word in words:
        if len(word) > MAX_ARG_LENGTH:
            return f"an argument has {len(word)} characters; the limit is {MAX_ARG_LENGTH}"
        if not _ARG.fullmatch(word):
            shown = ascii(word[:80])
            return f"the argument {shown} is empty, or has blanks or characters outside printable ASCII"
    return 'the argument "" alone would mean no arguments to sudo' if tuple(words) == ('""',) else None


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
