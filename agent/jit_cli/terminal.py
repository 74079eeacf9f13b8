"""All that `jit` writes goes through here, so no text from outside reaches a terminal unescaped (S12).

A line is made of parts: plain `str`, or `Painted` for colour.  Both are made
safe; only this module writes escape sequences.  Data goes to standard output,
talk to standard error.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

_QR_CHARACTERS = frozenset(" ▀▄█")
# Letters, marks and variation selectors that Unicode calls printable though nothing is seen.
_FILLERS = (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)
_SELECTORS = (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
_INVISIBLE = frozenset(map(chr, _FILLERS + _SELECTORS))
_COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_SYMBOLS = {"✔": "+", "✘": "x", "●": "*", "○": "o", "…": "...", "·": "-", "–": "-", "×": "x"}
_SYMBOLS |= {"├": "|", "└": "`", "─": "-"}
_ASCII = str.maketrans(_SYMBOLS)


class Painted:
    """A part of a line in a colour (a key of `_COLOURS`), where colours are wanted."""

    __slots__ = ("colour", "text")

    def __init__(self, text: str, colour: str) -> None:
        self.text = text
        self.colour = colour


def safe(untrusted_text: str) -> str:
    """Return the text with everything that is not a visible character or a blank written as an escape.

    Covers C0, C1, DEL, line separators, bidirectional marks, zero-width
    characters, tags and lone surrogates.
    """
    if untrusted_text.isascii() and untrusted_text.isprintable():
        return untrusted_text
    return "".join(_visible(character) for character in untrusted_text)


def _visible(character: str) -> str:
    if character.isprintable() and character not in _INVISIBLE:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unicode_wanted() -> bool:
    """False in the C locale, where Python switches its UTF-8 mode on by itself."""
    return not sys.flags.utf8_mode and sys.stdout.encoding.lower() == "utf-8"


def is_terminal(stream: TextIO) -> bool:
    """A terminal that understands escape sequences."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _render(stream: TextIO, parts: Iterable[str | Painted]) -> str:
    coloured = is_terminal(stream) and not os.environ.get("NO_COLOR")
    plain_symbols = not unicode_wanted()
    rendered = []
    for part in parts:
        text = safe(part if isinstance(part, str) else part.text)
        if plain_symbols:
            text = text.translate(_ASCII)
        if coloured and isinstance(part, Painted):
            text = f"\x1b[{_COLOURS[part.colour]}m{text}\x1b[0m"
        rendered.append(text)
    return "".join(rendered)


def _write(stream: TextIO, text: str) -> None:
    # A terminal that cannot show a character gets its escape, never a traceback.
    encoding = stream.encoding or "ascii"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def out(*parts: str | Painted) -> None:
    """Write one line of data to standard output."""
    _write(sys.stdout, _render(sys.stdout, parts) + "\n")


def say(*parts: str | Painted) -> None:
    """Write one line of talk to standard error."""
    _write(sys.stderr, _render(sys.stderr, parts) + "\n")


def complain(message: str, hint: str = "") -> None:
    """Write an error for a person: one line that starts with the program's name, and the next step."""
    say("jit: ", message)
    if hint:
        say("  ", hint)


def redraw(*parts: str | Painted) -> None:
    """Replace the current line of standard error; only on a terminal (`is_terminal`)."""
    # Serial lines and fresh terminals say 0.
    width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
    text = _render(sys.stderr, [part if isinstance(part, str) else part.text for part in parts])
    _write(sys.stderr, f"\r\x1b[K{text[:width]}")


def clear_line() -> None:
    """Take away what `redraw` left."""
    _write(sys.stderr, "\r\x1b[K")


def bell() -> None:
    """Call the person back to the terminal."""
    _write(sys.stderr, "\a")


def out_qr(untrusted_lines: Iterable[str]) -> bool:
    """Write a QR code to standard output, or nothing and False if it is not one or cannot be shown."""
    lines = list(untrusted_lines)
    if not lines or not unicode_wanted() or any(set(line) - _QR_CHARACTERS for line in lines):
        return False
    for line in lines:
        _write(sys.stdout, line + "\n")
    return True


def out_json(value: object) -> None:
    """Write indented JSON; everything that is not printable ASCII is escaped."""
    import json

    # json leaves DEL alone; in JSON it can only stand inside a string.
    text = json.dumps(value, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")
    _write(sys.stdout, text + "\n")


def out_text(text: str) -> None:
    """Write text of our own (help, completion scripts) that has several lines."""
    _write(sys.stdout, text if unicode_wanted() else text.translate(_ASCII))
