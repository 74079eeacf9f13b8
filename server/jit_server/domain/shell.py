"""Command lines as a person can read and paste them (S12).

A word is quoted so that a POSIX shell (with `$'…'`) reads back exactly the same word, and so that nothing in it can
move a cursor, reorder text or hide: whatever is not plainly printable is written as an escape.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_ESCAPES = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\x1b": r"\e", "\\": r"\\", "'": r"\'"}


def _is_visible(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] in "LNPS"


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if _is_visible(char):
        return char
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(word: str) -> str:
    """Return the word as a shell would have to be told it."""
    if _PLAIN.fullmatch(word):
        return word
    if all(_is_visible(char) for char in word):
        return "'" + word.replace("'", "'\\''") + "'"
    return "$'" + "".join(_escape(char) for char in word) + "'"


def join(words: Iterable[str]) -> str:
    return " ".join(quote(word) for word in words)
