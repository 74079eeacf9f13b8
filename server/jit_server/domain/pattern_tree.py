"""An expression of `domain/pattern.py` once it is read, and what can be told of all texts it matches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chars:
    any_of: frozenset[str]


@dataclass(frozen=True, slots=True)
class Row:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: Node
    least: int
    most: int | None


Node = Chars | Row | Choice | Repeat
States = frozenset[int]
Step = Callable[[Collection[str], int], Iterator[int]]


def run(node: Node, states: States, step: Step) -> States:
    """The states in which one can be behind the node, from these before it; `step` reads one of some characters."""
    match node:
        case Chars(any_of):
            return frozenset(after for state in states for after in step(any_of, state))
        case Row(parts):
            for part in parts:
                states = run(part, states, step)
            return states
        case Choice(parts):
            return frozenset().union(*(run(part, states, step) for part in parts))
        case Repeat(part, least, most):
            for _ in range(least):
                states = run(part, states, step)
            reached, turns = states, least
            while states and (most is None or turns < most):
                states = run(part, states, step) - reached
                reached, turns = reached | states, turns + 1
            return reached


def size(node: Node) -> int:
    """How many characters it has once its counts are written out."""
    match node:
        case Chars():
            return 1
        case Row(parts) | Choice(parts):
            return sum(map(size, parts))
        case Repeat(part, least, most):
            return size(part) * max(least, most or 1)


def nesting(node: Node) -> int:
    """How many repeated groups stand within one another."""
    match node:
        case Chars():
            return 0
        case Row(parts) | Choice(parts):
            return max(map(nesting, parts))
        case Repeat(part, _, most):
            return nesting(part) + (most != 1 and not isinstance(part, Chars))


# How far one is on the way out of a folder: `/..` before a slash, a blank or the end, or `../` anywhere.
_ONE, _TWO, _SLASH, _ONE_AFTER_SLASH, _TWO_AFTER_SLASH, _CLIMBED = range(1, 7)
_DOT = {0: _ONE, _ONE: _TWO, _TWO: _TWO, _SLASH: _ONE_AFTER_SLASH, _ONE_AFTER_SLASH: _TWO_AFTER_SLASH}


def matches_nothing(node: Node) -> bool:
    """Whether it matches the empty text."""
    return 0 in run(node, frozenset({0}), lambda chars, at: iter(()))


def climbs(node: Node) -> bool:
    """Whether it matches a text in which a path leads out of a folder by `..`."""
    return bool(run(node, frozenset({0}), _climb) & {_TWO_AFTER_SLASH, _CLIMBED})


def _climb(chars: Collection[str], state: int) -> Iterator[int]:
    if state == _CLIMBED:
        yield _CLIMBED
        return
    for char in chars:
        if char == ".":
            yield _DOT.get(state, _TWO)
        elif char == "/":
            yield _CLIMBED if state in (_TWO, _TWO_AFTER_SLASH) else _SLASH
        else:
            yield _CLIMBED if char == " " and state == _TWO_AFTER_SLASH else 0


def has_word(node: Node, beginning: str, *, first: bool) -> bool:
    """Whether it matches a text in which a word, or the first word, begins like this; words have a blank between."""
    found = len(beginning) + 1

    def step(chars: Collection[str], state: int) -> Iterator[int]:
        # 0: within another word; n: n - 1 characters of the beginning are read.
        if state == found:
            yield found
            return
        for char in chars:
            if char == " " and not first:
                yield 1
            else:
                yield state + 1 if state and char == beginning[state - 1] else 0

    return found in run(node, frozenset({1}), step)
