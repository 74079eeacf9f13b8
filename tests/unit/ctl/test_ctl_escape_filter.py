"""SPEC 8.7: what a recording may do to the viewer's terminal, wherever its bytes are cut."""

from __future__ import annotations

import re

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_ctl.recording.escape_filter import EscapeFilter

# Everything the filter may ever write besides text; written down again here so that a wider filter fails.
HARMLESS = re.compile(
    r"\x1b(?:"
    r"[78DEM]|\#8|[()][0B]"
    r"|\[[0-9;]*[@A-IK-MPSXZ`abdefr]|\[[0-9]*T|\[[012]?[JK]|\[[0-9:;]*m|\[[su]|\[4[hl]"
    r"|\[\?(?:5|6|7|25|47|1047|1048|1049)[hl]"
    r")|[\x08-\x0f]"
)


def filtered(*parts: bytes) -> str:
    one = EscapeFilter()
    return "".join(one.feed(part) for part in parts) + one.feed(b"", final=True)


def assert_harmless(text: str) -> None:
    left = HARMLESS.sub("", text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", left), left


HOSTILE = {
    "title": b"\x1b]0;evil\x07",
    "title with ST": b"\x1b]2;evil\x1b\\",
    "title of screen": b"\x1bkevil\x1b\\",
    "title of Sun": b"\x1b]levil\x1b\\",
    "title report": b"\x1b[21t",
    "icon report": b"\x1b[20t",
    "clipboard": b"\x1b]52;c;ZXZpbA==\x07",
    "clipboard asked for": b"\x1b]52;c;?\x1b\\",
    "clipboard, 8-bit": b"\xc2\x9d52;c;ZXZpbA==\xc2\x9c",
    "link": b"\x1b]8;;http://evil/\x1b\\",
    "colours asked for": b"\x1b]10;?\x07\x1b]4;1;?\x07",
    "palette": b"\x1b]4;0;#ffffff\x07",
    "palette of the console": b"\x1b]P0ffffff\x1b]R",
    "notification": b"\x1b]9;evil\x07\x1b]777;notify;a;b\x07",
    "file of iTerm": b"\x1b]1337;File=name=ZXZpbA==:ZXZpbA==\x07",
    "DECRQSS": b"\x1bP$q\"p\x1b\\",
    "DECRQSS, 8-bit": b"\xc2\x90$qm\xc2\x9c",
    "XTGETTCAP": b"\x1bP+q436f\x1b\\",
    "user defined keys": b"\x1bP0;1|17/6576696c\x1b\\",
    "sixel": b"\x1bPq#0;2;0;0;0~~\x1b\\",
    "tmux passthrough": b"\x1bPtmux;evil\x1b\\",
    "APC": b"\x1b_Gf=24;AAAA\x1b\\",
    "PM": b"\x1b^evil\x1b\\",
    "SOS": b"\x1bXevil\x1b\\",
    "APC, 8-bit": b"\xc2\x9fevil\xc2\x9c",
    "PM, 8-bit": b"\xc2\x9eevil\xc2\x9c",
    "SOS, 8-bit": b"\xc2\x98evil\xc2\x9c",
    "answerback": b"\x05",
    "DA1": b"\x1b[c\x1b[0c\xc2\x9bc",
    "DA2": b"\x1b[>c",
    "DA3": b"\x1b[=c",
    "DECID": b"\x1bZ",
    "XTVERSION": b"\x1b[>q",
    "DSR": b"\x1b[5n\x1b[6n\x1b[?6n\x1b[?15n",
    "DSR with a control inside": b"\x1b[6\x00n",
    "DECRQM": b"\x1b[?2004$p\x1b[4$p",
    "DECREQTPARM": b"\x1b[x",
    "DECRQCRA": b"\x1b[1;1;1;1;1;1*y",
    "DECCRA": b"\x1b[1;1;9;9;1;2;2;1$v",
    "DECRQPSR": b"\x1b[1$w",
    "resize": b"\x1b[8;10;10t",
    "iconify": b"\x1b[2t",
    "push title": b"\x1b[22;0t",
    "132 columns": b"\x1b[?40h\x1b[?3h",
    "columns by DECSCPP": b"\x1b[132$|",
    "media copy": b"\x1b[5i\x1b[?5i\x1b[4i",
    "application cursor keys": b"\x1b[?1h",
    "keypad": b"\x1b=\x1b>\x1b[?66h",
    "mouse": b"\x1b[?9h\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1006h\x1b[?1015h\x1b[?1016h",
    "mouse in a list": b"\x1b[?1000;1006;2004h",
    "mouse highlight": b"\x1b[1;2;3;4;5T",
    "focus": b"\x1b[?1004h",
    "bracketed paste": b"\x1b[?2004h",
    "keyboard protocol": b"\x1b[>1u\x1b[=1;1u\x1b[?u",
    "modify other keys": b"\x1b[>4;2m\x1b[?4m",
    "keyboard locked": b"\x1b[2h",
    "line feed mode": b"\x1b[20h",
    "margins left and right": b"\x1b[?69h\x1b[5;10s",
    "modes saved and restored": b"\x1b[?1s\x1b[?1r",
    "scroll-back erased": b"\x1b[3J",
    "scroll-back erased, in a list": b"\x1b[3;J\x1b[03J\x1b[?3J",
    "character sets": b"\x1b(A\x1b*0\x1b+0\x1b-A\x1b.A\x1b/A",
    "locking shifts": b"\x1bn\x1bo\x1b|\x1b}\x1b~\x1bN\x1bO",
    "out of UTF-8": b"\x1b%@\x1b%G",
    "8-bit answers": b"\x1b G\x1b F",
    "tab stops": b"\x1bH\x1b[3g",
    "double height": b"\x1b#3\x1b#6",
    "memory lock": b"\x1bl\x1bm",
    "cursor shape": b"\x1b[5 q",
    "bell": b"\x07",
    "DEL and NUL": b"\x7f\x00",
    "colours saved": b"\x1b[#P\x1b[#{",
    "stray ST": b"\x1b\\\xc2\x9c",
    "synchronised output": b"\x1b[?2026h",
    "Tektronix mode": b"\x1b[?38h",
    "warning bell": b"\x1b[8 t\x1b[8 u",
    "Linux console": b"\x1b[[A"[:3] + b"\x18" + b"\x1b[10;500]\x1b[12;3]",
}  # fmt: skip


@pytest.mark.parametrize("sequence", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_asks_sets_or_stores_leaves_nothing(sequence: bytes) -> None:
    assert filtered(sequence) == ""
    assert filtered(b"before", sequence, b"after") == "beforeafter"


@pytest.mark.parametrize("sequence", HOSTILE.values(), ids=HOSTILE.keys())
def test_it_leaves_nothing_wherever_it_is_cut(sequence: bytes) -> None:
    assert filtered(*(bytes([byte]) for byte in sequence)) == ""
    for cut in range(1, len(sequence)):
        assert filtered(sequence[:cut], sequence[cut:]) == ""


PASSES = [
    "plain text, größe, 日本語, 🙂, e\u0301",
    "a\r\nb\tc\x08d",
    "\x1b[1;31mred\x1b[0m\x1b[38;5;196m\x1b[38;2;1;2;3m\x1b[4:3m",
    "\x1b[H\x1b[5;10H\x1b[3A\x1b[2B\x1b[C\x1b[D\x1b[2E\x1b[2F\x1b[7G\x1b[7d\x1b[5;5f",
    "\x1b[J\x1b[1J\x1b[2J\x1b[K\x1b[1K\x1b[2K\x1b[3X",
    "\x1b[2;10r\x1b[r\x1bD\x1bM\x1bE\x1b[2S\x1b[2T",
    "\x1b[2L\x1b[2M\x1b[2@\x1b[2P\x1b[4h\x1b[4l",
    "\x1b[?1049h\x1b[?1049l\x1b[?47h\x1b[?25l\x1b[?25h\x1b[?7l\x1b[?6h",
    "\x1b7\x1b8\x1b[s\x1b[u\x1b[?1048h",
    "\x1b(0lqqk\x1b(B\x0exx\x0f",
    "x\x1b[5b",
]


@pytest.mark.parametrize("text", PASSES)
def test_text_colours_and_movements_pass_as_they_are(text: str) -> None:
    assert filtered(text.encode()) == text
    assert filtered(*(bytes([byte]) for byte in text.encode())) == text
    assert_harmless(text)


@pytest.mark.parametrize(
    ("sequence", "written"),
    [
        (b"\xc2\x9b31mred", "\x1b[31mred"),
        (b"\x1b[?1;25;1000h", "\x1b[?25h"),
        (b"\x1b[99999999b", "\x1b[9999b"),
        (b"\x1b[3\n1m", "\n\x1b[31m"),
        (b"\x1b[3\x181mx", "1mx"),
        (b"\x1b[3\x1b[1mx", "\x1b[1mx"),
        (b"\x1b[" + b"1;" * 100 + b"mx", "1;" * 36 + "mx"),
        (b"\xff\xfe\xc3", "\ufffd\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ],
)
def test_what_passes_is_written_in_one_way(sequence: bytes, written: str) -> None:
    assert filtered(sequence) == written
    assert filtered(*(bytes([byte]) for byte in sequence)) == written


@pytest.mark.parametrize("start", [b"\x1b]0;", b"\x1bP", b"\x1b_", b"\x1b^", b"\x1bX", b"\x1bk", b"\xc2\x9d0;"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\x18", b"\x1a", b"\x1b[m", b"\x07", b"\x1b\\"])
def test_an_open_string_does_not_hide_what_comes_after_its_line(start: bytes, end: bytes) -> None:
    assert filtered(start + b"swallowed" + end + b"seen").endswith("seen")
    assert "swallowed" not in filtered(start + b"swallowed" + end + b"seen")


def test_a_string_without_an_end_hides_no_more_than_its_limit() -> None:
    one = EscapeFilter()
    assert one.feed(b"\x1b]0;" + b"x" * 60_000) == ""
    assert one.feed(b"x" * 60_000) == "x" * (120_000 - 65_536 + len("0;"))


def test_a_full_reset_clears_the_picture_and_nothing_else() -> None:
    text = filtered(b"\x1bc")
    assert text.endswith("\x1b[H\x1b[2J")
    assert "\x1bc" not in text
    assert_harmless(text)


def test_the_rest_of_a_sequence_is_waited_for_but_not_for_ever() -> None:
    one = EscapeFilter()
    assert one.feed(b"a\x1b[3") == "a"
    assert one.feed(b"1m") == "\x1b[31m"
    assert one.feed(b"\x1b[3") == ""
    assert one.feed(b"", final=True) == ""


# Bytes of which terminals make something, far more often than chance would bring them.
PIECES = st.one_of(
    st.sampled_from(list(HOSTILE.values())),
    st.sampled_from([text.encode() for text in PASSES]),
    st.sampled_from(
        [b"\x1b", b"\x1b[", b"\xc2\x9b", b"\x1b]", b"\x1bP", b"?", b">", b"$", b";", b"9", b"h", b"n", b"t"]
    ),
    st.binary(max_size=12),
    st.text(max_size=5).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@given(st.lists(PIECES, max_size=20))
def test_whatever_comes_only_what_is_harmless_leaves(pieces: list[bytes]) -> None:
    assert_harmless(filtered(*pieces))


@given(st.lists(PIECES, max_size=10), st.data())
def test_where_it_is_cut_changes_nothing(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    places = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)))
    parts = [whole[begin:end] for begin, end in zip([0, *places], [*places, len(whole)], strict=True)]
    assert filtered(*parts) == filtered(whole)


@given(st.lists(PIECES, max_size=10))
def test_what_has_passed_passes_again_unchanged(pieces: list[bytes]) -> None:
    once = filtered(*pieces)
    assert filtered(once.encode()) == once


def screen(*parts: str) -> tuple[list[list[pyte.screens.Char]], tuple[int, int], bool]:
    shown = pyte.Screen(80, 24)
    stream = pyte.Stream(shown)
    for part in parts:
        stream.feed(part)
    # Not its `display`: that fails on a wide character of which one half is overwritten.
    cells = [[shown.buffer[row][column] for column in range(80)] for row in range(24)]
    return cells, (shown.cursor.y, shown.cursor.x), shown.cursor.hidden


HARMLESS_PIECES = st.one_of(
    st.text(st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="\u2028\u2029"), max_size=30),
    st.sampled_from(["\r", "\n", "\r\n", "\t", "\x08", "\x1b7", "\x1b8", "\x1bM", "\x1bD", "\x1b[m", "\x1b[1;7m"]),
    st.sampled_from(["\x1b]0;title\x07", "\x07", "\x1b[?2004h", "\x1b[?1h", "\x1b[?25l", "\x1b[?25h"]),
    st.sampled_from(["\x1b[4h", "\x1b[4l", "\x1b[?2004l"]),
    st.sampled_from(["\x1b[J", "\x1b[1J", "\x1b[2J", "\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[r", "\x1b[?7l", "\x1b[?7h"]),
    st.builds("\x1b[{};{}H".format, st.integers(0, 30), st.integers(0, 90)),
    st.builds("\x1b[{}{}".format, st.integers(0, 30), st.sampled_from("ABCDEFGLMPX@d")),
    st.builds("\x1b[{};{}r".format, st.integers(1, 12), st.integers(13, 24)),
)  # fmt: skip


@given(st.lists(HARMLESS_PIECES, max_size=60))
def test_a_harmless_recording_gives_the_same_screen_with_and_without_the_filter(pieces: list[str]) -> None:
    assert screen(filtered("".join(pieces).encode())) == screen(*pieces)
