"""Under which conditions a role is given (`when:` in the files): where, how many, who is on duty, or one of several.

A condition looks at `Facts` alone.  What is not known meets no condition, and an expression that fails refuses (S6).
When, and how the person came, are in `hours` and `arrival`; whatever else can be said is an `expression`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jit_server.domain.ask import Ask
from jit_server.domain.identity import Host, User
from jit_server.domain.policy.check import Check
from jit_server.domain.policy.circumstances import Circumstances


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a condition may know.  `groups` are the person's, `ask` None where only the role is asked for."""

    person: User
    groups: tuple[str, ...]
    host: Host
    role: str
    ask: Ask | None
    circumstances: Circumstances


class Condition(Protocol):
    """One entry of `when:`.  Compared by what it says, so that a change of it is seen (`Role.terms`)."""

    def check(self, facts: Facts) -> Check:
        """Hold it against one ask.  Never raises: what cannot be told is not met."""

    def holds_until(self, facts: Facts) -> int:
        """When a condition that is met stops being met by itself, µs UTC; zero: it does not.  Grants end by then."""

    def __str__(self) -> str:
        """As people read it in a table, such as `Mon-Fri 08:00-18:00 Europe/Berlin`."""


class Hosts(Protocol):
    """Some of the hosts, by their labels: a selector of the model, which itself holds roles and their conditions."""

    def matches(self, host: Host) -> bool: ...


@dataclass(frozen=True, slots=True)
class HostLabels:
    """The host has these labels; narrower than what the role reaches, for one of several ways to it (`any`)."""

    hosts: Hosts

    def check(self, facts: Facts) -> Check:
        met = self.hosts.matches(facts.host)
        why = f"{facts.host.name} {'is' if met else 'is not'} one of the hosts with {self.hosts}"
        return Check("when.hosts", met, why, "" if met else f"ask on a host with {self.hosts}")

    def holds_until(self, facts: Facts) -> int:
        return 0

    def __str__(self) -> str:
        return f"on {self.hosts}"


@dataclass(frozen=True, slots=True)
class Live:
    """With this one the person has at most so many grants that are live or scheduled, of whatever role and host."""

    most: int

    def check(self, facts: Facts) -> Check:
        live = facts.circumstances.live
        met = live < self.most
        why = f"{facts.person.name} has {_grants(live)} of {self.most} that may live at once"
        return Check("when.live", met, why, "" if met else "wait until one ends, or end one: jit drop")

    def holds_until(self, facts: Facts) -> int:
        return 0

    def __str__(self) -> str:
        return f"at most {_grants(self.most)} at once"


@dataclass(frozen=True, slots=True)
class OnCall:
    """One of the rotas names the person now; a rota that cannot be asked names nobody."""

    rotas: tuple[str, ...]

    def check(self, facts: Facts) -> Check:
        circumstances, wanted = facts.circumstances, " or ".join(self.rotas)
        naming = [rota for rota in self.rotas if rota in (circumstances.on_call or ())]
        if naming:
            return Check("when.on_call", True, f"{facts.person.name} is on call in {naming[0]}")
        heard = circumstances.rotas_heard
        silent = list(self.rotas) if circumstances.on_call is None else []
        if heard is not None:
            silent = [rota for rota in self.rotas if rota not in heard]
        if silent:
            why = f"who is on call in {' and '.join(silent)} cannot be told now"
            return Check("when.on_call", False, why, "an administrator can see why in the server's journal")
        why = f"{facts.person.name} is not on call in {wanted}"
        return Check("when.on_call", False, why, f"ask who is on call in {wanted}, or swap with them")

    def holds_until(self, facts: Facts) -> int:
        return 0

    def __str__(self) -> str:
        return f"on call in {' or '.join(self.rotas)}"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of them is met."""

    conditions: tuple[Condition, ...]

    def check(self, facts: Facts) -> Check:
        checks = [condition.check(facts) for condition in self.conditions]
        met = next((check for check in checks if check.passed), None)
        if met is not None:
            return Check("when.any", True, met.why)
        hints = dict.fromkeys(check.hint for check in checks if check.hint)
        return Check("when.any", False, "; ".join(check.why for check in checks), ", or ".join(hints))

    def holds_until(self, facts: Facts) -> int:
        """The latest end of those that are met now: then none of these is met any more."""
        ends = [condition.holds_until(facts) for condition in self.conditions if condition.check(facts).passed]
        return 0 if 0 in ends else max(ends, default=0)

    def __str__(self) -> str:
        return " or ".join(f"({one})" if isinstance(one, AllOf) else str(one) for one in self.conditions)


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of them are met: one of the ways of an `any` that takes more than one thing."""

    conditions: tuple[Condition, ...]

    def check(self, facts: Facts) -> Check:
        checks = [condition.check(facts) for condition in self.conditions]
        unmet = [check for check in checks if not check.passed]
        if not unmet:
            return Check("when.all", True, "; ".join(check.why for check in checks))
        hints = dict.fromkeys(check.hint for check in unmet if check.hint)
        return Check("when.all", False, "; ".join(check.why for check in unmet), " and ".join(hints))

    def holds_until(self, facts: Facts) -> int:
        """The first end of any."""
        ends = [condition.holds_until(facts) for condition in self.conditions]
        return min((end for end in ends if end), default=0)

    def __str__(self) -> str:
        return " and ".join(f"({one})" if isinstance(one, AnyOf) else str(one) for one in self.conditions)


def _grants(count: int) -> str:
    return "1 grant" if count == 1 else f"{count} grants"
