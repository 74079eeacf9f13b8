"""Conditions on how the person came onto the host: from which network, by which kind of login, at a terminal.

All of it is the host's word about the login session (`circumstances.Login`).  A login that is not known meets none.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from jit_server.domain.policy.check import Check
from jit_server.domain.policy.circumstances import LoginKind
from jit_server.domain.policy.conditions import Facts

_UNKNOWN = "the host cannot tell by which login you came"
_ANEW = "log in anew and ask from there; programs of cron, at or systemd --user belong to no login"


@dataclass(frozen=True, slots=True)
class Source:
    """The login came from one of these networks.  An address of IPv4 is in no network of IPv6, nor the other way."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    def check(self, facts: Facts) -> Check:
        login = facts.circumstances.login
        if login.kind is LoginKind.UNKNOWN:
            return Check("when.source", False, _UNKNOWN, f"log in from {self._names(' or ')}")
        if login.source is None and login.kind is LoginKind.SSH:
            why = "the address this login came from is not known"
            hint = "if its host knows only a name: UseDNS no in sshd_config; explain supposes one with --from"
            return Check("when.source", False, why, hint)
        if login.source is None:
            return Check("when.source", False, "this login came over no network", f"log in from {self._names(' or ')}")
        within = next((one for one in self.networks if login.source in one), None)
        if within is None:
            why = f"the login came from {login.source}, which is not in {self._names(' or ')}"
            return Check("when.source", False, why, f"log in from {self._names(' or ')}")
        return Check("when.source", True, f"the login came from {login.source}, which is in {within}")

    def holds_until(self, facts: Facts) -> int:
        return 0

    def __str__(self) -> str:
        return f"from {self._names(', ')}"

    def _names(self, between: str) -> str:
        return between.join(map(str, self.networks))


@dataclass(frozen=True, slots=True)
class LoginKinds:
    """The login is of one of these kinds."""

    kinds: tuple[LoginKind, ...]

    def check(self, facts: Facts) -> Check:
        kind = facts.circumstances.login.kind
        wanted = " or ".join(one.value for one in self.kinds)
        if kind is LoginKind.UNKNOWN:
            return Check("when.login", False, _UNKNOWN, _ANEW)
        met = kind in self.kinds
        why = f"the login is of the kind {kind.value}" + ("" if met else f", not {wanted}")
        return Check("when.login", met, why, "" if met else f"log in by {wanted}")

    def holds_until(self, facts: Facts) -> int:
        return 0

    def __str__(self) -> str:
        return f"login by {' or '.join(one.value for one in self.kinds)}"


@dataclass(frozen=True, slots=True)
class Terminal:
    """The ask comes from a terminal.  It keeps out what runs by itself; whoever wants to can make a terminal."""

    def check(self, facts: Facts) -> Check:
        login = facts.circumstances.login
        if login.kind is LoginKind.UNKNOWN:
            return Check("when.terminal", False, _UNKNOWN, _ANEW)
        if login.terminal:
            return Check("when.terminal", True, "the ask comes from a terminal")
        return Check("when.terminal", False, "the ask comes from no terminal", "ask from a terminal, such as ssh -t")

    def holds_until(self, facts: Facts) -> int:
        return 0

    def __str__(self) -> str:
        return "from a terminal"
