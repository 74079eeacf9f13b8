"""What a policy's own tests expect of it (`tests:`, SPEC 9.5): one ask, and whether it is to be allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jit_server.domain.ask import Ask
from jit_server.domain.policy.circumstances import Login


@dataclass(frozen=True, slots=True)
class Expectation:
    """`person` asks for `ask` on a host; `allow` means that they may ask, not that nobody has to approve.

    The host is the one named `host` or, where that is empty, one that exists nowhere and has these `labels`.  `ask`
    None is for a role as such, `role` empty for any.  `at` is in µs UTC, zero for when the test is run; `duration_s`
    zero is the role's default.  Of a refusal `because` is a part of what it says; empty: whatever it says.
    """

    name: str
    person: str
    host: str
    labels: Mapping[str, str]
    ask: Ask | None
    role: str
    login: Login
    allow: bool
    at: int = 0
    duration_s: int = 0
    because: str = ""
    file: str = ""
    line: int = 0
    """Where it is written, for messages; line from 1."""
