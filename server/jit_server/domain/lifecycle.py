"""The lives of a request and of a grant.

Rule 1: every state and every move is in this file, in two tables; the database's triggers are made from them.
Rule 2: nothing here reads a clock, a database or the network.
Rule 3: S6: from every state in which a grant may have power, the ways to end it are open.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from jit_server.errors import Conflict


class RequestState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


class RequestMove(StrEnum):
    APPROVE = "approve"
    """The last vote that was needed."""
    DENY = "deny"
    CANCEL = "cancel"
    """By the requester, or by the server because it can no longer be granted."""
    LAPSE = "lapse"
    """Nobody decided in time."""


class GrantState(StrEnum):
    SCHEDULED = "scheduled"
    ISSUED = "issued"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"


class GrantMove(StrEnum):
    START = "start"
    """The start that was agreed has come, and all of it is still allowed."""
    ACTIVATE = "activate"
    """The host says it is in force."""
    REFUSE = "refuse"
    """The host would not take it, or at its start the policy no longer allows it."""
    REVOKE = "revoke"
    """Somebody ends it before its time; the host still has to confirm."""
    REBOOT = "reboot"
    """The host started anew while it still had time: the host has to take it again."""
    SILENCE = "silence"
    """Its end was due, and the host has said nothing since."""
    END = "end"
    """It is proved that nothing of it is left."""


REQUEST_START = frozenset({RequestState.PENDING, RequestState.APPROVED})
"""A role that needs no approval makes requests that are approved from the start."""

REQUEST_TRANSITIONS: Mapping[tuple[RequestState, RequestMove], RequestState] = {
    (RequestState.PENDING, RequestMove.APPROVE): RequestState.APPROVED,
    (RequestState.PENDING, RequestMove.DENY): RequestState.DENIED,
    (RequestState.PENDING, RequestMove.CANCEL): RequestState.CANCELLED,
    (RequestState.PENDING, RequestMove.LAPSE): RequestState.LAPSED,
}

GRANT_START = frozenset({GrantState.SCHEDULED, GrantState.ISSUED})

GRANT_TRANSITIONS: Mapping[tuple[GrantState, GrantMove], GrantState] = {
    (GrantState.SCHEDULED, GrantMove.START): GrantState.ISSUED,
    (GrantState.SCHEDULED, GrantMove.REFUSE): GrantState.REFUSED,
    (GrantState.SCHEDULED, GrantMove.END): GrantState.ENDED,
    (GrantState.ISSUED, GrantMove.ACTIVATE): GrantState.ACTIVE,
    (GrantState.ISSUED, GrantMove.REFUSE): GrantState.REFUSED,
    (GrantState.ISSUED, GrantMove.REVOKE): GrantState.ENDING,
    (GrantState.ISSUED, GrantMove.SILENCE): GrantState.UNCONFIRMED,
    (GrantState.ISSUED, GrantMove.END): GrantState.ENDED,
    (GrantState.ACTIVE, GrantMove.REVOKE): GrantState.ENDING,
    (GrantState.ACTIVE, GrantMove.REBOOT): GrantState.ISSUED,
    (GrantState.ACTIVE, GrantMove.SILENCE): GrantState.UNCONFIRMED,
    (GrantState.ACTIVE, GrantMove.END): GrantState.ENDED,
    (GrantState.ENDING, GrantMove.REFUSE): GrantState.REFUSED,
    (GrantState.ENDING, GrantMove.SILENCE): GrantState.UNCONFIRMED,
    (GrantState.ENDING, GrantMove.END): GrantState.ENDED,
    (GrantState.UNCONFIRMED, GrantMove.REFUSE): GrantState.REFUSED,
    (GrantState.UNCONFIRMED, GrantMove.END): GrantState.ENDED,
}

LIVE = frozenset({GrantState.ISSUED, GrantState.ACTIVE})
"""What belongs to a host's desired state while its time lasts."""

REVOCABLE = LIVE | {GrantState.SCHEDULED}
"""What has power or will have: what people, the policy and locks can end."""

OVER = frozenset({GrantState.ENDED, GrantState.REFUSED})
"""Nothing can follow, and the host, if it ever knew of it, has said so."""


def advance_request(state: RequestState, move: RequestMove) -> RequestState:
    """Return the next state; raise `Conflict` for a move the table does not have."""
    try:
        return REQUEST_TRANSITIONS[state, move]
    except KeyError:
        raise Conflict(f"the request is already {state.value}: it is too late to {move.value}") from None


def advance_grant(state: GrantState, move: GrantMove) -> GrantState:
    """Return the next state; raise `Conflict` for a move the table does not have."""
    try:
        return GRANT_TRANSITIONS[state, move]
    except KeyError:
        raise Conflict(f"the grant is {state.value}: it cannot {move.value}") from None
