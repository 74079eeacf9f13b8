"""What the agent says of roles and requests (SPEC 4.2), from untrusted JSON to frozen values.

Text in these values is still the text of other people: `terminal` makes it safe
when it is shown (S12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jit_cli.batch import BatchHost, asked
from jit_cli.fields import Fields
from jit_cli.grants import Live

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """A role that would do, and what it still wants to know."""

    role: str
    description: str
    default_s: int
    max_s: int
    mfa: bool
    reason: bool
    ticket: bool
    approvals: int
    approvers: tuple[str, ...]
    commands: tuple[str, ...]
    run_as_users: tuple[str, ...]
    # When the right to it ends by itself, µs UTC; zero: it does not.
    until: int
    # Mine without approval, reason and code.
    active: bool
    # Its grants are for one sudo.
    once: bool
    max_hosts: int
    # Under which conditions, a line each.
    when: tuple[str, ...]
    # A code was proved so short ago that none has to be given.
    mfa_fresh: bool

    @property
    def code(self) -> bool:
        """Whether a code has to be given now."""
        return self.mfa and not self.mfa_fresh

    @classmethod
    def read(cls, fields: Fields) -> Choice:
        return cls(
            role=fields.text("role"),
            description=fields.text("description"),
            default_s=fields.number("default_s"),
            max_s=fields.number("max_s"),
            mfa=fields.flag("mfa"),
            reason=fields.flag("reason"),
            ticket=fields.flag("ticket"),
            approvals=fields.number("approvals"),
            approvers=fields.texts("approvers"),
            commands=fields.texts("commands"),
            run_as_users=fields.texts("run_as_users"),
            until=fields.number("until"),
            active=fields.flag("active"),
            once=fields.flag("once"),
            max_hosts=fields.number("max_hosts"),
            when=fields.texts("when"),
            mfa_fresh=fields.flag("mfa_fresh"),
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a role (or, unnamed, anything) does not fit, and what would help."""

    role: str
    why: str
    hint: str

    @classmethod
    def read(cls, fields: Fields) -> Refusal:
        return cls(role=fields.text("role"), why=fields.text("why"), hint=fields.text("hint"))


@dataclass(frozen=True, slots=True)
class Decision:
    by: str
    approved: bool
    reason: str
    at: int

    @classmethod
    def read(cls, fields: Fields) -> Decision:
        return cls(fields.text("by"), fields.flag("approved"), fields.text("reason"), fields.number("at"))


