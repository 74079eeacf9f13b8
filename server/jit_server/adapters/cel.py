"""The Common Expression Language (cel.dev), by Google's `cel-expr-python`.

An expression is compiled once, with its types checked, when the policy is read.  It is bounded: in length, in depth and
in steps by the library, and in how far it can multiply its values by `MAX_LOOPS`.
What the library calls an error is a value, and a true one at that: only a plain true of the right type counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jit_server.domain.policy.expression import Program, Value

try:
    from cel_expr_python import cel
except ImportError:  # There is no wheel of it for every machine.
    cel = None

MAX_LENGTH = 1_000
MAX_LOOPS = 2
"""Each loop can multiply a text by what is written in it; by a third one memory would be the only limit."""

_LOOP = re.compile(r"\b(?:all|exists|exists_one|existsOne|map|filter|transformList|transformMap)\s*(?://.*\s*)*\(")
_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_LIBRARY_PROBLEM = "cel needs the library cel-expr-python, which this server does not have"


class CelError(ValueError):
    """The text is no expression that could be a condition; `line` and `column` count from 1 within it."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line, self.column = line, column


@dataclass(frozen=True, slots=True)
class _Compiled:
    expression: Any

    def holds(self, values: Mapping[str, Value]) -> bool:
        data = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        try:
            answer = self.expression.eval(data=data)
            kind, plain = answer.type(), answer.value()
        except Exception as error:  # The library raises whatever its core does.
            raise ValueError(_plainly(str(error))) from None
        if kind == cel.Type.ERROR:
            raise ValueError(_plainly(str(plain)))
        if kind != cel.Type.BOOL or not isinstance(plain, bool):
            raise ValueError("it is neither true nor false")
        return plain


def compiled(text: str) -> Program:
    """Check the expression and its types, and make it ready to be asked; raises `CelError`."""
    if cel is None:
        raise CelError(_LIBRARY_PROBLEM)
    if len(text) > MAX_LENGTH:
        raise CelError(f"the expression has {len(text)} characters, the limit is {MAX_LENGTH}")
    if len(_LOOP.findall(text)) > MAX_LOOPS:
        raise CelError(f"more than {MAX_LOOPS} of all, exists, exists_one, map and filter are in the expression")
    try:
        expression = _environment().compile(text)
    except Exception as error:  # The library has one class of error for everything.
        raise _located(str(error)) from None
    if expression.return_type() != cel.Type.BOOL:
        raise CelError(f"the expression gives a {expression.return_type().name().lower()}, and has to give a bool")
    return _Compiled(expression)


@cache
def _environment() -> Any:
    kinds = cel.Type
    return cel.NewEnv(
        variables={
            "user": kinds.STRING,
            "groups": kinds.List(kinds.STRING),
            "host": kinds.STRING,
            "labels": kinds.Map(kinds.STRING, kinds.STRING),
            "role": kinds.STRING,
            "command": kinds.STRING,
            "args": kinds.List(kinds.STRING),
            "run_as": kinds.STRING,
            "now": kinds.TIMESTAMP,
            "duration": kinds.DURATION,
            "reason": kinds.STRING,
            "ticket": kinds.STRING,
            "login": kinds.STRING,
            "source": kinds.STRING,
            "live": kinds.INT,
        }
    )


def _located(message: str) -> CelError:
    found = _PLACE.search(message)
    if found is None:
        return CelError(_plainly(message))
    return CelError(_plainly(found[3].replace(" (in container '')", "")), int(found[1]), int(found[2]))


def _plainly(message: str) -> str:
    """One line of what the library says, without its codes."""
    first = message.strip().splitlines()[0] if message.strip() else "it failed"
    first = _STATUS.sub("", _STATUS.sub("", first))[:200]
    printable = "".join(character if character.isprintable() else "?" for character in first)
    return printable[:1].lower() + printable[1:]
