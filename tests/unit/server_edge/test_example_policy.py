"""The policies we show to people hold what they promise: the example to begin with, and those in the manual."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from jsonschema import Draft202012Validator

from jit_server.adapters.policy_yaml import YamlPolicyParser, source
from jit_server.adapters.policy_yaml.schema import policy_schema
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.lint import Usage
from jit_server.domain.policy.model import Policy
from jit_server.domain.policy.rehearsal import rehearse
from jit_server.services.policy_lint import linted
from jit_testing.server_fakes import a_host, a_user

TREE = Path(__file__).parents[3]
EXAMPLE = TREE / "packaging/examples/policy.yaml"
MANUAL = TREE / "packaging/man/jit-policy.5.scd"
NOW = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) * 1_000_000
PEOPLE = (
    *(replace(a_user(name), mfa_enrolled=True) for name in ("alice", "bob", "carol", "dave")),
    replace(a_user("backup"), service=True),
)
HOSTS = (
    a_host("web1", tier="web", stage="prod"),
    a_host("web2", tier="web", stage="test"),
    a_host("db1", tier="db", stage="prod"),
)


def said_of(text: str) -> tuple[Policy, list[str]]:
    """The policy, and what the lint and its own tests have to say against it."""
    files = [PolicyFile("policy.yaml", text)]
    parsed = YamlPolicyParser().parse(files, 1, PEOPLE)
    assert parsed.policy is not None, parsed.findings
    told = linted(parsed.policy, parsed, files, people=PEOPLE, hosts=HOSTS, used=Usage(), now=NOW)
    failed = [test.message for test in rehearse(parsed.policy, HOSTS, NOW) if not test.passed]
    return parsed.policy, [f"{one.line}: {one.rule}: {one.message}" for one in told.findings] + failed


def test_nothing_is_to_be_said_against_the_example() -> None:
    policy, said = said_of(EXAMPLE.read_text(encoding="utf-8"))
    assert said == []
    assert len(policy.tests) >= 5
    assert policy.changes.approvals == 1


def test_the_example_has_the_published_shape() -> None:
    root = source.read(EXAMPLE.read_text(encoding="utf-8")).root
    assert [error.message for error in Draft202012Validator(policy_schema()).iter_errors(root)] == []


def test_its_tests_hold_it_to_what_it_promises() -> None:
    """Each of these would go unnoticed without them."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for before, after in (
        ("systemctl restart nginx.service\n      -", "systemctl stop nginx.service\n      -"),
        ("source: [10.0.0.0/8, ", "source: [10.0.0.0/8, 192.0.2.0/24, "),
        ('from: "08:00"', 'from: "12:00"'),
        ("people: [backup]", "people: [backup, alice]"),
    ):
        assert text.count(before) == 1
        assert said_of(text.replace(before, after))[1] != [], after


def shown_in_the_manual() -> list[str]:
    return re.findall(r"^```\n(.*?)^```", MANUAL.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_nothing_is_to_be_said_against_the_policy_in_the_manual() -> None:
    whole, _, _ = shown_in_the_manual()
    assert said_of(whole)[1] == []


def test_the_parts_of_a_policy_in_the_manual_fit_into_one() -> None:
    _, when, suppress = shown_in_the_manual()
    role = """\
  db-admin:
    hosts: {tier: db}
    run_as: [postgres]
    commands: [/usr/bin/psql]
    eligible: {people: [alice], until: 2027-03-31}
    approvers: {people: [carol, dave]}
    duration: {default: 30m, max: 2h}
"""
    text = f"version: 1\nroles:\n{role}{textwrap.indent(when, ' ' * 4)}{suppress}"
    policy, _ = said_of(text)
    assert len(policy.roles["db-admin"].when) == 3
    assert [one.rule for one in policy.suppressions] == ["shell-escape"]
