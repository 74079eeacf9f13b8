"""S12: text that a terminal would obey, or a person could not see, becomes visible; a command line stays exact."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_ctl.safe import safe, shell_line

# Python prints surrogates to no terminal; they never come out of protobuf, but argv may hold them.
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 100 %", "plain text, 100 %"),
        ("größe 日本語 🙂", "größe 日本語 🙂"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x1b]52;c;eA==\x07", r"\x1b]52;c;eA==\x07"),
        ("\x9b31m", r"\u009b31m"),
        ("\x7f\x00", r"\x7f\x00"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\u202egpj.exe\u2069", r"\u202egpj.exe\u2069"),
        ("a\u200bb\u200dc\ufeff", r"a\u200bb\u200dc\ufeff"),
        ("\u2028\u2029\u00a0\u3000", r"\u2028\u2029\u00a0\u3000"),
        ("\u3164\u2800\ufe0f", r"\u3164\u2800\ufe0f"),
        ("\U000e0041\U000e0100", r"\U000e0041\U000e0100"),
        ("\ud800", r"\ud800"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(ANY_TEXT)
def test_whatever_comes_the_result_is_one_printable_line(text: str) -> None:
    assert safe(text).isprintable()


@given(ANY_TEXT)
def test_safe_changes_nothing_twice(text: str) -> None:
    assert safe(safe(text)) == safe(text)


@given(st.lists(ANY_TEXT, max_size=5))
def test_a_command_line_is_printable_whatever_its_words(argv: list[str]) -> None:
    assert shell_line(argv).isprintable()
    assert safe(shell_line(argv)) == shell_line(argv)


WORDS = [
    *("", " ", "'", '"', "\\", "$(id)", "`id`", "a b", "*", "~", "#", "-n", ";", "!", "$'x'"),
    *("\x1b", r"\x1b", "\x1b'\\", "\n", r"\n", "\t", "\x7f", "\x01f", "é\x01é"),
    *("ü", "\u202e", r"\u202e", "\u200bf", "\x9bf", "\U000e0041f"),
]


def test_a_shell_reads_from_the_line_exactly_the_words_that_were_asked_for() -> None:
    """bash(1), QUOTING: "character sequences of the form $'string'" """
    read = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {shell_line(WORDS)}"],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    ).stdout.decode()
    assert read.split("\0")[:-1] == WORDS


def test_different_commands_never_look_the_same() -> None:
    assert len({shell_line([word]) for word in WORDS}) == len(WORDS)
