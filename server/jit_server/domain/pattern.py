r"""Expressions over text of one line: the small language in which a policy says what arguments may be (SPEC 9.3).

It is a part of POSIX's extended regular expressions in which every expression means the same to sudo and to us, and
none means more than it seems to: a whole line, literal characters (special ones after a backslash), classes of named
characters such as `[a-z0-9_-]`, groups `(one|two)`, and `?`, `*`, `+`, `{2}`, `{1,8}` after any of these.

Matching takes time in proportion to expression and text, whatever both are: it follows all ways at once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from jit_server.domain import pattern_tree as tree

MAX_LENGTH = 1_024
"""Of an expression; sudo refuses longer ones."""
MAX_MATCHED = 4_096
"""Of a text; a longer one matches nothing."""
MAX_COUNT = 255
MAX_SIZE = 4_096
"""How many characters an expression may have once its counts are written out."""
MAX_DEPTH = 8

_WORD = re.compile(r"[!-~]+")
_SPECIAL = frozenset("\\^$.[]()|*+?{}#")
_LITERAL = frozenset(map(chr, range(0x20, 0x7F))) - _SPECIAL
_IN_CLASS = frozenset("%+,./:=@_~")
"""What a class may hold beside letters, digits and a last `-`: what sudo's lexer leaves alone there."""
_RANGE = re.compile(r"[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]")
_WHOLE = re.compile(r"\^(?:[^\\]|\\.)*\$")
_COUNT = re.compile(r"\{([0-9]{1,3})(,([0-9]{1,3})?)?\}")
_SHORTHANDS = {"d": "[0-9]", "w": "[A-Za-z0-9_]", "s": "a blank"}


@dataclass(frozen=True, slots=True)
class Pattern:
    """An expression as it was written; patterns are the same if their texts are."""

    text: str

    def matches_words(self, words: Sequence[str]) -> bool:
        """Whether it lets these arguments through, as sudo sees them: joined by one blank each.

        An empty argument, and one with a blank or anything but printable ASCII, is let through by none.
        """
        return all(_WORD.fullmatch(word) for word in words) and self.matches(" ".join(words))

    def matches(self, text: str) -> bool:
        """Whether it is this text as a whole; False for an expression that has a `problem`."""
        node = _parsed(self.text)
        if isinstance(node, str) or len(text) > MAX_MATCHED:
            return False

        def step(chars: Collection[str], at: int) -> Iterator[int]:
            if at < len(text) and text[at] in chars:
                yield at + 1

        return len(text) in tree.run(node, frozenset({0}), step)

    def can_have(self, beginning: str, *, first: bool = False) -> bool:
        """Whether it lets an argument, or a first one, through that begins like this; False if it has a `problem`."""
        node = _parsed(self.text)
        return not isinstance(node, str) and tree.has_word(node, beginning, first=first)

    def follows(self, text: str) -> int:
        """How many characters at the beginning of the text are as it wants them; zero if it has a `problem`."""
        node, furthest = _parsed(self.text), 0

        def step(chars: Collection[str], at: int) -> Iterator[int]:
            nonlocal furthest
            if at < len(text) and text[at] in chars:
                furthest = max(furthest, at + 1)
                yield at + 1

        if not isinstance(node, str) and len(text) <= MAX_MATCHED:
            tree.run(node, frozenset({0}), step)
        return furthest

    def __str__(self) -> str:
        return self.text


def problem(text: str) -> str | None:
    """Say why this is no expression of the language, and what to write instead; None if it is one."""
    node = _parsed(text)
    return node if isinstance(node, str) else None


class _Refused(Exception):
    """The text says why."""


@functools.lru_cache(maxsize=4_096)
def _parsed(text: str) -> tree.Node | str:
    """The expression, or what is wrong with it."""
    try:
        node = _Reader(text).read()
        _check(node)
    except _Refused as refused:
        return str(refused)
    return node


