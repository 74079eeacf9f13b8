"""A condition in the Common Expression Language, for what the other conditions cannot say (`cel:` in the files).

This is what an expression may look at and how its answer counts; the language itself is behind `Program`, whose one
implementation is `adapters/cel.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from jit_server.domain.policy.check import Check
from jit_server.domain.policy.conditions import Facts

_OPEN = re.compile(r"\b(?:reason|ticket)\b")
_OPEN_WITHOUT_DURATION = re.compile(r"\b(?:duration|reason|ticket)\b")
_COMMAND = re.compile(r"\b(?:command|args)\b")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Value = str | int | tuple[str, ...] | Mapping[str, str] | datetime | timedelta


class Program(Protocol):
    """An expression that was compiled and found to be of the right type."""

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether it is true of the values.  Raises ValueError, with one line that says why, if it has no answer."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Met only by a plain true: an expression that fails, whatever the cause, refuses (S6)."""

    text: str
    program: Program = field(compare=False, repr=False)

    def check(self, facts: Facts) -> Check:
        shown = str(self)
        still_open = _OPEN if facts.circumstances.duration_s else _OPEN_WITHOUT_DURATION
        if facts.circumstances.draft and still_open.search(self.text):
            return Check("when.cel", True, f"{shown} depends on what is given with the request")
        if _COMMAND.search(self.text) and not (facts.ask is not None and facts.ask.exact):
            # A grant is for all of the role unless it was asked for exactly: the next command would be any of them.
            if not facts.circumstances.draft:
                why = f"{shown} looks at the command, and only a grant for that one command is held to it"
                return Check("when.cel", False, why, "ask for the one command: jit sudo --exact COMMAND")
            if facts.ask is None:
                return Check("when.cel", True, f"{shown} depends on the command that is asked for")
        try:
            met = self.program.holds(values(facts))
        except ValueError as error:
            why = f"{shown} has no answer here ({error}), which refuses"
            return Check("when.cel", False, why, "an administrator has to correct the policy")
        if met:
            return Check("when.cel", True, f"{shown} is true")
        return Check("when.cel", False, f"{shown} is not true", f"it has to be true: {shown}")

    def holds_until(self, facts: Facts) -> int:
        return 0

    def __str__(self) -> str:
        """On one line."""
        return " ".join(self.text.split())


def values(facts: Facts) -> Mapping[str, Value]:
    """The variables of SPEC 9.2.  What there is none of is the empty text, or the empty list."""
    circumstances, command = facts.circumstances, None if facts.ask is None else facts.ask.command
    login = circumstances.login
    return {
        "user": facts.person.name,
        "groups": facts.groups,
        "host": facts.host.name,
        "labels": dict(facts.host.labels),
        "role": facts.role,
        "command": "" if command is None else command.path,
        "args": facts.ask.argv[1:] if facts.ask is not None else (),
        "run_as": "" if facts.ask is None else facts.ask.run_as_user,
        "now": _EPOCH + timedelta(microseconds=circumstances.begin),
        "duration": timedelta(seconds=circumstances.duration_s),
        "reason": circumstances.reason,
        "ticket": circumstances.ticket,
        "login": login.kind.value,
        "source": "" if login.source is None else str(login.source),
        "live": circumstances.live,
    }
