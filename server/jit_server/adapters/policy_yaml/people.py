"""People as a policy file names them: parties, groups, who is eligible and until when, and who approves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, Tag, model_validator

from jit_server.adapters.policy_yaml.values import (
    LIST,
    MAPPING,
    Duration,
    Name,
    PersonName,
    Said,
    Shape,
    Since,
    Until,
    one_of,
)
from jit_server.domain.policy.model import DEFAULT_REQUEST_TIMEOUT_S, Eligibility, Party

MAX_APPROVALS = 100


class PartyShape(Shape):
    people: list[PersonName] = Field(default_factory=list)
    groups: list[Name] = Field(default_factory=list)

    def as_party(self) -> Party:
        return Party(frozenset(self.people), frozenset(self.groups))


Group = Annotated[
    Annotated[list[PersonName], Tag(LIST)] | Annotated[PartyShape, Tag(MAPPING)],
    one_of("must be a list of people, or {people: [...], groups: [...]}"),
]


class EligibleShape(PartyShape):
    """Who, and from when until when."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["until"]},
                {"required": ["permanent"], "properties": {"permanent": {"const": True}}},
            ]
        }
    )

    since: Since = Field(default=0, alias="from")
    until: Until = 0
    permanent: bool = False

    @model_validator(mode="after")
    def _ends(self) -> EligibleShape:
        if self.permanent and self.until:
            raise ValueError("permanent and until exclude each other")
        if not self.permanent and not self.until:
            raise ValueError("say until when, such as `until: 2027-03-31`, or write `permanent: true`")
        if self.until and self.until <= self.since:
            raise ValueError("from is not before until")
        return self

    def as_eligibility(self) -> Eligibility:
        return Eligibility(self.as_party(), self.since, self.until)


class ActiveShape(EligibleShape):
    """The same without approval, code and reason; so why is said here."""

    reason: Said

    def as_eligibility(self) -> Eligibility:
        return Eligibility(self.as_party(), self.since, self.until, active=True, reason=self.reason)


Eligible = Annotated[
    Annotated[EligibleShape, Tag(MAPPING)] | Annotated[list[EligibleShape], Tag(LIST)],
    one_of("must be a mapping such as {groups: [ops], until: 2027-03-31}, or a list of such"),
]
Active = Annotated[
    Annotated[ActiveShape, Tag(MAPPING)] | Annotated[list[ActiveShape], Tag(LIST)],
    one_of("must be a mapping such as {people: [alice], until: 2027-03-31, reason: on duty}, or a list of such"),
]
Approvals = Annotated[int, Field(ge=0, le=MAX_APPROVALS)]


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approves, how many of them, and for how many seconds a request waits for that."""

    approvers: PartyShape
    approvals: int = 1
    request_timeout_s: int = DEFAULT_REQUEST_TIMEOUT_S


class FlowShape(Shape):
    """The same as it is written under a name."""

    approvers: PartyShape = Field(default_factory=PartyShape)
    approvals: Approvals = 1
    request_timeout: Duration = DEFAULT_REQUEST_TIMEOUT_S

    def as_approval(self) -> Approval:
        return Approval(self.approvers, self.approvals, self.request_timeout)
