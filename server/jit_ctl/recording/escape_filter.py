"""What of a recording a terminal may obey (S12, SPEC 8.7): a state machine from bytes to text.

It passes text, colours, cursor movements and what changes only the picture.
It drops what asks the terminal something, sets what would outlive the picture,
or stores something: OSC, DCS, APC, PM and SOS strings, reports, window
operations, the modes of keyboard, mouse, focus and paste, tab stops, media
copy.  Everything is on a list of what passes; what is not on it is dropped.

A sequence may be cut anywhere between two calls of `feed`.  Each sequence that
passes is written anew in one canonical form and whole, so the terminal is
never left within one.  8-bit controls (C1) pass only as their 7-bit forms.
A string ends at its terminator, at the end of the line, or after 64 KiB: an
open one cannot hide the rest of the session.
"""

from __future__ import annotations

import codecs
import re

ALTERNATE_SCREEN = frozenset({47, 1047, 1049})
"""The private modes that change to the second screen and back."""

SOFT_RESET = "\x0f\x1b(B\x1b)B\x1b[0m\x1b[4l\x1b[?5l\x1b[?6l\x1b[?7h\x1b[?25h\x1b[r"
"""Undoes every lasting effect that passes, but for the picture and the alternate screen."""

_MAX_BODY = 128
_MAX_STRING = 65_536

