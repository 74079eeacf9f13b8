"""The JSON Schema (2020-12) of a policy file, for editors and for checks before a file is sent anywhere.

It comes out of the same shapes that files are read with, and is never narrower than they are: what is read passes it.
What one part says about another (a group that is not defined, a command that is a trap) only the server can tell.
Run as a program it writes the schema to standard output.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from jit_server.adapters.policy_yaml.commands import Bundle
from jit_server.adapters.policy_yaml.labels import Labels
from jit_server.adapters.policy_yaml.people import FlowShape, Group
from jit_server.adapters.policy_yaml.role import RoleShape
from jit_server.adapters.policy_yaml.sections import ChangesShape, SuppressShape, TestShape
from jit_server.adapters.policy_yaml.values import Name, Shape

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TITLE = "A policy file of jit"


class _FileShape(Shape):
    """One of the files that are a policy together; see jit-policy(5)."""

    model_config = ConfigDict(title=_TITLE)

    version: Literal[1]
    groups: dict[Name, Group] | None = None
    hosts: dict[Name, Labels] | None = None
    commands: dict[Name, Bundle] | None = None
    flows: dict[Name, FlowShape] | None = None
    roles: dict[Name, RoleShape] | None = None
    changes: ChangesShape | None = None
    tests: list[TestShape] | None = None
    suppress: list[SuppressShape] | None = None


class _Generator(GenerateJsonSchema):
    """Says of the files' form what counts for who writes them."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        # A default is what is meant, not what could be written: 1800, and not 30m.
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        # A key with nothing behind it is an error.
        return self.generate_inner(schema["schema"])


def policy_schema() -> dict[str, Any]:
    """The schema as plain values."""
    schema = _FileShape.model_json_schema(schema_generator=_Generator)
    for section in ("groups", "hosts", "commands", "flows", "roles", "changes", "tests", "suppress"):
        # A section may be written and empty.
        schema["properties"][section] = {"anyOf": [schema["properties"][section], {"type": "null"}]}
    return {"$schema": DIALECT, **_renamed(schema)}


def _renamed(value: Any) -> Any:
    """Definitions by what they are, without what we call a class of it."""
    match value:
        case dict():
            inner = {key: _renamed(one) for key, one in value.items()}
            if "$defs" in inner:
                inner["$defs"] = {_plain(name): one for name, one in inner["$defs"].items()}
            if isinstance(inner.get("$ref"), str):
                inner["$ref"] = _plain(inner["$ref"])
            if "patternProperties" in inner:
                inner.setdefault("additionalProperties", False)
            if str(inner.get("title", "")).endswith("Shape"):
                del inner["title"]
            return inner
        case list():
            return [_renamed(one) for one in value]
        case _:
            return value


def _plain(name: str) -> str:
    return name.removesuffix("Shape")


def main() -> None:
    """Write the schema to standard output."""
    json.dump(policy_schema(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
