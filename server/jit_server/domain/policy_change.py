"""A change of the policy that waits for somebody else, and what becomes of it (SPEC 9.4).

S8: who proposed it never approves it, and votes are counted by person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from jit_server.domain import lock as locking
from jit_server.domain.identity import User
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.model import Policy
from jit_server.domain.request import Decision


class ChangeState(StrEnum):
    """A change begins as pending; every other state is the end of it."""

    PENDING = "pending"
    APPLIED = "applied"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    """Taken back by who proposed it."""
    OVERTAKEN = "overtaken"
    """Another version came into force meanwhile."""


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """As stored; times in µs UTC.

    `base_version` is the version it was made against, `rolled_back_to` the one it brings back (zero: none), `version`
    the one it became (zero: none).  `why` says what makes it need a second person.
    """

    change_id: str
    files: tuple[PolicyFile, ...]
    digest: str
    base_version: int
    proposed_by: str
    """The person's id."""
    proposed_at: int
    reason: str
    why: str
    approvals_needed: int
    rolled_back_to: int = 0
    state: ChangeState = ChangeState.PENDING
    closed_at: int = 0
    version: int = 0
    decisions: tuple[Decision, ...] = ()

    @property
    def approvals(self) -> tuple[str, ...]:
        """The ids of the people who approved, each once, in the order of their votes."""
        return tuple(dict.fromkeys(vote.user_id for vote in self.decisions if vote.approved))


def digest(files: Iterable[PolicyFile]) -> str:
    """SHA-256 of the files in hexadecimal: of each its name and text, with their lengths (8 bytes) before them."""
    whole = hashlib.sha256()
    for file in files:
        for text in (file.name, file.text):
            encoded = text.encode("utf-8", "surrogatepass")
            whole.update(len(encoded).to_bytes(8, "big"))
            whole.update(encoded)
    return whole.hexdigest()


def may_approve(policy: Policy, proposer_id: str, people: Iterable[User]) -> tuple[User, ...]:
    """Those who may decide on a change that this person proposed, by name: no service, nobody locked or disabled."""
    able = (
        user
        for user in people
        if not (user.disabled or user.service)
        and user.user_id != proposer_id
        and policy.includes(policy.changes.approvers, user)
        and locking.on_person(policy.locks, user) is None
    )
    return tuple(sorted(able, key=lambda user: user.name))


def locks_out(policy: Policy, proposer_id: str, people: Iterable[User]) -> str:
    """Say why nobody but who proposed it could approve the next change of this policy; empty: somebody could."""
    needed = policy.changes.approvals
    if not needed:
        return ""
    able = [user.name for user in may_approve(policy, proposer_id, people)]
    if len(able) >= needed:
        return ""
    could = f"only {', '.join(able)}" if able else "nobody"
    votes = "1 approval" if needed == 1 else f"{needed} approvals"
    return f"the next change would need {votes}, and beside who applies this {could} could give one"
