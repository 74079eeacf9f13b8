"""What the agent says (SPEC 4.2), from untrusted JSON to frozen values.

Text in these values is still the text of other people: `terminal` makes it safe
when it is shown (S12).
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import join
from typing import Any

from jit_cli.fields import Fields

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Live:
    """A grant in force on this host, as the enforcer holds it."""

    grant: str
    role: str
    run_as_user: str
    run_as_group: str
    commands: tuple[str, ...]
    shell: bool
    not_after: int
    processes: int

    @classmethod
    def read(cls, fields: Fields) -> Live:
        return cls(
            grant=fields.text("grant"),
            role=fields.text("role"),
            run_as_user=fields.text("run_as_user"),
            run_as_group=fields.text("run_as_group"),
            commands=_commands(fields),
            shell=fields.flag("shell"),
            not_after=fields.number("not_after"),
            processes=fields.number("processes"),
        )


def _commands(fields: Fields) -> tuple[str, ...]:
    """`"ALL"`, or SPEC 2.3's list, as the lines a person would type."""
    if fields.is_text("commands"):
        return (fields.text("commands"),)
    return tuple(
        # `args` null: any arguments.
        f"{command.text('path')} …" if command.is_null("args") else join([command.text("path"), *command.texts("args")])
        for command in fields.objects("commands")
    )


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
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One ask of mine."""

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
            decisions=tuple(
                Decision(one.text("by"), one.flag("approved"), one.text("reason"), one.number("at"))
                for one in fields.objects("decisions")
            ),
            grant=None if grant is None else Grant.read(grant),
        )

    @property
    def approved_by(self) -> tuple[str, ...]:
        return tuple(decision.by for decision in self.decisions if decision.approved)

    @property
    def under_way(self) -> bool:
        """Pending, or approved and not yet confirmed by the host."""
        if self.state == "approved":
            return self.grant is None or self.grant.state == "issued"
        return self.state == "pending"

    @property
    def may_still_start(self) -> bool:
        """Under way, or in force on its host."""
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
            enforcer_error="" if enforcer.flag("connected") else enforcer.text("error") or "no answer",
            live=tuple(map(Live.read, fields.objects("live"))),
            requests=tuple(map(Request.read, fields.objects("requests"))),
        )

    def request_of(self, live: Live) -> Request | None:
        """The request a live grant came from, when the server is there to tell."""
        return next((one for one in self.requests if one.grant and one.grant.grant_id == live.grant), None)


@dataclass(frozen=True, slots=True)
class Proof:
    """The enforcer's proof that nothing of a grant is left (SPEC 3.3)."""

    grant: str
    reason: str
    killed: int
    scope_empty: bool
    rule_removed: bool

    @classmethod
    def read(cls, fields: Fields) -> Proof:
        return cls(
            grant=fields.text("grant"),
            reason=fields.text("reason"),
            killed=fields.number("killed"),
            scope_empty=fields.flag("scope_empty"),
            rule_removed=fields.flag("rule_removed"),
        )