@dataclass(frozen=True, slots=True)
class Grant:
    """What an approved request became, as the server sees it."""

    grant_id: str
    state: str
    not_before: int
    not_after: int
    ended_at: int
    end_reason: str
    end_confirmed: bool
    approved_by: tuple[str, ...]
    # Not zero: the host ends it by itself after so long without the server.
    lease_s: int
    extensions: int
    # When the server gave up waiting for the host's word; 0: it never did.
    unconfirmed_at: int
    # What the host found outside every scope at the end, one line for each process.
    leftovers: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> Grant:
        return cls(
            grant_id=fields.text("grant_id"),
            state=fields.text("state"),
            not_before=fields.number("not_before"),
            not_after=fields.number("not_after"),
            ended_at=fields.number("ended_at"),
            end_reason=fields.text("end_reason"),
            end_confirmed=fields.flag("end_confirmed"),
            approved_by=fields.texts("approved_by"),
            lease_s=fields.number("lease_s"),
            extensions=fields.number("extensions"),
            unconfirmed_at=fields.number("unconfirmed_at"),
            leftovers=fields.texts("leftovers"),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One ask of mine: for a grant, or for a longer one."""

    request_id: str
    host: str
    role: str
    ask: Object
    reason: str
    ticket: str
    duration_s: int
    state: str
    created_at: int
    lapses_at: int
    approvals_needed: int
    approvers: tuple[str, ...]
    decisions: tuple[Decision, ...]
    grant: Grant | None
    once: bool
    this_session: bool
    # Zero: as soon as it is approved.
    starts_at: int
    # The grant that shall last longer; empty: this asks for a new one.
    extends: str
    # Of an undecided extension: the end it asks for, and the role's maximum if that passes it.
    extends_to: int
    past_max_s: int
    # Those that were asked for as one have the same; empty: it stands alone.
    batch_id: str
    batch: tuple[BatchHost, ...]

    @classmethod
    def read(cls, fields: Fields) -> Request:
        grant = fields.maybe("grant")
        return cls(
            request_id=fields.text("request_id"),
            host=fields.text("host"),
            role=fields.text("role"),
            ask=_ask(fields.object("ask")),
            reason=fields.text("reason"),
            ticket=fields.text("ticket"),
            duration_s=fields.number("duration_s"),
            state=fields.text("state"),
            created_at=fields.number("created_at"),
            lapses_at=fields.number("lapses_at"),
            approvals_needed=fields.number("approvals_needed"),
            approvers=fields.texts("approvers"),
            decisions=tuple(map(Decision.read, fields.objects("decisions"))),
            grant=None if grant is None else Grant.read(grant),
            once=fields.flag("once"),
            this_session=fields.flag("this_session"),
            starts_at=fields.number("starts_at"),
            extends=fields.text("extends"),
            extends_to=fields.number("extends_to"),
            past_max_s=fields.number("past_max_s"),
            batch_id=fields.text("batch_id"),
            batch=tuple(map(BatchHost.read, fields.objects("batch"))),
        )

    @property
    def approved_by(self) -> tuple[str, ...]:
        return tuple(decision.by for decision in self.decisions if decision.approved)

    @property
    def where(self) -> str:
        """The host, or how many there are."""
        count = len(asked(self.batch))
        return self.host if count <= 1 else f"{count} hosts"

    @property
    def scheduled(self) -> bool:
        """Approved, and its start is still to come."""
        return self.state == "approved" and self.grant is not None and self.grant.state == "scheduled"

    @property
    def under_way(self) -> bool:
        """Pending, or approved and not yet confirmed by the host; of several hosts, by one of them."""
        if self.batch:
            return any(one.under_way for one in self.batch)
        if self.state == "approved":
            return self.grant is None or self.grant.state in {"issued", "scheduled"}
        return self.state == "pending"

    @property
    def may_still_start(self) -> bool:
        """Under way, or in force on its host; of several hosts, on one of them."""
        if self.batch:
            return any(one.under_way or one.in_force for one in self.batch)
        return self.under_way or (self.grant is not None and self.grant.state == "active")


def _ask(fields: Fields) -> Object:
    return {
        "argv": list(fields.texts("argv")),
        "run_as_user": fields.text("run_as_user"),
        "run_as_group": fields.text("run_as_group"),
        "shell": fields.flag("shell"),
        "login": fields.flag("login"),
        "exact": fields.flag("exact"),
    }


@dataclass(frozen=True, slots=True)
class Plan:
    """What `plan` and `ls` answer when nothing is live yet."""

    choices: tuple[Choice, ...]
    refusals: tuple[Refusal, ...]
    mfa_enrolled: bool

    @classmethod
    def read(cls, untrusted_answer: Object) -> Plan:
        fields = Fields(untrusted_answer)
        return cls(
            choices=tuple(map(Choice.read, fields.objects("choices"))),
            refusals=tuple(map(Refusal.read, fields.objects("refusals"))),
            mfa_enrolled=fields.flag("mfa_enrolled"),
        )


@dataclass(frozen=True, slots=True)
class Status:
    host: str
    connected: bool
    server_error: str
    # Since when the server is there, or is not; 0: never seen.
    server_since: int
    # Empty: the enforcer answered, and `live` is the whole truth.
    enforcer_error: str
    live: tuple[Live, ...]
    requests: tuple[Request, ...]

    @classmethod
    def read(cls, untrusted_answer: Object) -> Status:
        fields = Fields(untrusted_answer)
        server, enforcer = fields.object("server"), fields.object("enforcer")
        return cls(
            host=fields.text("host"),
            connected=server.flag("connected"),
            server_error=server.text("error"),
            server_since=server.number("since"),
            enforcer_error="" if enforcer.flag("connected") else enforcer.text("error") or "no answer",
            live=tuple(map(Live.read, fields.objects("live"))),
            requests=tuple(map(Request.read, fields.objects("requests"))),
        )

    def request_of(self, live: Live) -> Request | None:
        """The request a live grant came from, when the server is there to tell."""
        return next(
            (one for one in self.requests if one.grant and one.grant.grant_id == live.grant and not one.extends), None
        )

    def extensions_of(self, live: Live) -> list[Request]:
        """What was asked to let a live grant last longer and is not decided yet."""
        return [one for one in self.requests if one.extends == live.grant and one.state == "pending"]
