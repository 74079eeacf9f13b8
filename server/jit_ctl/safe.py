"""Text from outside, made safe for a terminal (S12).

`output` passes every string it prints through `safe`; nothing else prints.
What a terminal would act on, or a person could not see, becomes a visible
escape: control characters (C0, DEL, C1), bidirectional and zero-width
characters, separators other than the plain space, lone surrogates,
unassigned code points, and letters that are drawn as nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

# `str.isprintable` calls these printable, and yet nothing is seen of them:
# fillers, the blank Braille cell, variation selectors.
_INVISIBLE = frozenset(
    chr(code)
    for code in (
        0x034F,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        0x2800,
        0x3164,
        0xFFA0,
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    )
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def _is_visible(character: str) -> bool:
    return character.isprintable() and character not in _INVISIBLE


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def safe(text: str) -> str:
    """Return `text` as one line that a terminal shows and does not obey."""
    if all(map(_is_visible, text)):
        return text
    return "".join(c if _is_visible(c) else _SHORT.get(c) or _escape(c) for c in text)


def _quote(word: str) -> str:
    if all(map(_is_visible, word)):
        return shlex.quote(word)
    # $'…' is the shell's own way to write what cannot be seen, so an escape
    # character and the four characters backslash, x, 1, b look different.
    inside = "".join("\\" + c if c in "\\'" else c if _is_visible(c) else _SHORT.get(c) or _escape(c) for c in word)
    return f"$'{inside}'"


def shell_line(argv: Sequence[str]) -> str:
    """Return a command as a line a shell would split into exactly these words."""
    return " ".join(map(_quote, argv))
