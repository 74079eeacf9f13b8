"""What I am eligible for on any host, until when, and what I asked to be renewed (SPEC 9.7)."""

from __future__ import annotations

from dataclasses import dataclass

from jit_cli import agent_client, duration
from jit_cli.answers import Decision
from jit_cli.fields import Fields
from jit_cli.terminal import out, out_json
from jit_cli.view import table
from jit_cli.words import any_of


@dataclass(frozen=True, slots=True)
class Eligibility:
    role: str
    # eligible or active
    kind: str
    groups: tuple[str, ...]
    # µs UTC; zero: always, and permanently.
    since: int
    until: int
    # coming, current or over
    state: str
    # By a renewal, not by the files.
    renewed: bool
    # It can be renewed now for so many seconds more; zero: it cannot.
    renewable_s: int
    reason: str

    @classmethod
    def read(cls, fields: Fields) -> Eligibility:
        return cls(
            role=fields.text("role"),
            kind=fields.text("kind"),
            groups=fields.texts("groups"),
            since=fields.number("since"),
            until=fields.number("until"),
            state=fields.text("state"),
            renewed=fields.flag("renewed"),
            renewable_s=fields.number("renewable_s"),
            reason=fields.text("reason"),
        )


@dataclass(frozen=True, slots=True)
class Renewal:
    renewal_id: str
    role: str
    # pending, approved, denied or lapsed
    state: str
    asked_at: int
    reason: str
    # The end it asks for, or got.
    until: int
    approvers: tuple[str, ...]
    decision: Decision | None

    @classmethod
    def read(cls, fields: Fields) -> Renewal:
        decided = fields.maybe("decision")
        return cls(
            renewal_id=fields.text("renewal_id"),
            role=fields.text("role"),
            state=fields.text("state"),
            asked_at=fields.number("asked_at"),
            reason=fields.text("reason"),
            until=fields.number("until"),
            approvers=fields.texts("approvers"),
            decision=None if decided is None else Decision.read(decided),
        )


def show(wanted_format: str) -> None:
    """Ask for all of mine and write them, in one of the formats of `-o`."""
    untrusted = agent_client.ask("eligibilities")
    fields = Fields(untrusted)
    mine = [Eligibility.read(one) for one in fields.objects("eligibilities")]
    renewals = [Renewal.read(one) for one in fields.objects("renewals")]
    if wanted_format == "json":
        out_json({key: untrusted[key] for key in ("eligibilities", "renewals")})
    elif wanted_format == "name":
        for role in dict.fromkeys(one.role for one in mine):
            out(role)
    elif mine:
        table(["ROLE", "STATE", "FROM", "UNTIL", "RENEWAL"], [_row(one, renewals) for one in mine])
    else:
        out("You are eligible for nothing.")


def _row(mine: Eligibility, renewals: list[Renewal]) -> list[str]:
    state = f"{mine.state}, active" if mine.kind == "active" else mine.state
    since = duration.brief(mine.since) if mine.since else "always"
    until = duration.brief(mine.until) if mine.until else "permanent"
    pending = next((one for one in renewals if one.role == mine.role and one.state == "pending"), None)
    if pending is not None:
        renewal = f"asked for, until {duration.brief(pending.until)}: waits for {any_of(pending.approvers)}"
    elif mine.renewable_s:
        renewal = f"{duration.words(mine.renewable_s)} more: jit renew {mine.role}"
    else:
        renewal = "renewed" if mine.renewed else ""
    return [mine.role, state, since, until, renewal]
