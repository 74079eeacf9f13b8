"""One ask for a role on a host, and the votes on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from jit_server.domain.ask import Ask
from jit_server.domain.identity import LocalUser
from jit_server.domain.lifecycle import RequestState
from jit_server.domain.policy.circumstances import Login
from jit_server.errors import Invalid, LimitExceeded

MAX_PENDING = 20
MAX_REASON = 1_000
MAX_TICKET = 200
MAX_AHEAD_US = 30 * 86_400 * 1_000_000
"""How far ahead a grant may be asked for."""

NO_SESSION = 2**32 - 1
"""What the kernel gives a process that no login began."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One person's vote; a person has one on each request (S8).  `at` in µs UTC."""

    user_id: str
    approved: bool
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A request as stored; times in µs UTC.

    `session` is the audit session it is for (zero: any), `starts_at` zero for at once, `extends` the id of the grant
    that is to last `duration_s` longer, empty for a new one.  `role_commands` and `approvals_needed` are the role's as
    the requester and the approvers saw them: a change of them ends the pending request (see `Role.terms`).
    """

    request_id: str
    user_id: str
    host_id: str
    local_user: LocalUser
    role: str
    ask: Ask
    reason: str
    ticket: str
    duration_s: int
    state: RequestState
    created_at: int
    lapses_at: int
    approvals_needed: int
    role_commands: tuple[str, ...]
    mfa_passed: bool
    once: bool = False
    session: int = 0
    starts_at: int = 0
    extends: str = ""
    login: Login = field(default_factory=Login)
    """The login session it was asked from, as the host attests it."""
    batch_id: str = ""
    """Requests for several hosts that were made as one have the same; empty: this one stands alone."""
    decisions: tuple[Decision, ...] = ()

    @property
    def approvals(self) -> tuple[str, ...]:
        """The ids of the people who approved, each once, in the order of their votes."""
        return tuple(dict.fromkeys(decision.user_id for decision in self.decisions if decision.approved))


def check_reason(untrusted_text: str) -> str:
    """Return the reason; raise `LimitExceeded` over 1,000 characters."""
    if len(untrusted_text) > MAX_REASON:
        raise LimitExceeded(f"the reason has {len(untrusted_text)} characters; the limit is {MAX_REASON}")
    return untrusted_text.strip()


def check_ticket(untrusted_text: str) -> str:
    """Return the ticket; raise `LimitExceeded` over 200 characters."""
    if len(untrusted_text) > MAX_TICKET:
        raise LimitExceeded(f"the ticket has {len(untrusted_text)} characters; the limit is {MAX_TICKET}")
    return untrusted_text.strip()


def check_session(untrusted_id: int) -> int:
    """Return the audit session, zero for any; raise `Invalid` unless a login can have it (SPEC 2.2)."""
    if not 0 <= untrusted_id < NO_SESSION:
        raise Invalid("this is no login session, so nothing can be granted to it alone", hint="ask without it")
    return untrusted_id


def check_start(untrusted_at: int, now: int) -> int:
    """Return the start in µs UTC, zero for at once; raise `Invalid` for the past and for beyond 30 days."""
    if untrusted_at and untrusted_at < now:
        raise Invalid("the start is in the past", hint="leave it out to begin as soon as it is approved")
    if untrusted_at > now + MAX_AHEAD_US:
        raise Invalid("the start is more than 30 days ahead", hint="ask again when it is nearer")
    return untrusted_at
