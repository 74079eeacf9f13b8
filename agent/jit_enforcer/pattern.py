r"""The expressions of SPEC 9.3 over a command's arguments: what sudo makes of them, known without asking it.

Read strictly: what is not of the small language is refused, so nothing in here can mean more to sudo than to us.
Matching follows all ways at once, so that no argument and no expression makes it take long.
"""

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Final

from jit_enforcer.errors import Malformed

_LONGEST: Final = 1024
_LONGEST_TEXT: Final = 4096
_MOST: Final = 255
_LARGEST: Final = 4096
_DEEPEST: Final = 8
_WHOLE: Final = re.compile(r"\^((?:[^\\]|\\.)*)\$")
# One character: escaped, one of a class, or itself.
_ONE: Final = re.compile(
    r"\\[\\^$.\[\]()|*+?{}#]"
    r"|\[(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9%+,./:=@_~])+-?\]|\[-\]"
    r"|[ !\"%&',\-/0-9:;<=>@A-Z_`a-z~]"
)
_RANGE: Final = re.compile(r"([a-zA-Z0-9])-([a-zA-Z0-9])")
_TIMES: Final = re.compile(r"([?*+])|\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}")
_WORD: Final = re.compile(r"[!-~]+")
# From where in a text one can be to where one can be behind a part.
_Walk = Callable[[str, Set[int]], Set[int]]


@dataclass(frozen=True, slots=True)
class Pattern:
    """An expression; patterns are the same if their texts are."""

    regex: str

    def matches(self, words: Sequence[str]) -> bool:
        """Whether sudo lets these arguments through, and each of them is plain and without a blank."""
        text = " ".join(words)
        if len(text) > _LONGEST_TEXT or not all(_WORD.fullmatch(word) for word in words):
            return False
        return len(text) in _read(self.regex).walk(text, {0})


@dataclass(frozen=True, slots=True)
class _Part:
    """`size`: its characters with all counts written out.  `again`: a group that is repeated is in it."""

    walk: _Walk
    size: int
    again: bool = False


def parse(untrusted: str) -> Pattern:
    """Raises `Malformed`."""
    _read(untrusted)
    return Pattern(untrusted)


def _read(text: str) -> _Part:
    whole = _WHOLE.fullmatch(text)
    if len(text) > _LONGEST or whole is None:
        raise Malformed("grant with an expression that is too long, or not from ^ to $")
    part, at = _row(whole[1], 0, 0)
    if at < len(whole[1]) or part.size > _LARGEST:
        raise Malformed("grant with an expression that is too large, or has parentheses or | of no group")
    return part


def _row(text: str, at: int, depth: int) -> tuple[_Part, int]:
    """The parts up to `|`, `)` or the end, and where that is."""
    parts: list[_Part] = []
    while at < len(text) and text[at] not in "|)":
        group = text[at] == "("
        if group:
            part, at = _choice(text, at + 1, depth + 1)
        elif one := _ONE.match(text, at):
            part, at = _Part(_character(one[0]), 1), one.end()
        else:
            raise Malformed("grant with an expression that is not of our language")
        if times := _TIMES.match(text, at):
            part, at = _repeated(part, times, group), times.end()
        parts.append(part)
    if not parts:
        raise Malformed("grant with an expression that has an empty part")

    def walk(text: str, here: Set[int]) -> Set[int]:
        for part in parts:
            here = part.walk(text, here)
        return here

    return _Part(walk, sum(part.size for part in parts), any(part.again for part in parts)), at


def _choice(text: str, at: int, depth: int) -> tuple[_Part, int]:
    """The rest of a group, and where it ends."""
    if depth > _DEEPEST:
        raise Malformed("grant with an expression that is nested too deep")
    part, at = _row(text, at, depth)
    parts = [part]
    while text[at : at + 1] == "|":
        part, at = _row(text, at + 1, depth)
        parts.append(part)
    if text[at : at + 1] != ")":
        raise Malformed("grant with an expression that has an open group")

    def walk(text: str, here: Set[int]) -> Set[int]:
        return set().union(*(part.walk(text, here) for part in parts))

    return _Part(walk, sum(part.size for part in parts), any(part.again for part in parts)), at + 1


def _character(written: str) -> _Walk:
    known = written[-1]
    if written[0] == "[":
        known = _RANGE.sub(_spread, written[1:-1])
    return lambda text, here: {at + 1 for at in here if at < len(text) and text[at] in known}


def _spread(found: re.Match[str]) -> str:
    if found[1] > found[2]:
        raise Malformed("grant with an expression that has an empty range")
    return "".join(map(chr, range(ord(found[1]), ord(found[2]) + 1)))


def _repeated(part: _Part, times: re.Match[str], group: bool) -> _Part:
    sign, count, comma, last = times.groups()
    least = int(count) if count else int(sign == "+")
    most = None if sign in ("*", "+") or (comma and not last) else int(last or count or 1)
    if least > _MOST or (most is not None and not max(1, least) <= most <= _MOST) or (part.again and most != 1):
        raise Malformed("grant with an expression that repeats too much")

    def walk(text: str, here: Set[int]) -> Set[int]:
        for _ in range(least):
            here = part.walk(text, here)
        reached, turns = set(here), least
        while here and turns != most:
            here = part.walk(text, here) - reached
            reached, turns = reached | here, turns + 1
        return reached

    return _Part(walk, part.size * max(least, most or 1), part.again or (group and most != 1))
