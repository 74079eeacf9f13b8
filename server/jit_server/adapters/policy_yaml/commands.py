"""Commands as a policy file writes them: a command line, a mapping, or the name of a bundle of them (SPEC 9.3)."""

from __future__ import annotations

import re
import shlex
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, Tag, WithJsonSchema, model_validator

from jit_server.adapters.policy_yaml.values import LIST, MAPPING, TEXT, Name, Shape, exactly, one_of, written
from jit_server.domain import pattern
from jit_server.domain.ask import ALL, MAX_COMMANDS, Command
from jit_server.domain.pattern import Pattern
from jit_server.domain.policy.trap import command_trap

ANY = "any"
_ARGS = "must be `any`, the list of arguments, or {regex: '^…$'}"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_COMMAND, _BUNDLE = "(command)", "(bundle)"


def words_of(line: str) -> list[str]:
    """The words of a command line as a shell splits them, nothing expanded; raises ValueError."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {str(error).lower()}") from None
    if not words:
        raise ValueError("must not be empty")
    return words


def _checked(command: Command) -> Command:
    """Raises ValueError when it does not mean what it says (SPEC 9.3)."""
    problem = command_trap(command)
    if problem is not None:
        raise ValueError(problem)
    return command


def _line(value: object) -> Command:
    words = words_of(str(value))
    return _checked(Command(words[0], tuple(words[1:])))


def _digest(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError(f"{text[:80]!a} is not a SHA-256 digest: write its 64 hexadecimal digits in lower case")
    return text


def expression(text: str) -> str:
    """The text, if it is an expression of the small language; raises ValueError."""
    problem = pattern.problem(text)
    if problem is not None:
        raise ValueError(problem)
    return text


Expression = Annotated[str, AfterValidator(expression)]


class RegexShape(Shape):
    regex: Expression


class CommandShape(Shape):
    path: Annotated[str, written("/.*")]
    args: Annotated[
        Annotated[str, *exactly(ANY, _ARGS), Tag(TEXT)]
        | Annotated[list[str], Tag(LIST)]
        | Annotated[RegexShape, Tag(MAPPING)],
        one_of(_ARGS),
    ]
    sha256: Annotated[str, AfterValidator(_digest), written(_SHA256.pattern)] = ""

    @model_validator(mode="after")
    def _renderable(self) -> CommandShape:
        _checked(self.as_command())
        return self

    def as_command(self) -> Command:
        match self.args:
            case RegexShape(regex=text):
                return Command(self.path, Pattern(text), self.sha256)
            case list() as words:
                return Command(self.path, tuple(words), self.sha256)
            case _:
                return Command(self.path, None, self.sha256)


class BundleShape(Shape):
    """All commands of a named bundle."""

    bundle: Name


def _kind(value: object) -> str | None:
    match value:
        case str():
            return TEXT
        case {"bundle": _}:
            return _BUNDLE
        case dict() | CommandShape():
            return _COMMAND
        case _:
            return None


_CommandLine = Annotated[Command, PlainValidator(_line), WithJsonSchema({"type": "string", "minLength": 1}), Tag(TEXT)]
_NOT_COMMANDS = "must be ALL, or a list of commands"
_NOT_A_COMMAND = "must be a command line, or a mapping with path and args"
PlainCommand = Annotated[_CommandLine | Annotated[CommandShape, Tag(_COMMAND)], one_of(_NOT_A_COMMAND, _kind)]
AnyCommand = Annotated[
    _CommandLine | Annotated[CommandShape, Tag(_COMMAND)] | Annotated[BundleShape, Tag(_BUNDLE)],
    one_of(f"{_NOT_A_COMMAND}, or {{bundle: NAME}}", _kind),
]
Bundle = Annotated[list[PlainCommand], Field(min_length=1, max_length=MAX_COMMANDS)]
Commands = Annotated[
    Annotated[str, *exactly(ALL, _NOT_COMMANDS), Tag(TEXT)]
    | Annotated[list[AnyCommand], Field(min_length=1, max_length=MAX_COMMANDS), Tag(LIST)],
    one_of(_NOT_COMMANDS),
]


def plain(entry: Command | CommandShape) -> Command:
    """The command of an entry."""
    return entry.as_command() if isinstance(entry, CommandShape) else entry
