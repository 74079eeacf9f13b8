"""Where a policy's things stand in its files, and which names nothing refers to: what the lint's findings need."""

from __future__ import annotations

import pytest

from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.domain.policy.finding import PolicyFile, Spot
from jit_server.ports import ParsedPolicy

PEOPLE = """\
version: 1
groups:
  ops: [alice]
  idle: [bob]
changes: {approvers: {people: [carol]}}
"""
ROLES = """\
version: 1
hosts: {web: {tier: web}, old: {tier: old}}
commands:
  disks: [/usr/bin/df, /usr/bin/lsblk]
  spare: [/usr/bin/free]
flows:
  one: {approvers: {people: [carol]}}
  none: {approvers: {people: [carol]}}
roles:
  web:
    hosts: web
    commands: [/usr/bin/id, /usr/bin/id, {bundle: disks}, /usr/bin/df, /usr/bin/uptime]
    eligible: [{groups: [ops], permanent: true}]
    flow: one
    duration: {default: 1h, max: 2h}
suppress: [{rule: long-duration, role: web, reason: known, until: 2027-03-31}]
"""


def parsed() -> ParsedPolicy:
    return YamlPolicyParser().parse([PolicyFile("people.yaml", PEOPLE), PolicyFile("roles.yaml", ROLES)], 1, [])


@pytest.mark.parametrize(
    ("path", "spot"),
    [
        (("roles", "web"), Spot("roles.yaml", 10, 3)),
        (("roles", "web", "duration", "max"), Spot("roles.yaml", 15, 29)),
        (("roles", "web", "eligible", 0, "groups", 0), Spot("roles.yaml", 13, 26)),
        (("roles", "web", "commands", 0), Spot("roles.yaml", 12, 16)),
        (("roles", "web", "commands", 1), Spot("roles.yaml", 4, 11)),
        (("roles", "web", "commands", 2), Spot("roles.yaml", 4, 24)),
        (("roles", "web", "commands", 3), Spot("roles.yaml", 12, 72)),
        (("roles", "web", "commands", 4), Spot("roles.yaml", 12, 5)),
        (("roles", "web", "approvers"), Spot("roles.yaml", 10, 3)),
        (("groups", "ops"), Spot("people.yaml", 3, 3)),
        (("changes", "approvers"), Spot("people.yaml", 5, 11)),
        (("suppress", 0), Spot("roles.yaml", 16, 12)),
        (("roles", "db"), Spot("", 0, 0)),
        ((), Spot("", 0, 0)),
    ],
)
def test_a_path_leads_to_where_it_is_written_or_to_what_is_around_it(path: tuple[str | int, ...], spot: Spot) -> None:
    places = parsed().places
    assert places is not None
    assert places.spot(*path) == spot


def test_the_numbers_of_commands_are_those_of_the_role() -> None:
    policy = parsed().policy
    assert policy is not None
    assert [str(command) for command in policy.roles["web"].commands] == [
        "/usr/bin/id",
        "/usr/bin/df",
        "/usr/bin/lsblk",
        "/usr/bin/uptime",
    ]


def test_names_that_nothing_refers_to_are_told() -> None:
    assert parsed().unused == (("groups", "idle"), ("hosts", "old"), ("commands", "spare"), ("flows", "none"))
