"""What is told of real files: each finding at its line, and what the files suppress (SPEC 9.6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.domain.policy.finding import PolicyFile, Severity
from jit_server.domain.policy.lint import RULES, Sifted, Usage
from jit_server.services.policy_lint import MAX_TOLD, linted
from jit_testing.big_policy import big_policy
from jit_testing.lint_values import HOSTS, PEOPLE

MANUAL = Path(__file__).parents[3] / "packaging/man/jit-policy.5.scd"
NOW = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) * 1_000_000
FILE = """\
version: 1
changes: {approvers: {people: [carol, dave]}}
groups:
  ops: [alice, bob]
  old: [alice]
commands:
  look:
    - /usr/bin/id
    - /usr/bin/less /var/log/syslog
flows:
  leads: {approvers: {people: [carol]}}
roles:
  web:
    hosts: {tier: web}
    commands:
      - /usr/bin/uptime
      - {bundle: look}
      - {path: /usr/bin/tee, args: any}
    eligible: {groups: [ops], until: 2027-03-31}
    flow: leads
    duration: {default: 30m, max: 2h}
"""


def lint_of(*texts: str) -> Sifted:
    """What is told of these files."""
    files = [PolicyFile(f"{number}.yaml", text) for number, text in enumerate(texts, 1)]
    parsed = YamlPolicyParser().parse(files, 1, list(PEOPLE.values()))
    assert parsed.policy is not None
    people = tuple(PEOPLE.values())
    return linted(parsed.policy, parsed, files, people=people, hosts=HOSTS, used=Usage(), now=NOW)


def told(*texts: str) -> list[tuple[str, int, int, str]]:
    return [(one.file, one.line, one.column, one.rule) for one in lint_of(*texts).findings]


def test_each_finding_is_at_what_it_is_about_one_of_a_bundle_in_the_bundle() -> None:
    assert told(FILE) == [
        ("1.yaml", 5, 3, "unused-name"),
        ("1.yaml", 9, 7, "shell-escape"),
        ("1.yaml", 18, 9, "writes-any-file"),
    ]


def test_what_stands_nowhere_is_told_of_the_first_file() -> None:
    without = FILE.replace("changes: {approvers: {people: [carol, dave]}}\n", "")
    assert told(without)[0] == ("1.yaml", 0, 0, "changes-without-approval")
    assert told("version: 1\n", "version: 1\n") == [("1.yaml", 0, 0, "no-roles")]


def test_findings_are_in_the_order_of_files_and_lines() -> None:
    second = """\
version: 1
roles:
  db:
    hosts: {tier: web}
    commands: ALL
    eligible: {people: [bob], permanent: true}
    approvers: {people: [carol, dave]}
    mfa: false
    duration: {default: 30m, max: 2h}
"""
    assert [(file, line) for file, line, _, _ in told(FILE, second)] == [
        ("1.yaml", 5),
        ("1.yaml", 9),
        ("1.yaml", 18),
        ("2.yaml", 6),
        ("2.yaml", 8),
    ]


def suppress(rule: str, until: str, role: str = "web") -> str:
    return f"suppress:\n  - {{rule: {rule}, role: {role}, reason: read only hosts, until: {until}}}\n"


def test_a_suppression_hides_one_rule_of_one_role_and_says_why() -> None:
    sifted = lint_of(FILE + suppress("shell-escape", "2027-03-31"))
    assert [one.rule for one in sifted.findings] == ["unused-name", "writes-any-file"]
    (hidden,) = sifted.suppressed
    assert (hidden.rule, hidden.line) == ("shell-escape", 9)
    assert hidden.message.endswith("(suppressed until 2027-04-01 00:00 UTC: read only hosts)")


@pytest.mark.parametrize(
    ("line", "rule", "hidden"),
    [
        (suppress("shell-escape", "2026-11-22"), "suppression-over", False),
        (suppress("root-without-mfa", "2027-03-31"), "suppression-unused", False),
        (suppress("shell-escpae", "2027-03-31"), "suppression-unused", False),
        (suppress("shell-escape", "2026-11-23"), "", True),
    ],
)
def test_a_suppression_that_is_over_or_hides_nothing_is_itself_told(line: str, rule: str, hidden: bool) -> None:
    sifted = lint_of(FILE + line)
    assert bool(sifted.suppressed) is hidden
    assert [one.rule for one in sifted.findings if one.line > 21] == ([rule] if rule else [])
    assert ("shell-escape" in [one.rule for one in sifted.findings]) is not hidden


def test_an_error_cannot_be_hidden() -> None:
    never = FILE + "    when: {login: console, source: 10.0.0.0/8}\n" + suppress("never-met", "2027-03-31")
    sifted = lint_of(never)
    assert [one.rule for one in sifted.findings if one.severity is Severity.ERROR] == ["never-met"]
    assert sifted.suppressed == ()


def test_a_large_policy_is_told_of_within_bounds() -> None:
    big = big_policy(roles=700, people=500, hosts=20)
    parsed = YamlPolicyParser().parse(big.files, 1, big.people)
    assert parsed.policy is not None
    sifted = linted(parsed.policy, parsed, big.files, people=big.people, hosts=big.hosts, used=Usage(), now=NOW)
    assert len(sifted.findings) == MAX_TOLD + 1
    assert sifted.findings[-1].message.endswith("more, which are not told one by one")


def manual_of_rules() -> Sequence[str]:
    """The section of the manual, each run of blanks as one."""
    section = MANUAL.read_text(encoding="utf-8").split("# LINT RULES\n")[1].split("\n# ")[0]
    return [" ".join(part.split()) for part in section.split("\n\n") if part.startswith("*")]


def test_the_manual_has_every_rule_with_its_severity_reason_and_remedy() -> None:
    plain = [text.replace("\\", "") for text in manual_of_rules()]
    assert plain == [
        " ".join(f"*{rule.name}* ({rule.severity.value}) {rule.why} Instead: {rule.fix}.".split())
        for rule in sorted(RULES, key=lambda rule: rule.name)
    ]


def test_no_two_rules_have_the_same_name() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
