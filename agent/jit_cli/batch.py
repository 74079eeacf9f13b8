"""A request for several hosts at once (SPEC 9.7): how it stands on each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jit_cli.fields import Fields
from jit_cli.words import plural

_UNDER_WAY = frozenset({"", "issued", "scheduled"})


@dataclass(frozen=True, slots=True)
class BatchHost:
    """One host; without a state it was left out, and `why` says why."""

    host: str
    request_id: str
    state: str
    grant_state: str
    why: str

    @classmethod
    def read(cls, fields: Fields) -> BatchHost:
        return cls(
            host=fields.text("host"),
            request_id=fields.text("request_id"),
            state=fields.text("state"),
            grant_state=fields.text("grant_state"),
            why=fields.text("why"),
        )

    @property
    def under_way(self) -> bool:
        """Pending, or approved and not yet confirmed by its host."""
        return self.state == "pending" or (self.state == "approved" and self.grant_state in _UNDER_WAY)

    @property
    def in_force(self) -> bool:
        return self.state == "approved" and self.grant_state == "active"

    @property
    def dry_standing(self) -> str:
        """The same after a dry run, which asked for nothing."""
        return "would be asked for" if self.state else "left out"

    @property
    def standing(self) -> str:
        """Where it stands, in a word or few; what the host has not confirmed is not called done."""
        if not self.state:
            return "left out"
        if self.state != "approved":
            return self.state
        return {
            "": "approved",
            "scheduled": "approved, not yet started",
            "issued": "approved, not yet in force",
            "active": "in force",
            "ending": "ending",
            "unconfirmed": "over, unconfirmed",
        }.get(self.grant_state, self.grant_state)


def asked(batch: Sequence[BatchHost]) -> list[BatchHost]:
    """Without those that were left out."""
    return [one for one in batch if one.state]


def progress(batch: Sequence[BatchHost]) -> str:
    """`in force on 2 of 3 hosts`."""
    wanted = asked(batch)
    return f"in force on {sum(one.in_force for one in wanted)} of {plural(len(wanted), 'host')}"


def rows(batch: Sequence[BatchHost]) -> list[list[str]]:
    """For a table of HOST, STATE, REQUEST and WHY."""
    return [[one.host, one.standing, one.request_id or "-", one.why] for one in batch]