class _Reader:
    """One pass over an expression."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise _Refused(f"the expression has {len(text)} characters; the limit is {MAX_LENGTH}")
        if not text.isascii() or not text.isprintable():
            raise _Refused("the expression has characters outside printable ASCII")
        if _WHOLE.fullmatch(text) is None:
            raise _Refused("the expression has to begin with ^ and end with $: in part it would match anything")
        self._text, self._at = text[1:-1], 0

    def read(self) -> tree.Node:
        node = self._row(0)
        if self._next() == "|":
            raise _Refused("`|` outside a group leaves one side without ^ or $: write ^(one|two)$")
        if self._next():
            raise _Refused("`)` without its `(`: write \\) for the character")
        return node

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _choice(self, depth: int) -> tree.Node:
        if depth > MAX_DEPTH:
            raise _Refused(f"groups are nested deeper than {MAX_DEPTH}")
        parts = [self._row(depth)]
        while self._next() == "|":
            self._at += 1
            parts.append(self._row(depth))
        if self._next() != ")":
            raise _Refused("`(` without its `)`: write \\( for the character")
        self._at += 1
        return parts[0] if len(parts) == 1 else tree.Choice(tuple(parts))

    def _row(self, depth: int) -> tree.Node:
        parts: list[tree.Node] = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom(depth)))
        if not parts:
            raise _Refused("an empty expression or branch: write what has to be there, and (…)? for what may be absent")
        return tree.Row(tuple(parts))

    def _atom(self, depth: int) -> tree.Node:
        char = self._next()
        self._at += 1
        match char:
            case "(":
                if self._next() == "?":
                    raise _Refused("(?…) is not understood by all of sudo's versions: write both cases, [Aa]")
                return self._choice(depth + 1)
            case "[":
                return self._class()
            case "\\":
                return self._escaped()
            case _ if char in _LITERAL:
                return tree.Chars(frozenset(char))
        raise _Refused(_MISPLACED.get(char, f"`{char}` has nothing before it that it repeats: write \\{char} for it"))

    def _escaped(self) -> tree.Node:
        char = self._next()
        self._at += 1
        if char in _SPECIAL and char:
            return tree.Chars(frozenset(char))
        if char.isdigit():
            raise _Refused(f"the back-reference \\{char} is not understood: write out what may stand there")
        if char in _SHORTHANDS:
            raise _Refused(f"\\{char} is not understood by sudo: write {_SHORTHANDS[char]}")
        raise _Refused(f"the backslash before `{char}` is not needed: write {char}")

    def _class(self) -> tree.Node:
        end = self._text.find("]", self._at)
        inside = self._text[self._at : end] if end >= 0 else ""
        if inside.startswith("^"):
            raise _Refused(f"the negated class [{inside}] lets through what nobody thought of: name what may be there")
        if not inside:
            raise _Refused("`[` without its class: write [a-z0-9_-], or \\[ for the character")
        if "[" in inside:
            raise _Refused("named classes such as [[:alnum:]] differ between hosts: write [A-Za-z0-9]")
        if " " in inside:
            raise _Refused(f"the class [{inside}] has a blank, which would be a further argument: write it outside")
        self._at = end + 1
        return tree.Chars(_members(inside))

    def _repeated(self, node: tree.Node) -> tree.Node:
        char = self._next()
        if char not in ("?", "*", "+", "{") or not char:
            return node
        if char == "{":
            least, most = self._count()
        else:
            self._at += 1
            least, most = {"?": (0, 1), "*": (0, None), "+": (1, None)}[char]
        if self._next() and self._next() in "?*+{":
            raise _Refused(f"`{self._next()}` after another repetition: one of both is enough")
        return tree.Repeat(node, least, most)

    def _count(self) -> tuple[int, int | None]:
        found = _COUNT.match(self._text, self._at)
        if found is None:
            raise _Refused("`{` without a count such as {2} or {1,8}: write \\{ for the character")
        self._at = found.end()
        least = int(found[1])
        most = least if found[2] is None else int(found[3]) if found[3] else None
        if max(least, most or 0) > MAX_COUNT or most == 0 or (most is not None and most < least):
            raise _Refused(f"{found[0]} is no count: from 0 or more to {MAX_COUNT} or fewer")
        return least, most


_MISPLACED = {
    ".": "`.` would be any character, also a blank or a slash: write \\. for a dot, or a class such as [a-z0-9_-]",
    "^": "`^` inside the expression: write \\^ for the character",
    "$": "`$` inside the expression: write \\$ for the character",
    "]": "`]` without its `[`: write \\] for the character",
    "}": "`}` without its `{`: write \\} for the character",
    "#": "`#` begins a comment in sudoers: write \\#",
}


def _members(inside: str) -> frozenset[str]:
    """The characters of a class; raises `_Refused`."""
    members: set[str] = set()
    at = 0
    while at < len(inside):
        char = inside[at]
        if _RANGE.match(inside, at):
            first, last = char, inside[at + 2]
            if first > last:
                raise _Refused(f"the range {first}-{last} is empty: write {last}-{first}")
            some = set(map(chr, range(ord(first), ord(last) + 1)))
            at += 3
        elif char.isalnum() or char in _IN_CLASS or (char == "-" and at == len(inside) - 1):
            some = {char}
            at += 1
        elif char == "-":
            raise _Refused(f"`-` in [{inside}]: write it last, or a range within a-z, A-Z or 0-9")
        else:
            raise _Refused(f"`{char}` cannot stand in the class [{inside}]: write (\\{char}|[…])")
        if members & some:
            raise _Refused(f"the class [{inside}] names a character twice")
        members |= some
    return frozenset(members)


def _check(node: tree.Node) -> None:
    """Raise `_Refused` for what is well written and still lets through, or takes, more than anybody means."""
    if tree.size(node) > MAX_SIZE:
        raise _Refused(f"its counts make the expression longer than {MAX_SIZE} characters: use * or +")
    if tree.nesting(node) > 1:
        raise _Refused("a repeated group within a repeated group: write out one of the two")
    if tree.matches_nothing(node):
        raise _Refused(
            "the expression matches nothing at all: let it begin with what is there (no arguments: `args: []`)"
        )
    if tree.climbs(node):
        raise _Refused(
            "the expression lets a path through that leads out by /../: begin each name in it with a class without "
            "a dot, as in [a-z0-9_-][a-z0-9_.-]*"
        )
