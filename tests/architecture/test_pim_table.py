"""Each row of `server/PIM.md` names tests that exist, or says plainly that jit does not do it yet."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from jit_server.adapters.policy_yaml.commands import CommandShape
from jit_server.adapters.policy_yaml.contents import TOP_KEYS
from jit_server.adapters.policy_yaml.people import EligibleShape
from jit_server.adapters.policy_yaml.role import RoleShape
from jit_server.domain.events import EventKind
from jit_server.domain.policy.lint import RULE_NAMES

ROOT = Path(__file__).parents[2]
_TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
_NONE = "–"


def rows() -> list[list[str]]:
    """The cells of each row: the setting, what jit has for it, and the proof."""
    text = (ROOT / "server/PIM.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[0] not in ("Entra PIM", "---")]


def functions_of(module: str) -> set[str]:
    """The test functions of the one module with this file name."""
    (path,) = (ROOT / "tests").rglob(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_is_proved_by_tests_that_exist_or_is_said_to_come_later(row: list[str]) -> None:
    setting, ours, proof = row
    assert setting
    assert ours
    named = _TEST.findall(proof)
    assert [f"{module}::{name}" for module, name in named if name not in functions_of(module)] == []
    # Nothing but tests stands there, so that none is misspelt into a plain word.
    assert _TEST.sub("", proof).strip(", ") == ("" if named else _NONE)
    assert named or ours.startswith("later")


def test_the_table_has_the_rows_it_promises() -> None:
    assert len(rows()) >= 35
    assert sum(not _TEST.search(row[2]) for row in rows()) <= 3


def test_keys_and_rules_of_the_table_exist() -> None:
    shapes = (RoleShape, EligibleShape, CommandShape)
    keys = {field.alias or name for shape in shapes for name, field in shape.model_fields.items()}
    known = keys | set(TOP_KEYS) | RULE_NAMES | {kind.value for kind in EventKind} | {"jit", "jitctl"}
    quoted = {re.split(r"[: ]", text)[0] for _, ours, _ in rows() for text in re.findall(r"`([a-z][^`]*)`", ours)}
    assert len(quoted) > 20
    assert quoted - known == set()
