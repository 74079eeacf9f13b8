"""The policy, the people and the hosts of a large fleet, the same for the same seed.

It is made like those of real ones: everybody is in one team, teams are in departments, each role reaches some hosts by
labels and is for some teams, a few for single people; a tenth of the roles gives everything, the others name commands.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from jit_server.domain.identity import Host, User
from jit_server.domain.policy.finding import PolicyFile

_TEAM = 50
_DEPARTMENT = 20
_TIERS, _STAGES, _ZONES = 40, ("prod", "stage", "test"), ("a", "b", "dmz")


@dataclass(frozen=True, slots=True)
class BigPolicy:
    """Files that fit into one policy, and what they are about."""

    files: tuple[PolicyFile, ...]
    people: tuple[User, ...]
    hosts: tuple[Host, ...]


def big_policy(*, roles: int = 1_000, people: int = 50_000, hosts: int = 10_000, seed: int = 1) -> BigPolicy:
    """Of this size; needs at least two people.  1,000 roles and 50,000 people fill about two thirds of a mebibyte."""
    chance = random.Random(seed)
    names = [f"u{number}" for number in range(people)]
    teams = [names[at : at + _TEAM] for at in range(0, people, _TEAM)]
    groups = ["version: 1", "groups:", *(f"  t{number}: [{', '.join(team)}]" for number, team in enumerate(teams))]
    for number, first in enumerate(range(0, len(teams), _DEPARTMENT)):
        inner = ", ".join(f"t{team}" for team in range(first, min(first + _DEPARTMENT, len(teams))))
        groups.append(f"  d{number}: {{groups: [{inner}]}}")
    lines = ["version: 1", "roles:"]
    for number in range(roles):
        lines += _role(chance, number, names, len(teams))
    return BigPolicy(
        (PolicyFile("people.yaml", "\n".join(groups) + "\n"), PolicyFile("roles.yaml", "\n".join(lines) + "\n")),
        tuple(User(f"usr-{number:016d}", name, name, frozenset(), created_at=1) for number, name in enumerate(names)),
        tuple(_host(chance, number) for number in range(hosts)),
    )


def _role(chance: random.Random, number: int, names: list[str], teams: int) -> list[str]:
    tier, stage = chance.randrange(_TIERS), chance.choice(_STAGES)
    who = f"groups: [t{chance.randrange(teams)}, t{chance.randrange(teams)}]"
    if number % 10 == 1:
        who = f"people: [{', '.join(chance.sample(names, min(3, len(names))))}]"
    if number % 50 == 2:
        who = f"groups: [d{chance.randrange(-(-teams // _DEPARTMENT))}]"
    ends = "permanent: true" if number % 3 else "until: 2199-12-31"
    commands = "ALL" if number % 10 == 0 else f"[/usr/bin/systemctl restart s{number}.service]"
    labels = f"tier: t{tier}, stage: {stage}" if number % 7 else f"tier: t{tier}, zone: {{not: [dmz]}}"
    approver = f"groups: [t{chance.randrange(teams)}], people: [{', '.join(chance.sample(names, 2))}]"
    return [
        f"  r{number}:",
        f"    hosts: {{{labels}}}",
        f"    commands: {commands}",
        f"    eligible: {{{who}, {ends}}}",
        f"    approvers: {{{approver}}}",
        "    duration: {default: 30m, max: 2h}",
    ]


def _host(chance: random.Random, number: int) -> Host:
    labels = {
        "tier": f"t{chance.randrange(_TIERS)}",
        "stage": chance.choice(_STAGES),
        "zone": chance.choice(_ZONES),
    }
    return Host(f"hst-{number:016d}", f"h{number}", labels, enrolled_at=1, connected=True)
