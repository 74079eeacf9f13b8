"""Policy files, and what is to be said about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """One policy file as it was given; `name` is for messages only."""

    name: str
    text: str


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the lint has to say; line and column from 1, zero when it is about the whole file.

    `rule` names the lint rule (SPEC 9.6), by which it can be suppressed; empty for what is wrong with the file as such.
    `fix` says what to write instead; it may be empty.  `role` is the one it is about, empty if it is about none.
    """

    file: str
    line: int
    column: int
    severity: Severity
    message: str
    rule: str = ""
    fix: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something is written; line and column from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Suppression:
    """Hides the findings of one rule about one role until then (µs UTC); `reason` says why that is right."""

    rule: str
    role: str
    reason: str
    until: int
    spot: Spot
