"""The sections of a policy file beside its roles that are no names for something: `changes`, `tests` and `suppress`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field, Tag, model_validator

from jit_server.adapters.policy_yaml.commands import words_of
from jit_server.adapters.policy_yaml.people import Approvals, PartyShape
from jit_server.adapters.policy_yaml.values import (
    MAPPING,
    TEXT,
    Account,
    Duration,
    HostName,
    Instant,
    Labels,
    Line,
    Name,
    PersonName,
    RuleName,
    Said,
    Shape,
    Until,
    choice,
    one_of,
)
from jit_server.domain.ask import Ask, check_ask
from jit_server.domain.policy.circumstances import Login, LoginKind, address
from jit_server.domain.policy.expectation import Expectation
from jit_server.domain.policy.finding import Spot, Suppression
from jit_server.errors import Invalid

ALLOW, DENY = "allow", "deny"
EVERYTHING, ROOT = "everything", "root"
_LOGINS = tuple(kind.value for kind in LoginKind)


class ChangesShape(Shape):
    """Who has to approve a change of the policy, and of which."""

    approvers: PartyShape
    approvals: Approvals = 1
    what: Annotated[str, *choice(ROOT, EVERYTHING)] = Field(default=ROOT, alias="for")


def _command(line: str) -> str:
    words = words_of(line)
    if not words[0].startswith("/"):
        raise ValueError(f"{words[0][:80]!a} is not an absolute path")
    return line


def _address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        raise ValueError(f"{text[:80]!a} is not an address: write one such as 10.0.0.7 or 2001:db8::7") from None
    return text


class LabelledShape(Shape):
    """A host that exists nowhere, with these labels."""

    labels: Labels


class TestShape(Shape):
    """What is asked, and what is to come of it."""

    name: Said
    who: PersonName
    on: Annotated[
        Annotated[HostName, Tag(TEXT)] | Annotated[LabelledShape, Tag(MAPPING)],
        one_of("must be the name of a host, or {labels: {tier: web}}"),
    ]
    run: Annotated[str, AfterValidator(_command)] | None = None
    run_as: Account = Field(default="root", alias="as")
    role: Name | None = None
    at: Instant = 0
    login: Annotated[str, *choice(*_LOGINS)] = LoginKind.SSH.value
    source: Annotated[str, AfterValidator(_address)] | None = Field(default=None, alias="from")
    terminal: bool = True
    lasts: Duration = Field(default=0, alias="for")
    expect: Annotated[str, *choice(ALLOW, DENY)]
    because: Line = ""

    @model_validator(mode="after")
    def _consistent(self) -> TestShape:
        if self.because and self.expect == ALLOW:
            raise ValueError("because is a part of a refusal: it goes with `expect: deny`")
        try:
            if self.ask is not None:
                check_ask(self.ask)
        except Invalid as error:
            raise ValueError(f"run: {error}") from None
        return self

    @property
    def ask(self) -> Ask | None:
        """None: the role as such, as whatever account it runs commands."""
        if self.run is None and "run_as" not in self.model_fields_set:
            return None
        return Ask(tuple(words_of(self.run)) if self.run is not None else (), run_as_user=self.run_as)

    def as_expectation(self, spot: Spot) -> Expectation:
        source = None if self.source is None else address(self.source)
        return Expectation(
            name=self.name,
            person=self.who,
            host=self.on if isinstance(self.on, str) else "",
            labels={} if isinstance(self.on, str) else self.on.labels,
            ask=self.ask,
            role=self.role or "",
            login=Login(LoginKind(self.login), source, self.terminal),
            allow=self.expect == ALLOW,
            at=self.at,
            duration_s=self.lasts,
            because=self.because,
            file=spot.file,
            line=spot.line,
        )


class SuppressShape(Shape):
    """Which kind of finding of which role is known and right, and until when that is believed."""

    rule: RuleName
    role: Name
    reason: Said
    until: Until

    def as_suppression(self, spot: Spot) -> Suppression:
        return Suppression(self.rule, self.role, self.reason, self.until, spot)
