"""What conditions are held against: the moment of an ask, as the server knows it and the host attests it.

Nothing in here comes from the environment of the person's processes: a login's kind and source are what the host's
logind keeps of it, for which root vouches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address


class LoginKind(StrEnum):
    """How the person came onto the host."""

    SSH = "ssh"
    CONSOLE = "console"
    """A terminal or a desktop of the machine itself."""
    OTHER = "other"
    """A login session of another service, such as cron."""
    UNKNOWN = "unknown"
    """The host knows of no login, or could not tell.  No condition is met by it."""


@dataclass(frozen=True, slots=True)
class Login:
    """The login session that asks; `source` is None where it came over no network, or the host cannot tell."""

    kind: LoginKind = LoginKind.UNKNOWN
    source: IPv4Address | IPv6Address | None = None
    terminal: bool = False
    """Somebody sits at a terminal; False for what runs without one."""

    def __str__(self) -> str:
        if self.kind is LoginKind.UNKNOWN:
            return "an unknown login"
        from_where = "" if self.source is None else f" from {self.source}"
        return f"{self.kind.value}{from_where}"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """One moment of one person's ask; times in µs UTC, `duration_s` zero for the role's default.

    `begins_at` is when the grant would begin, zero for at once.  `live` counts the person's live and scheduled grants,
    `live_of_role` those of the role in question, of this person and of everybody.  `proved_at` is when this person last
    proved a second factor on this host, zero for never.  `on_call` are the rotas that name the person now, None if none
    could be asked; `rotas_heard` are those that could, None if that is not told apart.
    """

    at: int
    login: Login = field(default_factory=Login)
    duration_s: int = 0
    reason: str = ""
    ticket: str = ""
    live: int = 0
    live_of_role: int = 0
    live_of_role_everybody: int = 0
    proved_at: int = 0
    on_call: frozenset[str] | None = frozenset()
    begins_at: int = 0
    rotas_heard: frozenset[str] | None = None
    draft: bool = False
    """Reason and ticket, and the duration if it is zero, may still be given: what depends on them is left open, and
    asked again then."""

    @property
    def begin(self) -> int:
        """The first instant at which the right would be used, µs UTC."""
        return max(self.at, self.begins_at)


def address(text: str) -> IPv4Address | IPv6Address:
    """Read an address; an IPv4 one that is written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 one.  Raises ValueError."""
    found = ip_address(text)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    if mapped is not None:
        return mapped
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        # fe80::1%eth0: which link it is says nothing to a network that is named in a policy.
        return IPv6Address(int(found))
    return found
