"""YAML 1.2 as plain values, with the line and column of each.

Of YAML only what a reviewer can take at its word is read: one document, no anchors, aliases, merges, tags or repeated
keys.  `no` is a text, as YAML 1.2 says, and numbers are decimal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Path = tuple[str | int, ...]
MAX_DEPTH = 20
_TAG = "tag:yaml.org,2002:"
UNREADABLE: Final = object()
"""What stands for a value that could not be read; a problem says why."""
_DECIMAL = re.compile(r"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the text cannot be read, and where."""

    position: Position
    message: str


@dataclass(frozen=True, slots=True)
class Source:
    """The values of one text; `keys` and `values` say where the key and the value at a path stand.

    What has a problem is left out of the values, or is `UNREADABLE`; so is the root of a text that is no YAML at all.
    """

    root: object
    keys: Mapping[Path, Position]
    values: Mapping[Path, Position]
    problems: Sequence[Problem] = ()

    def find(self, path: Path, *, key: bool = False) -> Position:
        """Where the thing at the path stands, or the nearest thing around it that stands somewhere."""
        nearest: Path = ()
        for part in path:
            if (*nearest, part) in self.values:
                nearest = (*nearest, part)
        table = self.keys if key and nearest in self.keys else self.values
        return table[nearest]


def read(untrusted_text: str) -> Source:
    """The values with their positions, and everything that stands against using them."""
    if untrusted_text.startswith("%"):
        return _unreadable(Position(1, 1), "directives are not allowed; this is read as YAML 1.2")
    try:
        root = _yaml().compose(untrusted_text)
    except ReaderError as error:
        before = untrusted_text[: error.position].splitlines() or [""]
        return _unreadable(
            Position(len(before), len(before[-1]) + 1), f"character {error.character:#x}: not allowed here"
        )
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        parts = [error.context, error.problem] if str(error.problem).startswith("but ") else [error.problem]
        return _unreadable(position, " ".join(part for part in parts if part) or "this is not YAML")
    except YAMLError as error:
        return _unreadable(Position(1, 1), str(error))
    except RecursionError:
        return _unreadable(Position(1, 1), f"nested more than {MAX_DEPTH} deep")
    if root is None:
        return Source({}, {}, {(): Position(1, 1)})
    reader = _Reader()
    value = reader.value(root, ())
    return Source(value, reader.keys, reader.values, reader.problems)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    return yaml


class _Reader:
    """Turns nodes into values and remembers where they stood."""

    def __init__(self) -> None:
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self.problems: list[Problem] = []

    def value(self, node: Node, path: Path) -> object:
        self.values[path] = _position(node)
        if len(path) > MAX_DEPTH:
            self._problem(node, f"nested more than {MAX_DEPTH} deep")
            return UNREADABLE
        if node.anchor:
            self._problem(node, f"anchor &{node.anchor}: not allowed here, nor are aliases")
            return UNREADABLE
        match node:
            case MappingNode():
                return self._mapping(node, path)
            case SequenceNode():
                return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
            case _:
                return self._scalar(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._problem(key_node, "a key must be a plain word")
                continue
            key = str(key_node.value)
            if key in mapping:
                self._problem(key_node, f"key {key[:80]!a} stands here twice")
                continue
            self.keys[(*path, key)] = _position(key_node)
            mapping[key] = self.value(value_node, (*path, key))
        return mapping

    def _scalar(self, node: Node) -> object:
        text = str(node.value)
        match str(node.tag).removeprefix(_TAG):
            case "int" if _DECIMAL.fullmatch(text):
                return int(text)
            case "bool":
                return text.lower() == "true"
            case "float":
                return float("nan")  # no field takes one; it is only to be refused as what it is
            case "null":
                return None
            case "str" | "timestamp":
                return text
            case tag:
                self._problem(node, f"{text[:80]!r} of type {tag[:80]!r}: not allowed here")
                return UNREADABLE

    def _problem(self, node: Node, message: str) -> None:
        self.problems.append(Problem(_position(node), message))


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _unreadable(position: Position, message: str) -> Source:
    problem = Problem(position, " ".join(message.split())[:300])
    return Source(UNREADABLE, {}, {(): position}, [problem])
