"""Whatever a policy file holds, the reader answers: with a policy that the schema allows too, or with errors."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jit_server.adapters.policy_yaml import YamlPolicyParser, source
from jit_server.adapters.policy_yaml.report import MAX_FINDINGS
from jit_server.domain.policy.finding import PolicyFile, Severity
from jit_server.ports import ParsedPolicy

LIMIT = 1024 * 1024
PUBLISHED = Path(__file__).parents[3] / "server/jit_ctl/policy.schema.json"
# As it was published, and not as the shapes say today: so a shape that lets more through is seen too.
VALIDATOR = Draft202012Validator(json.loads(PUBLISHED.read_text(encoding="utf-8")))
WHOLE = """\
version: 1
groups: {ops: [alice, bob], all: {groups: [ops], people: [carol]}}
hosts: {web: {tier: web, stage: [dev, test], zone: {not: [dmz]}}}
commands:
  services: [/usr/bin/systemctl restart nginx, {path: /usr/bin/journalctl, args: any}]
flows: {double: {approvers: {groups: [all]}, approvals: 2, request_timeout: 2h}}
roles:
  web:
    description: Restart
    hosts: web
    commands: [{bundle: services}, {path: /usr/bin/id, args: {regex: '^-[a-z]$'}}]
    eligible: [{groups: [ops], until: 2027-03-31}, {people: [dave], permanent: true}]
    active: {people: [erin], from: 2027-01-01, until: 2027-03-31T18:00:00Z, reason: on duty}
    flow: double
    duration: {default: 30m, max: 2h}
    mfa: {age: 15m}
    ticket: {pattern: '^INC-[0-9]{4}$'}
    concurrent: {person: 1, everybody: 5}
    environment: [LANG]
    directory: /srv
    when: {hours: {days: mon-fri, from: "08:00", to: "18:00", zone: UTC}, source: [10.0.0.0/8]}
    offline: {lease: 2m}
    renew: 180d
    watch: 5m
  root:
    hosts: all
    commands: ALL
    shell: true
    eligible: {people: [alice], permanent: true}
    approvers: {people: [carol]}
    duration: {default: 10m, max: 1h}