# What passes as it is, in runs as long as there are: what a terminal draws, the controls that only move its cursor,
# and the commonest sequences where they are canonical already.  For speed alone; `_control` would come to the same.
_PASSES = re.compile(
    r"""(?:
        [^\x00-\x07\x0e-\x1f\x7f-\x9f]++
      | \x1b\[ (?: [0-9]{0,4}+ (?:;[0-9]{0,4}+){0,20}+ [@A-ILMPSXZ`abdefmr] | [012]?[JK] | \?25[hl] )
      | \x1b [78DEM]
      | \x1b [()] [0B]
    )++""",
    re.VERBOSE,
)
# C0 controls within a sequence are obeyed at once, as terminals do; CAN, SUB and ESC break it off.
_CSI = re.compile(rf"(?:\x1b\[|\x9b)([\x00-\x17\x19\x1c-\x3f\x7f]{{0,{_MAX_BODY}}})([@-~])?")
_ESCAPE = re.compile(r"\x1b([ -/]{0,4})([0-~])?")
_STRING = re.compile(r"[^\x07\x18\x1a\x1b\x9c\r\n]+")
_BODY = re.compile(r"([<=>?]?)([0-9:;]*)([ -/]*)")
_MOVES_IN_BODY = re.compile(r"[^\x08-\x0d]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_BIG = re.compile(r"[0-9]{5,}")

_STRING_STARTS = frozenset("]P_^Xk")
"""After ESC; `k` is the title of screen and tmux."""
_STRING_STARTS_C1 = frozenset("\x90\x98\x9d\x9e\x9f")
# The palette of the Linux console: sequences that look like an OSC and have no end of their own.
_LINUX_PALETTE = re.compile(r"R|P[0-9A-Fa-f]{7}")
_LINUX_PALETTE_PART = re.compile(r"P?[0-9A-Fa-f]{0,6}")

_ESCAPES = frozenset({"7", "8", "D", "E", "M", "#8", "(0", "(B", ")0", ")B"})
_CSI_FINALS = frozenset("@ABCDEFGHIJKLMPSTXZ`abdefmr")
_ANSI_MODES = frozenset({4})
_PRIVATE_MODES = frozenset({5, 6, 7, 25, 1048}) | ALTERNATE_SCREEN
_FULL_RESET = f"\x1b[?1049l{SOFT_RESET}\x1b[H\x1b[2J"
_C1_MOVES = {"\x84": "\x1bD", "\x85": "\x1bE", "\x8d": "\x1bM"}


class EscapeFilter:
    """One terminal's worth of output; feed it everything in its order."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._string_left = 0

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """What may be shown of all fed so far and not returned yet; a sequence that is cut off waits for its rest.

        With `final` nothing comes after it, and what is cut off is dropped.
        """
        text = self._rest + self._decoder.decode(data, final)
        self._rest = ""
        kept: list[str] = []
        place = 0
        while place < len(text):
            if self._string_left:
                place = self._skip_string(text, place)
            elif run := _PASSES.match(text, place):
                kept.append(run.group())
                place = run.end()
            else:
                after = self._control(text, place, kept)
                if after is None:
                    self._rest = "" if final else text[place:]
                    break
                place = after
        return "".join(kept)

    def _control(self, text: str, place: int, kept: list[str]) -> int | None:
        """Take one control at `place`; return where it ends, or None when its rest is still to come."""
        character = text[place]
        if character == "\x9b" or text.startswith("\x1b[", place):
            return _take_csi(text, place, kept)
        if character == "\x1b":
            return self._take_escape(text, place, kept)
        if character in _STRING_STARTS_C1:
            self._string_left = _MAX_STRING
        elif character in _C1_MOVES:
            kept.append(_C1_MOVES[character])
        elif character in "\x0e\x0f":
            kept.append(character)
        return place + 1

    def _take_escape(self, text: str, place: int, kept: list[str]) -> int | None:
        found = _ESCAPE.match(text, place)
        if found is None:  # cannot be: the pattern matches a lone ESC
            return place + 1
        between, last = found.groups()
        if last is None:
            # Broken off by another control, or not here yet.
            return None if found.end() == len(text) and len(between) < 4 else found.end()
        if not between and last in _STRING_STARTS:
            return self._begin_string(text, found.end(), last)
        if between + last in _ESCAPES:
            kept.append(f"\x1b{between}{last}")
        elif found.group() == "\x1bc":
            kept.append(_FULL_RESET)
        return found.end()

    def _begin_string(self, text: str, place: int, kind: str) -> int | None:
        if kind == "]":
            if whole := _LINUX_PALETTE.match(text, place):
                return whole.end()
            if _LINUX_PALETTE_PART.fullmatch(text, place) and text[place : place + 1] in {"", "P"}:
                return None
        self._string_left = _MAX_STRING
        return place

    def _skip_string(self, text: str, place: int) -> int:
        """Within a string: go on to its end, or to the end of the text."""
        if run := _STRING.match(text, place, place + self._string_left):
            self._string_left -= len(run.group())
            return run.end()
        self._string_left = 0
        # ESC begins the next sequence, which is ESC \ if the string ends as it should; CR and LF are obeyed.
        return place if text[place] in "\x1b\r\n" else place + 1


def _take_csi(text: str, place: int, kept: list[str]) -> int | None:
    found = _CSI.match(text, place)
    if found is None:  # cannot be: the caller has seen how it begins
        return place + 1
    body, final = found.groups()
    if final is None and found.end() == len(text) and len(body) < _MAX_BODY:
        return None
    kept.append(_MOVES_IN_BODY.sub("", body))
    if final is not None and (parts := _BODY.fullmatch(_CONTROLS.sub("", body))):
        kept.append(_csi(parts[1], parts[2], parts[3], final))
    return found.end()


def _csi(prefix: str, numbers: str, between: str, final: str) -> str:
    """The sequence in its canonical form if it may pass, else nothing."""
    if between:
        return SOFT_RESET if (prefix, between, final) == ("", "!", "p") else ""
    if final in "hl":
        modes = {"?": _PRIVATE_MODES, "": _ANSI_MODES}.get(prefix, frozenset())
        # One sequence each, so that who reads on finds a mode without taking lists apart.
        wanted = (int(number) for number in numbers.split(";") if number.isdecimal() and len(number) <= 4)
        return "".join(f"\x1b[{prefix}{mode}{final}" for mode in wanted if mode in modes)
    if prefix:
        return ""
    if final in "su":
        # With numbers they set margins, or a keyboard protocol.
        return "" if numbers else f"\x1b[{final}"
    if final not in _CSI_FINALS or (":" in numbers and final != "m"):
        return ""
    if final in "JK" and numbers not in {"", "0", "1", "2"}:
        return ""  # 3J erases what the viewer's own terminal has scrolled away
    if final == "T" and ";" in numbers:
        return ""  # tracks the mouse
    return f"\x1b[{_BIG.sub('9999', numbers)}{final}"
