"""The JSON Schema that `jitctl policy schema` prints is the one the server reads files with."""

from __future__ import annotations

import importlib.resources
import json

from jit_server.adapters.policy_yaml.schema import policy_schema


def test_the_schema_is_fresh() -> None:
    """If not: python -m jit_server.adapters.policy_yaml.schema > server/jit_ctl/policy.schema.json."""
    shipped = importlib.resources.files("jit_ctl").joinpath("policy.schema.json").read_text(encoding="utf-8")
    assert json.loads(shipped) == policy_schema()