changes: {approvers: {people: [carol]}, for: root}
tests: [{name: t, who: alice, on: {labels: {tier: web}}, run: /usr/bin/id -u, expect: allow}]
suppress: [{rule: root-without-mfa, role: root, reason: keys, until: 2027-01-01}]
"""
_PIECES = st.sampled_from(
    [
        *(
            "[",
            "]",
            "{",
            "}",
            ":",
            ": ",
            "- ",
            ",",
            "\n",
            "\n  ",
            "\n    ",
            "#",
            "&a ",
            "*a",
            "!",
            "!!str ",
            "|",
            ">",
            "?",
            "%",
        ),
        *(
            "null",
            "~",
            "true",
            "no",
            "0",
            "-1",
            "1e400",
            "0x10",
            "9" * 400,
            '""',
            "'",
            '"',
            "\t",
            "\x00",
            "\x1b",
            "\u2028",
        ),
        *(
            "\ud800",
            "\ufeff",
            "ALL",
            "all",
            "any",
            "2027-03-31",
            "9999-12-31",
            "30m",
            "99999d",
            "<<: ",
            "\\",
            "é",
            "💥",
            "{}",
            "[]",
        ),
    ]
)


def read(text: str) -> ParsedPolicy:
    parsed = YamlPolicyParser().parse([PolicyFile("fuzzed.yaml", text)], 1, [])
    errors = [finding for finding in parsed.findings if finding.severity is Severity.ERROR]
    assert (parsed.policy is None) == bool(errors)
    assert len(parsed.findings) <= MAX_FINDINGS + 1
    assert all(finding.message.isprintable() and len(finding.message) < 2_000 for finding in parsed.findings)
    if parsed.policy is not None:
        assert [error.message for error in VALIDATOR.iter_errors(source.read(text).root)] == []
    return parsed


def test_what_is_mutated_below_is_read_as_it_stands() -> None:
    assert read(WHOLE).policy is not None


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
@settings(max_examples=200, deadline=None)
def test_arbitrary_text_is_an_answer(text: str) -> None:
    read(text)
    read(f"version: 1\nroles:\n  r: {text}")


@given(st.lists(_PIECES, max_size=30).map("".join))
@settings(max_examples=200, deadline=None)
def test_text_of_what_yaml_has_a_meaning_for_is_an_answer(text: str) -> None:
    read(text)
    read(f"version: 1\n{text}")


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_good_policy_with_mutations_is_an_answer_and_never_more_than_the_schema_allows(data: st.DataObject) -> None:
    text = WHOLE
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        end = min(len(text), begin + data.draw(st.integers(0, 12)))
        text = text[:begin] + data.draw(_PIECES | st.text(max_size=5)) + text[end:]
    read(text)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_good_policy_with_one_value_for_another_is_an_answer(data: st.DataObject) -> None:
    """Lines and words of it change places: still YAML, seldom a policy."""
    words = WHOLE.split(" ")
    first, second = (data.draw(st.integers(0, len(words) - 1)) for _ in range(2))
    words[first], words[second] = words[second], words[first]
    read(" ".join(words))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_good_policy_with_one_key_for_another_is_an_answer(data: st.DataObject) -> None:
    keys = list(re.finditer(r"[a-z_]+(?=:)", WHOLE))
    place = data.draw(st.sampled_from(keys))
    other = data.draw(st.sampled_from([*sorted({key.group() for key in keys}), "extra", "Roles"]))
    read(WHOLE[: place.start()] + other + WHOLE[place.end() :])


def _filled(piece: str, end: str = "") -> str:
    return piece * (LIMIT // len(piece.encode()) - len(end)) + end


HOSTILE = {
    "brackets": "[" * LIMIT,
    "braces": "{" * LIMIT,
    "mappings in a row": "a: " * (LIMIT // 3),
    "dashes": "- " * (LIMIT // 2),
    "question marks": "? " * (LIMIT // 2),
    "one list": "[" + "a," * (LIMIT // 2 - 1) + "]",
    "one scalar": "a" * LIMIT,
    "one quoted scalar": '"' + "a\\n" * (LIMIT // 3 - 1) + '"',
    "open quote": "'" + "a\n" * (LIMIT // 2 - 1),
    "comments": _filled("#\n"),
    "spaces": " " * LIMIT,
    "new lines": "\n" * LIMIT,
    "documents": _filled("---\n"),
    "tags": "!" * LIMIT,
    "anchors": "".join(f"- &a{number}\n" for number in range(90_000)),
    "alias bomb": "a: &a [x,x]\n" + "".join(f"k{i}: &k{i} [*{f'k{i - 1}' if i else 'a'},*a]\n" for i in range(9_000)),
    "repeated keys": _filled("a: 1\n"),
    "huge number": "version: " + "9" * (LIMIT - 20),
    "indentation": "".join(" " * depth + "a:\n" for depth in range(1_400)),
    "block scalar": "a: |\n" + " b\n" * (LIMIT // 3 - 3),
    "unknown groups": "version: 1\nroles:\n"
    + "".join(
        f" r{n}: {{hosts: all, commands: ALL, duration: {{default: 1h, max: 1h}}, approvers: {{groups: [x{n}]}}}}\n"
        for n in range(8_000)
    ),
    "groups of groups": "version: 1\ngroups:\n  a: ["
    + ", ".join(f"u{n}" for n in range(50_000))
    + "]\n"
    + "".join(f"  g{n}: {{groups: [a], people: [x{n}]}}\n" for n in range(5_000)),
    "cycles": "version: 1\ngroups:\n"
    + "".join(f"  g{n}: {{groups: [g{(n + 1) % 9_000}, g{n}]}}\n" for n in range(9_000)),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_no_file_takes_more_time_or_memory_than_its_length_is_worth(name: str) -> None:
    text = HOSTILE[name]
    assert len(text.encode()) <= LIMIT
    read(text)


_MEASURED = """
import resource, sys
from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.domain.policy.finding import PolicyFile
YamlPolicyParser().parse([PolicyFile("hostile.yaml", sys.stdin.read())], 1, [])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["groups of groups", "one list"])
def test_the_largest_files_take_a_bounded_amount_of_memory(name: str) -> None:
    """The first ends at the number of memberships, the other at the number of values."""
    command = [sys.executable, "-c", _MEASURED]
    told = subprocess.run(command, input=HOSTILE[name], check=True, capture_output=True, text=True).stdout
    assert int(told) < 600 * 1024, "KiB"


def test_lines_in_any_order_are_an_answer() -> None:
    chance = random.Random(1)
    for _ in range(50):
        lines = WHOLE.splitlines()
        chance.shuffle(lines)
        read("\n".join(lines))


def test_every_wrong_policy_cut_off_anywhere_is_an_answer() -> None:
    for file in sorted((Path(__file__).parent / "wrong_policies").glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        read(text[: len(text) * 2 // 3])
