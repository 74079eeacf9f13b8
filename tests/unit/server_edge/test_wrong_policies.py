"""Each file of `wrong_policies` is told what is wrong with it, word for word, and is held against the schema as well.

A file begins (one with a directive ends) with what it is for: `# schema` and whether the published schema refuses it,
accepts it because only the server can tell, or cannot be asked since the file is no YAML we read; then a line
`# LINE:COLUMN MESSAGE` for each error, in the order they are told.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from jit_server.adapters.policy_yaml import YamlPolicyParser, source
from jit_server.adapters.policy_yaml.schema import policy_schema
from jit_server.domain.identity import User
from jit_server.domain.policy.finding import PolicyFile, Severity

FILES = sorted((Path(__file__).parent / "wrong_policies").glob("*.yaml"))
PEOPLE = [
    User(f"usr-{name:0<16}", name, name, frozenset(), created_at=1)
    for name in ("alice", "bob", "carol", "dave", "erin")
]
SCHEMA = Draft202012Validator(policy_schema())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_wrong_policy_is_refused_and_told_why_and_where(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    parsed = YamlPolicyParser().parse([PolicyFile(file.name, text)], 1, PEOPLE)
    assert parsed.policy is None
    told = [f"{one.line}:{one.column} {one.message}" for one in parsed.findings if one.severity is Severity.ERROR]
    assert told == re.findall(r"^# ([0-9]+:[0-9]+ .*)$", text, re.MULTILINE)
    assert all(line.isprintable() and len(line) < 400 for line in told)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_schema_refuses_what_has_the_wrong_shape(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    read = source.read(text)
    verdict = "unreadable" if read.problems else "accepts" if SCHEMA.is_valid(read.root) else "refuses"
    assert f"# schema {verdict}\n" in text


def test_there_are_as_many_as_were_promised() -> None:
    assert len(FILES) >= 60
