"""Programs that people really run: with and without the escape filter they give the same screen (SPEC 8.7)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import termios
import time
from pathlib import Path

import pexpect
import pyte
import pytest
from pexpect import fdpexpect

from jit_ctl.recording.escape_filter import EscapeFilter
from jit_ctl.recording.picture import Picture

ROWS, COLUMNS = 24, 80
ENVIRONMENT = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PS1": "$ "}

# pyte takes these for something else (set the scroll region, underline) or prints half of them; terminals know them.
PYTE_KNOWS_NOT = re.compile(rb"\x1b\[[>?][0-9;]*[mru]|\x1b\[[0-9;]*t|\x1bP[^\x1b]*\x1b\\|\x1b\[[0-9;?]*\$p|\x1b\[!p")


def session(program: list[str], keys: list[tuple[str, str]], folder: Path) -> bytes:
    """What a program writes while each key is pressed once its text was seen."""
    ours, its = os.openpty()
    termios.tcsetwinsize(its, (ROWS, COLUMNS))
    process = subprocess.Popen(
        ["setsid", "--ctty", *program],
        stdin=its, stdout=its, stderr=its, cwd=folder,
        env=ENVIRONMENT | {"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip
    os.close(its)
    child = fdpexpect.fdspawn(ours, timeout=20)
    written: bytes = b""
    try:
        for text, key in keys:
            child.expect_exact(text.encode())
            written += child.before + child.after
            child.send(key)
        child.expect(pexpect.EOF)
        written += child.before
        process.wait(20)
    finally:
        process.kill()
        process.wait(20)
        child.close()
    return written


def screen(text: str) -> tuple[list[str], tuple[int, int]]:
    shown = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(shown).feed(text)
    return list(shown.display), (shown.cursor.y, shown.cursor.x)


def filtered(data: bytes, step: int) -> str:
    one = EscapeFilter()
    return "".join(one.feed(data[place : place + step]) for place in range(0, len(data), step))


PROGRAMS = {
    "vim": (
        ["vim", "-u", "NONE", "-N", "notes.txt"],
        [("notes.txt", "iwide 日本 and e\u0301 \x1b"), ("日本", ":set list number\r"), ("  3 ", ":wq\r")],
    ),
    "less": (["less", "-N", "notes.txt"], [("notes.txt", " "), ("40", "/line 77\r"), ("77", "q")]),
    "bash": (
        ["bash", "--norc", "-i"],
        [
            ("$ ", "ls -l --color=always\r"),
            ("notes.txt", "printf '\\033]0;t\\007\\033[31mred\\n'\r"),
            ("red", "exit\r"),
        ],
    ),
    "top": (["top", "-n", "1"], []),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_real_program_gives_the_same_screen_with_and_without_the_filter(name: str, tmp_path: Path) -> None:
    program, keys = PROGRAMS[name]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    (tmp_path / "notes.txt").write_text("".join(f"line {number}\n" for number in range(200)))
    written = session(program, keys, tmp_path)
    assert len(written) > 200
    plain = PYTE_KNOWS_NOT.sub(b"", written).decode("utf-8", "replace")
    for step in (1, 7, 4096):
        assert screen(filtered(written, step)) == screen(plain)


def test_after_an_editor_the_player_shows_what_was_there_before_it(tmp_path: Path) -> None:
    if shutil.which("vim") is None:
        pytest.skip("vim is not installed")
    (tmp_path / "notes.txt").write_text("the text\n")
    keys = [("$ ", "echo before\r"), ("\rbefore", "vim -u NONE notes.txt\r"), ("the text", ":q\r"), ("$ ", "exit\r")]
    written = session(["bash", "--norc", "-i"], keys, tmp_path)
    picture = Picture(ROWS, COLUMNS)
    picture.record(filtered(written, 100))
    lines, _ = screen(picture.redraw())
    assert any(line.startswith("before") for line in lines)
    assert not any("the text" in line for line in lines)


def test_the_filter_is_quick_enough_for_what_sudo_can_write() -> None:
    """Not a benchmark: a filter that is slow by an order of magnitude makes jumps unbearable."""
    data = b"\x1b[1;32m-rw-r--r--\x1b[0m 1 root \x1b[38;5;33mfile.txt\x1b[0m\r\n" * 40_000
    begin = time.process_time()
    filtered(data, 32_768)
    assert time.process_time() - begin < 2.0
