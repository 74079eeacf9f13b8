"""The published JSON Schema says of a file's shape what the reader says (SPEC 9.1)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jit_server.adapters.policy_yaml import YamlPolicyParser, source
from jit_server.adapters.policy_yaml.contents import TOP_KEYS
from jit_server.adapters.policy_yaml.role import RoleShape
from jit_server.adapters.policy_yaml.schema import policy_schema
from jit_server.domain.policy.finding import PolicyFile
from jit_testing.big_policy import big_policy

TREE = Path(__file__).parents[3]
SCHEMA = policy_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def _examples() -> dict[str, str]:
    """Every policy that the repository shows to people."""
    manual = (TREE / "packaging/man/jit-policy.5.scd").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", manual, re.MULTILINE | re.DOTALL)
    shown = {f"manual-{number}": text for number, text in enumerate(blocks) if "\nroles:" in text}
    return {**shown, "lab": (TREE / "tests/lab/policy.yaml").read_text(encoding="utf-8")}


def test_it_is_a_schema_of_the_dialect_it_names() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", sorted(_examples()))
def test_examples_of_the_repository_pass_it_and_are_read(name: str) -> None:
    text = _examples()[name]
    assert [error.message for error in VALIDATOR.iter_errors(source.read(text).root)] == []
    assert YamlPolicyParser().parse([PolicyFile("example.yaml", text)], 1, []).policy is not None


def test_a_large_policy_passes_it_and_is_read() -> None:
    big = big_policy(roles=60, people=500, hosts=1, seed=7)
    assert all(VALIDATOR.is_valid(source.read(file.text).root) for file in big.files)
    parsed = YamlPolicyParser().parse(big.files, 1, big.people)
    assert parsed.policy is not None
    assert len(parsed.policy.roles) == 60


def test_it_knows_the_keys_that_are_read_and_no_others() -> None:
    assert set(SCHEMA["properties"]) == set(TOP_KEYS)
    role = SCHEMA["$defs"]["Role"]
    assert set(role["properties"]) == set(RoleShape.model_fields)
    assert sorted(role["required"]) == ["commands", "duration", "hosts"]


def test_no_mapping_of_it_lets_an_unknown_key_through() -> None:
    assert [where for where, one in _mappings(SCHEMA, "") if one.get("additionalProperties", True) is True] == []


def test_the_published_file_is_the_one_that_comes_out_of_the_shapes() -> None:
    """`make schema` writes it anew; it is what `jitctl policy schema` prints and the package installs."""
    command = [sys.executable, "-m", "jit_server.adapters.policy_yaml.schema"]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert (TREE / "server/jit_ctl/policy.schema.json").read_text(encoding="utf-8") == written
    assert json.loads(written) == SCHEMA


def _mappings(value: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    if isinstance(value, dict):
        if value.get("type") == "object":
            found.append((where, value))
        for key, one in value.items():
            found += _mappings(one, f"{where}/{key}")
    elif isinstance(value, list):
        for one in value:
            found += _mappings(one, where)
    return found
