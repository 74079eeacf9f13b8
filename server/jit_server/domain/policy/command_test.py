"""Whether a role lets a command line through, and by which of its commands, in sudo's own terms (SPEC 9.3).

sudo joins the arguments with blanks and holds them against each command of the rule; a digest it compares when it opens
the file.  The host's gate holds them against the same commands (SPEC 3.2).  The command is shown as it stands in
sudoers, but for the backslashes before single characters: those are the enforcer's to write and to read back.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from jit_server.domain import shell
from jit_server.domain.ask import ALL, Command
from jit_server.domain.pattern import Pattern
from jit_server.domain.policy.model import Role


@dataclass(frozen=True, slots=True)
class CommandTest:
    """`by` is the command that lets it through or, if none does, the nearest; empty if none is near."""

    allowed: bool
    by: str
    why: str
    sudoers: str


def try_command(role: Role, argv: Sequence[str]) -> CommandTest:
    """`argv` is the program, by its path or a bare name that sudo looks up, and its arguments; it is not empty."""
    if role.commands == ALL:
        return CommandTest(True, ALL, f"role {role.name} allows every command", _placed(role, ALL))
    near = [command for command in role.commands if _same_program(command, argv[0])]
    for command in near:
        if command.admits((command.path, *argv[1:])):
            return CommandTest(True, str(command), _why(command, argv), _placed(role, _spec(command)))
    if not near:
        return _other_program(role, role.commands, argv[0])
    nearest = max(near, key=lambda command: _shared(command, argv[1:]))
    return CommandTest(False, str(nearest), _difference(nearest, argv[1:]), _placed(role, _spec(nearest)))


def _same_program(command: Command, program: str) -> bool:
    return command.path == program or ("/" not in program and posixpath.basename(command.path) == program)


def _why(command: Command, argv: Sequence[str]) -> str:
    found = "" if argv[0] == command.path else f"if sudo finds {shell.quote(argv[0])} as {command.path}, "
    digest = ", while the file has this digest" if command.sha256 else ""
    match command.args:
        case None:
            return f"{found}any arguments are allowed{digest}"
        case Pattern():
            return f"{found}the expression matches all of the arguments{digest}"
        case _:
            return f"{found}these are exactly its arguments{digest}"


def _other_program(role: Role, commands: Sequence[Command], program: str) -> CommandTest:
    same_name = [one for one in commands if posixpath.basename(one.path) == posixpath.basename(program)]
    if not same_name:
        return CommandTest(False, "", f"role {role.name} has no command that runs {shell.quote(program)}", "")
    near = same_name[0]
    why = f"it runs {near.path}, and {shell.quote(program)} is another path"
    return CommandTest(False, str(near), why, _placed(role, _spec(near)))


def _difference(command: Command, words: Sequence[str]) -> str:
    """Where arguments leave what the command allows."""
    for number, word in enumerate(words, 1):
        if not word or not word.isascii() or not word.isprintable() or " " in word:
            return f"argument {number}, {shell.quote(word)}, is empty or has blanks or other than printable ASCII"
    match command.args:
        case Pattern() as expression:
            return _left(expression, " ".join(words))
        case tuple(wanted):
            for number, (word, other) in enumerate(zip(words, wanted, strict=False), 1):
                if word != other:
                    return f"argument {number} is {shell.quote(word)}, and has to be {shell.quote(other)}"
            return f"it takes exactly {len(wanted)} arguments, and was given {len(words)}"
        case None:
            return "any arguments are allowed"


def _left(expression: Pattern, text: str) -> str:
    at = expression.follows(text)
    if at == len(text):
        return f"the expression wants more after {shell.quote(text)}" if text else "the expression wants arguments"
    return f"the expression follows up to character {at}, and does not go on with {shell.quote(text[at : at + 40])}"


def _shared(command: Command, words: Sequence[str]) -> int:
    """How many characters of the arguments are as the command wants them."""
    text = " ".join(words)
    match command.args:
        case Pattern() as expression:
            return expression.follows(text)
        case tuple(wanted):
            return len(posixpath.commonprefix([text, " ".join(wanted)]))
        case None:
            return len(text)


def _spec(command: Command) -> str:
    digest = f"sha256:{command.sha256} " if command.sha256 else ""
    match command.args:
        case None:
            return f"{digest}{command.path}"
        case Pattern() as expression:
            return f"{digest}{command.path} {expression}"
        case words:
            return digest + " ".join((command.path, *(words or ('""',))))


def _placed(role: Role, command: str) -> str:
    return f"CWD={role.directory} NOSETENV: {command}" if role.directory else f"NOSETENV: {command}"
