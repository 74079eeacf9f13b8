"""A role as a policy file writes it: which keys there are, and what each may hold (SPEC 9.1).

Shapes only; what one part says about another is checked in `checking`.
"""

from __future__ import annotations

import posixpath
import re
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, Tag, model_validator

from jit_server.adapters.policy_yaml.commands import Commands, Expression
from jit_server.adapters.policy_yaml.labels import Hosts
from jit_server.adapters.policy_yaml.people import Active, Approvals, Eligible, EligibleShape, PartyShape
from jit_server.adapters.policy_yaml.values import (
    DAY_S,
    FLAG,
    MAPPING,
    TEXT,
    Account,
    Duration,
    Line,
    Name,
    Shape,
    choice,
    duration_between,
    exactly,
    one_of,
    written,
)
from jit_server.adapters.policy_yaml.when import When
from jit_server.domain.grant import DEFAULT_RETAIN_S, Record
from jit_server.domain.policy.environment import MAX_NAMES, variable_problem
from jit_server.domain.policy.model import Extend

REQUIRED, BEST_EFFORT = "required", "best-effort"
APPROVAL_KEYS = ("approvers", "approvals", "request_timeout")
"""What a role says itself, or its flow."""
MAX_CONCURRENT = 1_000_000
MAX_HOSTS = 1_000
_DIRECTORY = re.compile(r"/(?!/)[A-Za-z0-9._+@%~/-]{0,1023}", re.ASCII)


def _directory(text: str) -> str:
    # Nothing that sudoers reads as more than a path: its `CWD=` takes `*`, `~` and blanks for something else.
    if not _DIRECTORY.fullmatch(text) or posixpath.normpath(text) != text:
        raise ValueError(f"{text[:80]!a} is not an absolute, normalised path of plain characters")
    return text


def _variable(name: str) -> str:
    problem = variable_problem(name)
    if problem is not None:
        raise ValueError(problem)
    return name


Variable = Annotated[str, AfterValidator(_variable), written("[A-Za-z_][A-Za-z0-9_]{0,127}")]


class DurationShape(Shape):
    default: Duration
    max: Duration


class MfaShape(Shape):
    age: Annotated[int, *duration_between(10, DAY_S, "must be between 10s and 24h")]


class TicketShape(Shape):
    pattern: Expression


class ConcurrentShape(Shape):
    """How many grants of the role live at once."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    person: Annotated[int, Field(ge=1, le=MAX_CONCURRENT)] | None = None
    everybody: Annotated[int, Field(ge=1, le=MAX_CONCURRENT)] | None = None

    @model_validator(mode="after")
    def _limits(self) -> ConcurrentShape:
        if self.person is None and self.everybody is None:
            raise ValueError("limits nothing: write person, everybody or both")
        return self


class LeaseShape(Shape):
    lease: Annotated[int, *duration_between(10, 3_600, "must be between 10s and 1h")]


_LEASE = "must be `until-expiry`, or a lease such as {lease: 2m}"
_WATCH = "must be between 10s and 24h: so long a session lives on that nobody watches"


class RoleShape(Shape):
    """What may be done, where, by whom, and under which conditions."""

    model_config = ConfigDict(
        json_schema_extra={"dependentSchemas": {"flow": {"properties": dict.fromkeys(APPROVAL_KEYS, False)}}}
    )

    description: Line = ""
    hosts: Hosts
    run_as: list[Account] = Field(default=["root"], min_length=1)
    run_as_groups: list[Account] = Field(default_factory=list)
    commands: Commands
    shell: bool = False
    directory: Annotated[str, AfterValidator(_directory), written(_DIRECTORY.pattern)] = ""
    environment: list[Variable] = Field(default_factory=list, max_length=MAX_NAMES)
    eligible: Eligible = Field(default_factory=list)
    active: Active = Field(default_factory=list)
    renew: Duration = 0
    flow: Name | None = None
    approvers: PartyShape | None = None
    approvals: Approvals | None = None
    request_timeout: Duration | None = None
    duration: DurationShape
    mfa: Annotated[
        Annotated[bool, Tag(FLAG)] | Annotated[MfaShape, Tag(MAPPING)], one_of("must be true, false or {age: 15m}")
    ] = True
    reason: bool = True
    ticket: Annotated[
        Annotated[bool, Tag(FLAG)] | Annotated[TicketShape, Tag(MAPPING)],
        one_of("must be true, false or {pattern: '^…$'}"),
    ] = False
    once: bool = False
    concurrent: ConcurrentShape | None = None
    max_hosts: Annotated[int, Field(ge=1, le=MAX_HOSTS)] = 1
    when: When = Field(default_factory=list)
    record: Annotated[str, *choice(*(level.value for level in Record))] = Record.OUTPUT.value
    recording: Annotated[str, *choice(REQUIRED, BEST_EFFORT)] = REQUIRED
    subcommands: bool = False
    watch: Annotated[int, *duration_between(10, DAY_S, _WATCH)] = 0
    retain: Duration = DEFAULT_RETAIN_S
    extend: Annotated[str, *choice(*(way.value for way in Extend))] = Extend.SELF.value
    offline: Annotated[
        Annotated[str, *exactly("until-expiry", _LEASE), Tag(TEXT)] | Annotated[LeaseShape, Tag(MAPPING)],
        one_of(_LEASE),
    ] = "until-expiry"

    @property
    def eligibilities(self) -> list[tuple[tuple[str | int, ...], EligibleShape]]:
        """Each entry of `eligible` and `active`, after the path at which it stands in the role."""
        found: list[tuple[tuple[str | int, ...], EligibleShape]] = []
        for key, entries in (("eligible", self.eligible), ("active", self.active)):
            if isinstance(entries, EligibleShape):
                found.append(((key,), entries))
            else:
                found.extend(((key, index), entry) for index, entry in enumerate(entries))
        return found

    @property
    def lease_s(self) -> int:
        return self.offline.lease if isinstance(self.offline, LeaseShape) else 0
