"""A policy the lint has nothing to say of, to be spoilt in one way at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from jit_server.domain.ask import Command
from jit_server.domain.grant import Record
from jit_server.domain.identity import Host, User
from jit_server.domain.policy.lint import LintFinding, Usage, lint
from jit_server.domain.policy.model import ChangeControl, Eligibility, Party, Policy, Role
from jit_testing.server_fakes import SECOND, START, a_host, a_policy, a_role, a_user

DAY = 86_400 * SECOND
RESTART = Command("/usr/bin/systemctl", ("restart", "nginx.service"))
PEOPLE = {name: replace(a_user(name), mfa_enrolled=True) for name in ("alice", "bob", "carol", "dave")}
HOSTS = (a_host("web1", tier="web", stage="prod"), a_host("web2", tier="web", stage="test"))


def for_a_time(*people: str, **more: Any) -> Eligibility:
    """These people are eligible for half a year more."""
    return replace(Eligibility(Party(frozenset(people)), until=START + 180 * DAY), **more)


def good_role(name: str = "web", **changes: Any) -> Role:
    """A role without a flaw, but for these changes."""
    role = replace(
        a_role(name, commands=(RESTART,), mfa=True, reason=True, approvers=("carol", "dave"), record=Record.OUTPUT),
        run_as_users=("root",),
        eligible=(for_a_time("alice", "bob"),),
    )
    return replace(role, **changes)


def good_policy(*roles: Role, **groups: Collection[str]) -> Policy:
    """Its changes need somebody else too."""
    policy = a_policy(*roles, version=1, **groups)
    return replace(policy, changes=ChangeControl(Party(frozenset({"carol", "dave"})), 1))


def found(
    *roles: Role,
    policy: Policy | None = None,
    people: Mapping[str, User] = PEOPLE,
    hosts: Collection[Host] = HOSTS,
    usage: Usage | None = None,
    unused: Collection[tuple[str, str]] = (),
) -> tuple[LintFinding, ...]:
    """What the lint says of these roles."""
    return lint(
        policy or good_policy(*roles),
        people=people.values(),
        hosts=hosts,
        usage=usage or Usage(),
        now=START,
        unused=unused,
    )


def rules(*roles: Role, **more: Any) -> list[str]:
    """The names of the rules that say something."""
    return [one.rule for one in found(*roles, **more)]
