"""The expressions of SPEC 9.3 over a command's arguments, as the enforcer took them, to say what a live grant covers.

Whether a command runs is for the enforcer and sudo to say; this only spares a person a request they do not need.
Matching follows all ways at once, so that no argument makes it take long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set

_LONGEST_TEXT = 4096
_WHOLE = re.compile(r"\^((?:[^\\]|\\.)*)\$")
_ONE = re.compile(r"\\[!-~]|\[[^\[\]\\^]+\]|[^\\\[\]()|*+?{}^$.]")
_RANGE = re.compile(r"([a-zA-Z0-9])-([a-zA-Z0-9])")
_TIMES = re.compile(r"([?*+])|\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}")
_WORD = re.compile(r"[!-~]+")
# From where in a text one can be to where one can be behind a part.
_Walk = Callable[[str, Set[int]], Set[int]]


def matches(expression: str, words: Sequence[str]) -> bool:
    """Whether the expression lets these arguments through; False for one that cannot be read."""
    text = " ".join(words)
    whole = _WHOLE.fullmatch(expression)
    if whole is None or len(text) > _LONGEST_TEXT or not all(_WORD.fullmatch(word) for word in words):
        return False
    try:
        walk, at = _row(whole[1], 0)
    except ValueError:
        return False
    return at == len(whole[1]) and len(text) in walk(text, {0})


def _row(text: str, at: int) -> tuple[_Walk, int]:
    """The parts up to `|`, `)` or the end, and where that is.  Raises `ValueError`."""
    parts: list[_Walk] = []
    while at < len(text) and text[at] not in "|)":
        if text[at] == "(":
            part, at = _choice(text, at + 1)
        elif one := _ONE.match(text, at):
            part, at = _character(one[0]), one.end()
        else:
            raise ValueError("not of our language")
        if times := _TIMES.match(text, at):
            part, at = _repeated(part, times), times.end()
        parts.append(part)

    def walk(text: str, here: Set[int]) -> Set[int]:
        for part in parts:
            here = part(text, here)
        return here

    return walk, at


def _choice(text: str, at: int) -> tuple[_Walk, int]:
    """The rest of a group, and where it ends."""
    part, at = _row(text, at)
    parts = [part]
    while text[at : at + 1] == "|":
        part, at = _row(text, at + 1)
        parts.append(part)
    if text[at : at + 1] != ")":
        raise ValueError("an open group")
    return lambda text, here: set().union(*(part(text, here) for part in parts)), at + 1


def _character(written: str) -> _Walk:
    known = written[-1]
    if written[0] == "[":
        known = _RANGE.sub(lambda found: "".join(map(chr, range(ord(found[1]), ord(found[2]) + 1))), written[1:-1])
    return lambda text, here: {at + 1 for at in here if at < len(text) and text[at] in known}


def _repeated(part: _Walk, times: re.Match[str]) -> _Walk:
    sign, count, comma, last = times.groups()
    least = int(count) if count else int(sign == "+")
    most = None if sign in ("*", "+") or (comma and not last) else int(last or count or 1)

    def walk(text: str, here: Set[int]) -> Set[int]:
        for _ in range(least):
            here = part(text, here)
        reached, turns = set(here), least
        while here and turns != most:
            here = part(text, here) - reached
            reached, turns = reached | here, turns + 1
        return reached

    return walk
