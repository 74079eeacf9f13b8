"""What the agent needs of the world, as contracts; every way in and out of the machine is behind one of these.

Failures are values of `errors`: `Unavailable` when the other side does not answer, `AgentError` with its code when it
says no.  Anything else is a bug.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from jit_agent.model import Admission, Ask, Extension, HostStatus, Login, NewRequest, Person, Proof, SignedGrant
from jit_agent.report_model import Applied

Json = dict[str, Any]


class Clock(Protocol):
    def now_us(self) -> int:
        """Wall clock, µs UTC."""
        ...


class Enforcer(Protocol):
    """The root half (SPEC 3); trusts nothing we say, so neither does this contract promise it will."""

    async def apply(self, grant: SignedGrant) -> Applied:
        """Put a signed grant in force; returns once rule and scope are in place.  Raises `EnforcerRefused`."""
        ...

    async def end(self, grant_id: str, reason: str) -> Proof | None:
        """End a grant; None if the enforcer never knew it, or cannot prove the end yet.  Idempotent."""
        ...

    async def sync(self, live: Sequence[str]) -> tuple[str, ...]:
        """End every live grant that is not listed; returns which."""
        ...

    async def admit(self, client: tuple[str, int], server: tuple[str, int], session_id: str) -> Admission:
        """Let the sudo process at this connection pass, inside its grant's scope and in a cgroup of its own there,
        by which the session can be frozen and killed.  Raises `EnforcerRefused`.
        """
        ...

    async def freeze(self, session_id: str, message: str) -> bool:
        """Stop all processes of a session, and show its person the message; whether there is such a session.

        Idempotent, like `thaw` and `kill`.
        """
        ...

    async def thaw(self, session_id: str, message: str) -> bool: ...

    async def kill(self, session_id: str, message: str) -> bool: ...

    async def tell(self, session_id: str, message: str) -> bool:
        """One line on the terminals of the session's person."""
        ...

    async def status(self) -> HostStatus: ...

    async def reported(self, grant_id: str) -> None:
        """The end of this grant is durable elsewhere; it need not be told again."""
        ...

    def endings(self) -> AsyncGenerator[Proof | None, None]:
        """Each end not yet `reported`, now and later; None first, at each (re)connection.  Ends by `Unavailable`."""
        ...


class Server(Protocol):
    """The server, asked on behalf of a person (SPEC 4.2 in JSON, as the answers go out)."""

    async def plan(self, who: Login, ask: Ask | None, role: str) -> Json: ...

    async def create_request(self, person: Person, new: NewRequest) -> Json: ...

    async def list_my_eligibilities(self, person: Person) -> Json:
        """`eligibilities` and `renewals`, the person's own over all hosts."""
        ...

    async def renew(self, person: Person, role: str, reason: str) -> Json:
        """The renewal that was asked for."""
        ...

    async def extend_grant(self, person: Person, extension: Extension) -> Json:
        """The request to let a live grant last longer; approved already when the role's maximum is not passed."""
        ...

    def watch_request(self, person: Person, request_id: str) -> AsyncGenerator[Json, None]:
        """The request now and at each change; ends when it can change no more."""
        ...

    async def cancel_request(self, person: Person, request_id: str) -> Json: ...

    async def list_mine(self, person: Person, *, include_over: bool) -> list[Json]: ...

    async def list_my_sessions(self, person: Person, limit: int) -> Json:
        """`sessions`, the person's own on any host, newest first, and whether that is `truncated`."""
        ...

    async def get_my_session(self, person: Person, session_id: str) -> Json:
        """`session`, `environment`, `commands`, `truncated` of the one session of theirs that an id or prefix names."""
        ...

    async def begin_totp(self, person: Person, token: str) -> Json: ...

    async def confirm_totp(self, person: Person, token: str, otp: str) -> None: ...
