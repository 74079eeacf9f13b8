"""YAML 1.2 as plain values, with the line and column of each.

Of YAML only what a reviewer can take at its word is read: one document, no anchors, aliases, merges, tags or repeated
keys.  `no` is a text, as YAML 1.2 says, and numbers are decimal.  Depth and number of values are bounded while they are
read, so that no text takes more time or memory than its length is worth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Path = tuple[str | int, ...]
MAX_DEPTH = 20
MAX_VALUES = 250_000
_TAG = "tag:yaml.org,2002:"
UNREADABLE: Final = object()
"""What stands for a value that could not be read; a problem says why."""
_DECIMAL = re.compile(r"-?[0-9]{1,15}")
_DIRECTIVE = re.compile("^\ufeff?%", re.MULTILINE)
_MISLEADING = re.compile("\r(?!\n)|[\x85\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Line ends that most tools do not show as such, and what makes a terminal show text in another order."""


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


class Source:
    """The values of one text, and where each of them stands.

    What has a problem is left out of the values, or is `UNREADABLE`; so is the root of a text that is no YAML at all.
    """

    def __init__(self, root: object, node: Node | None, problems: Sequence[Problem] = (), size: int = 0) -> None:
        self.root, self.problems, self.size = root, problems, size
        self._node = node
        self._entries: dict[int, dict[str, tuple[Node, Node]]] = {}

    def find(self, path: Path, *, key: bool = False) -> Position:
        """Where the thing at the path stands, or the nearest thing around it that stands somewhere.

        `key`: of an entry of a mapping the place of its key, not of its value.
        """
        if self._node is None:
            return Position(1, 1)
        node, key_node = self._node, None
        for part in path:
            match node, part:
                case MappingNode(), str() if part in self._mapping(node):
                    key_node, node = self._mapping(node)[part]
                case SequenceNode(), int() if part < len(node.value):
                    key_node, node = None, node.value[part]
                case _:
                    break
        return _position(key_node if key and key_node is not None else node)

    def _mapping(self, node: MappingNode) -> dict[str, tuple[Node, Node]]:
        entries = self._entries.get(id(node))
        if entries is None:
            # The first of repeated keys counts, as in the values.
            pairs = [(key, value) for key, value in reversed(node.value) if isinstance(key, ScalarNode)]
            entries = {str(key.value): (key, value) for key, value in pairs}
            self._entries[id(node)] = entries
        return entries


def read(untrusted_text: str, most: int = MAX_VALUES) -> Source:
    """The values with their positions, and everything that stands against using them; at most so many values."""
    misleading = _MISLEADING.search(untrusted_text)
    if misleading is not None:
        return _forbidden(untrusted_text, misleading.start(), ord(misleading[0]))
    directive = _DIRECTIVE.search(untrusted_text)
    if directive is not None:
        return _unreadable(
            _place(untrusted_text, directive.start()), "directives are not allowed; this is read as YAML 1.2"
        )
    tagged: dict[int, str] = {}
    try:
        root = _yaml(most, tagged).compose(untrusted_text)
    except ReaderError as error:
        return _forbidden(untrusted_text, error.position, error.character)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        parts = [error.context, error.problem] if str(error.problem).startswith("but ") else [error.problem]
        return _unreadable(position, " ".join(part for part in parts if part) or "this is not YAML")
    except YAMLError as error:
        return _unreadable(Position(1, 1), str(error))
    except (ValueError, OverflowError):  # ruamel's own, of an escape such as "\\U00110000"
        return _unreadable(Position(1, 1), "an escape in a quoted text is no character")
    if root is None:
        return Source({}, None)
    reader = _Reader(tagged)
    return Source(reader.value(root), root, reader.problems, reader.size)


class _BoundedComposer(Composer):
    """Stops at a text that is nested too deep or has too many values; keeps which nodes have a tag."""

    limit = MAX_VALUES
    tagged: dict[int, str]
    """By the node's `id`, which is its own for as long as the tree it is in."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        self._depth = self._count = 0
        self.warn_double_anchors = False  # each anchor is refused already

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH:
            self._stop(f"nested more than {MAX_DEPTH} deep")
        if self._count > self.limit:
            self._stop(f"more than {MAX_VALUES} values in all")
        tag = getattr(self.parser.peek_event(), "tag", None)
        node = super().compose_node(parent, index)
        if tag:
            self.tagged[id(node)] = str(tag)
        self._depth -= 1
        return node

    def _stop(self, why: str) -> None:
        raise ComposerError(None, None, why, self.parser.peek_event().start_mark)


def _yaml(most: int, into: dict[int, str]) -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)

    class Bounded(_BoundedComposer):
        limit = most
        tagged = into

    yaml.Composer = Bounded
    return yaml


class _Reader:
    """Turns nodes into values."""

    def __init__(self, tagged: Mapping[int, str]) -> None:
        self._tagged = tagged
        self.problems: list[Problem] = []
        self.size = 0
        self._told: set[Problem] = set()

    def value(self, node: Node, depth: int = 0) -> object:
        self.size += 1
        if not self._plain(node):
            return UNREADABLE
        match node:
            case MappingNode():
                return self._mapping(node, depth)
            case SequenceNode():
                return [self.value(child, depth + 1) for child in node.value]
            case _:
                return self._scalar(node, depth)

    def _plain(self, node: Node) -> bool:
        """Whether it has neither anchor nor tag; a key and a value alike."""
        if node.anchor:
            # Whatever refers to it is this node again: it is not followed.
            self._problem(node, f"anchor &{str(node.anchor)[:80]}: not allowed here, nor are aliases")
        elif id(node) in self._tagged:
            self._problem(node, f"tag {self._tagged[id(node)].removeprefix(_TAG)[:80]!a}: not allowed here")
        else:
            return True
        return False

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._problem(key_node, "a key must be a plain word")
                continue
            if not self._plain(key_node):
                continue
            key = str(key_node.value)
            if key in mapping:
                self._problem(key_node, f"key {key[:80]!a} stands here twice")
                continue
            mapping[key] = self.value(value_node, depth + 1)
        return mapping

    def _scalar(self, node: Node, depth: int) -> object:
        text = str(node.value)
        match str(node.tag).removeprefix(_TAG):
            case "int" if _DECIMAL.fullmatch(text):
                return int(text)
            case "bool":
                return text.lower() == "true"
            case "float":
                return float("nan")  # no field takes one; it is only to be refused as what it is
            case "null" if depth <= 1:
                return None  # a section that is written, and empty
            case "null":
                self._problem(node, "nothing stands here: write a value, or leave the key out")
                return UNREADABLE
            case "str" | "timestamp":
                return text
            case tag:
                self._problem(node, f"{text[:80]!a} of type {tag[:80]!a}: not allowed here")
                return UNREADABLE

    def _problem(self, node: Node, message: str) -> None:
        # What aliases refer to is met again with each of them, and told once.
        problem = Problem(_position(node), message)
        if problem not in self._told:
            self._told.add(problem)
            self.problems.append(problem)


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _forbidden(text: str, index: int, character: int) -> Source:
    return _unreadable(_place(text, index), f"character {character:#x}: not allowed here")


def _place(text: str, index: int) -> Position:
    return Position(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _unreadable(position: Position, message: str) -> Source:
    printable = "".join(character if character.isprintable() else " " for character in message)
    problem = Problem(position, " ".join(printable.split())[:300])
    return Source(UNREADABLE, None, [problem])
