"""Small policies at random, as their files, and what people of a lab may try of them.

Nobody needs a code or a reason, and there is no condition: whether a role may be asked for the policy alone says.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

PEOPLE = ("alice", "bob")
ACCOUNTS = ("root", "games", "nobody")
PROBES: tuple[tuple[str, ...], ...] = (
    ("/usr/bin/id",),
    ("/usr/bin/id", "-u"),
    ("/usr/bin/id", "-u", "-n"),
    ("/usr/bin/id", "-g"),
    ("/usr/bin/tail", "-n", "3", "/etc/hosts"),
    ("/usr/bin/tail", "-n", "3", "/etc/shadow"),
    ("/usr/bin/stat", "/etc/hosts"),
    ("/usr/bin/env",),
)
_COMMANDS = (
    "/usr/bin/id",
    "/usr/bin/id -u",
    "/usr/bin/id -u -n",
    {"path": "/usr/bin/id", "args": "any"},
    {"path": "/usr/bin/id", "args": {"regex": "^-[gu]( -n)?$"}},
    {"path": "/usr/bin/tail", "args": {"regex": "^-n [0-9]{1,3} /etc/h[a-z]+$"}},
    {"path": "/usr/bin/tail", "args": "any"},
    "/usr/bin/stat /etc/hosts",
    "/usr/bin/env",
)
# What gives something stands here more than once: most of what is put together at random gives nothing.
_HOSTS = (
    "all",
    {"tier": "web"},
    {"tier": "web"},
    {"debian": "12"},
    {"debian": {"not": ["12"]}},
    {"env": ["dev", "lab"]},
    {"tier": "db"},
)
_LASTING: tuple[dict[str, object], ...] = (
    {"permanent": True},
    {"permanent": True},
    {"permanent": True},
    {"until": "2099-01-01"},
    {"from": "2020-01-01", "until": "2099-01-01"},
    {"until": "2020-01-01"},
    {"from": "2098-01-01", "until": "2099-01-01"},
)


@dataclass(frozen=True, slots=True)
class RandomPolicy:
    """`text` is what stands beside `version`; `approved` are the roles that wait for carol."""

    text: str
    roles: tuple[str, ...]
    approved: frozenset[str]


def policy(chance: random.Random) -> RandomPolicy:
    groups = {"g1": _some(chance, PEOPLE), "g2": [*_some(chance, PEOPLE), *_some(chance, ("g1",))]}
    roles = {f"r{number}": _role(chance) for number in range(chance.randrange(1, 5))}
    wait = frozenset(name for name, role in roles.items() if role["approvals"])
    # JSON is YAML too.
    return RandomPolicy(f"groups: {json.dumps(groups)}\nroles: {json.dumps(roles)}\n", tuple(roles), wait)


def _role(chance: random.Random) -> dict[str, object]:
    role: dict[str, object] = {
        "hosts": chance.choice(_HOSTS),
        "run_as": _some(chance, ACCOUNTS) or ["root"],
        "commands": "ALL" if chance.random() < 0.3 else chance.sample(_COMMANDS, chance.randrange(1, 6)),
        "eligible": [_line(chance) for _ in range(chance.randrange(4))],
        "duration": {"default": "5m", "max": "10m"},
        "mfa": False,
        "reason": False,
        "approvals": 0,
    }
    if chance.random() < 0.2:
        role |= {"active": [_line(chance) | {"reason": "always theirs"}]}
    if chance.random() < 0.25:
        # Where the approver is the one who asks there is nobody who could.
        role |= {"approvals": 1, "approvers": {"people": [chance.choice(("carol", "carol", "alice"))]}}
    return role


def _line(chance: random.Random) -> dict[str, object]:
    line: dict[str, object] = dict(chance.choice(_LASTING))
    people, groups = _some(chance, PEOPLE), _some(chance, ("g1", "g2"))
    if groups:
        line["groups"] = groups
    if people or not groups:
        line["people"] = people
    return line


def _some(chance: random.Random, names: Sequence[str]) -> list[str]:
    return [name for name in names if chance.random() < 0.6]
