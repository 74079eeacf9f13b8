"""The player on a real terminal: the picture, the keys, and a terminal that is given back."""

from __future__ import annotations

import os
import re
import signal
import termios
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jit_testing.fake_ctl_server import FakeServer
from jit_testing.fake_ctl_sessions import exited, out, resized, session
from jit_testing.viewer import Viewer

ONE = "ses-0000000000000001"
Play = Callable[..., Viewer]


@pytest.fixture
def play(alice: Any, server: FakeServer, on_terminal: Any) -> Play:
    """Replays the one session of the server on a terminal of its size."""

    def start(*arguments: str, rows: int = 24, columns: int = 80) -> Viewer:
        child = on_terminal("sessions", "replay", ONE, *arguments, term="xterm", rows=rows, columns=columns)
        return Viewer(child, rows, columns)

    server.keep(session(1))
    return start


def test_a_recording_is_played_to_its_end_and_left_with_q(play: Play, server: FakeServer) -> None:
    server.record(ONE, out(b"one\r\n"), out(b"two\r\n", 0.05), exited(7, after=0.1), end=0.1)
    viewer = play()
    viewer.until(lambda seen: "END" in seen.last_line)
    assert viewer.lines[:2] == ["one", "two"]
    assert "exit 7" in viewer.last_line
    viewer.press("q")
    assert viewer.end() == 0


def test_it_is_played_at_its_pace_and_faster_when_told(play: Play, server: FakeServer) -> None:
    server.record(ONE, out(b"one\r\n"), out(b"two\r\n", 1.0), out(b"three\r\n", 1.0), end=2)
    viewer = play()
    first, third = viewer.until_shown("one"), viewer.until_shown("three")
    assert third - first > 1.5
    faster = play("--speed", "8")
    first, third = faster.until_shown("one"), faster.until_shown("three")
    assert third - first < 1.5


def test_long_pauses_are_made_short_when_told(play: Play, server: FakeServer) -> None:
    server.record(ONE, out(b"one\r\n"), out(b"two\r\n", 3600), out(b"three\r\n", 3600), end=7200)
    viewer = play("--idle-limit", "0.1")
    viewer.until_shown("three", within_s=10)


def test_it_begins_where_it_is_told_to(play: Play, server: FakeServer) -> None:
    server.record(ONE, out(b"one\r\n"), out(b"two\r\n", 60), out(b"three\r\n", 3600), end=3660)
    viewer = play("--from", "1m5s")
    viewer.until_shown("two")
    assert "one" in viewer.lines
    viewer.press(" ")
    viewer.until(lambda seen: "PAUSED at 1:0" in seen.last_line)


def test_space_pauses_and_a_point_steps(play: Play, server: FakeServer) -> None:
    server.record(ONE, out(b"one\r\n"), *(out(b"%d\r\n" % number, 1000) for number in range(5)), end=5000)
    viewer = play()
    viewer.until_shown("one")
    viewer.press(" ")
    viewer.until(lambda seen: "PAUSED" in seen.last_line)
    viewer.press(".")
    viewer.until(lambda seen: seen.lines[1] == "0" and "PAUSED at 16:40 of 1:23:20" in seen.last_line)
    viewer.press("..")
    viewer.until(lambda seen: seen.lines[3] == "2" and "PAUSED at 50:00" in seen.last_line)
    assert viewer.lines[4] == ""


def is_at(line: str, at: str, seen: Viewer) -> bool:
    return seen.lines[0] == line and f"at {at} " in seen.last_line


def test_arrows_and_digits_jump_and_the_picture_is_the_one_of_that_moment(play: Play, server: FakeServer) -> None:
    server.record(ONE, *(out(b"\x1b[H%d0%% \r\n" % number, 10 if number else 0) for number in range(10)), end=90)
    server.record(ONE, out(b"last", 10), end=100)
    viewer = play()
    viewer.until_shown("00%")
    viewer.press(" ")
    viewer.until(lambda seen: "PAUSED" in seen.last_line)
    for keys, line, at in [
        ("5", "50%", "0:50"),
        ("\x1b[C", "50%", "0:55"),
        ("\x1b[C", "60%", "1:00"),
        ("\x1b[D", "50%", "0:55"),
        ("\x1bOD", "50%", "0:50"),
        ("\x1b[D", "40%", "0:45"),
        ("9", "90%", "1:30"),
        ("0", "00%", "0:00"),
    ]:
        viewer.press(keys)
        viewer.until(partial(is_at, line, at))
    viewer.press(" 9")
    viewer.until(lambda seen: "90%" in seen.text and "PAUSED" not in seen.text)


def test_plus_and_minus_change_the_speed(play: Play, server: FakeServer) -> None:
    server.record(ONE, out(b"one\r\n"), out(b"two\r\n", 1000), end=1000)
    viewer = play()
    viewer.until_shown("one")
    viewer.press("++")
    viewer.until(lambda seen: seen.last_line == "speed 4")
    viewer.press("-")
    viewer.until(lambda seen: seen.last_line == "speed 2")
    viewer.press("+" * 12)
    viewer.until(lambda seen: seen.last_line == "speed 64")


def test_text_is_found_wherever_its_output_was_cut(play: Play, server: FakeServer) -> None:
    server.record(
        ONE, out(b"one\r\n"), out(b"\x1b[1mrm -", 100), out(b"\x1b[0mRF /\r\n", 1), out(b"after", 100), end=201
    )
    server.record(ONE, out(b" rm -rf again", 100), end=301)
    viewer = play()
    viewer.until_shown("one")
    viewer.press("/rm -rf\r")
    viewer.until(lambda seen: seen.lines[1] == "rm -RF /" and "PAUSED at 1:41" in seen.last_line)
    assert "after" not in viewer.text
    viewer.press("n")
    viewer.until(lambda seen: "rm -rf again" in seen.text and "PAUSED at 5:01" in seen.last_line)
    viewer.press("n")
    viewer.until(lambda seen: "again" not in seen.text and "PAUSED at 1:41" in seen.last_line)
    viewer.press("/nowhere\x7f\x7f\x7f\x7fhat\x1b[31m\r")
    viewer.until(lambda seen: "not found: nowhat" in seen.last_line)
    viewer.press("/\x1b")
    viewer.until(lambda seen: "PAUSED" in seen.last_line)


def test_a_program_on_the_alternate_screen_gives_back_what_was_before(play: Play, server: FakeServer) -> None:
    server.record(ONE, out(b"$ vim\r\n"), out(b"\x1b[?1049h\x1b[H\x1b[2J~\r\n~ editing", 0.05))
    server.record(ONE, out(b"\x1b[?1049l$ bye\r\n", 0.5), out(b"", 1000), end=1000)
    viewer = play()
    viewer.until(lambda seen: seen.lines[:2] == ["~", "~ editing"])
    viewer.until(lambda seen: seen.lines[:2] == ["$ vim", "$ bye"])
    assert "editing" not in viewer.text


def test_another_size_is_told_and_scrolls_as_it_did(play: Play, server: FakeServer) -> None:
    lines = b"".join(b"line %d\r\n" % number for number in range(30))
    server.record(ONE, out(lines), out(b"\x1b[r\x1b[24;1Hlast\n", 2), resized(30, 100), out(b"", 1000), end=1000)
    viewer = play(rows=40, columns=100)
    viewer.until(lambda seen: seen.last_line == "the session's terminal has 80x24, this one 100x40")
    viewer.until(lambda seen: "line 29" in seen.text)
    viewer.until(lambda seen: "last" in seen.text)
    assert viewer.lines[22] == "last"
    assert viewer.lines[0] == "line 8"
    viewer.until(lambda seen: seen.last_line == "the session's terminal has 100x30, this one 100x40")
    viewer.until(lambda seen: seen.last_line == "" and "last" in seen.text)


def test_nothing_hostile_reaches_the_terminal(play: Play, server: FakeServer) -> None:
    bad = b"\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x1b\\\x1b[c\x1b[6n\x05\x1bP$qm\x1b\\"
    bad += b"\x1b[?1000h\x1b[?2004h\x1b[8;5;5t\x1b[3J"
    server.record(ONE, *(out(bytes([byte])) for byte in bad), out(b"done"))
    server.record(ONE, exited(0, after=0.1))
    viewer = play()
    viewer.until(lambda seen: "END" in seen.last_line)
    viewer.press("q")
    assert viewer.end() == 0
    assert not re.search(r"\x1b[\]P_^Xk]|\x1b\[[0-9;?>]*[cnt]|\x05|1000h|2004h|3J|evil|ZXZ|title", viewer.text_seen)


def test_what_the_player_says_of_the_session_is_harmless(play: Play, server: FakeServer) -> None:
    server.record(ONE, out(b"x"), exited(1, b"\x1b]0;evil\x07", after=0.1))
    viewer = play()
    viewer.until(lambda seen: "END" in seen.last_line)
    assert r"killed by \x1b]0;evil\x07" in viewer.last_line
    assert "\x1b]0" not in viewer.text_seen


@pytest.mark.parametrize("end", ["q", "\x03", signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back_whatever_happens(play: Play, server: FakeServer, end: Any) -> None:
    server.record(ONE, out(b"\x1b[?25l\x1b[31m\x1b[5;10r\x1b[?1049hshown"))
    server.record(ONE, out(b"", 1000))
    viewer = play()
    # In the place of the shell that started it.
    mine = os.dup(viewer.child.child_fd)
    viewer.until_shown("shown")
    assert not termios.tcgetattr(mine)[3] & (termios.ICANON | termios.ECHO)
    if isinstance(end, str):
        viewer.press(end)
    else:
        viewer.child.process.send_signal(end)
    status = viewer.end()
    assert status == {"q": 0, "\x03": 130, signal.SIGTERM: -15, signal.SIGHUP: -1}[end]
    assert termios.tcgetattr(mine)[3] & termios.ICANON
    assert termios.tcgetattr(mine)[3] & termios.ECHO
    assert termios.tcgetattr(mine)[1] & termios.OPOST
    os.close(mine)
    left = viewer.text_seen.rpartition("\x1b[?1049l")[0]
    assert left.endswith("\x1b[?7h\x1b[?25h\x1b[r")
    assert "Traceback" not in viewer.text_seen


def test_a_recording_that_breaks_off_is_shown_up_to_there_and_told(play: Play, server: FakeServer) -> None:
    server.record(ONE, out(b"good"))
    server.record(ONE, out(b"bad"))
    server.told[ONE].chunks[1].data += b"x"
    viewer = play()
    viewer.until(lambda seen: seen.lines[0] == "good" and "is damaged" in seen.last_line)
    viewer.press("q")
    assert viewer.end() == 1
    assert "is damaged" in viewer.text_seen.rpartition("\x1b[?1049l")[2]


def test_a_long_recording_is_played_through(play: Play, server: FakeServer) -> None:
    for number in range(20):
        server.record(ONE, *(out(b"%d %d\r\n" % (number, line)) for line in range(2000)))
    server.record(ONE, exited(0))
    viewer = play()
    viewer.until(lambda seen: "END" in seen.last_line and seen.lines[-2] == "19 1999", within_s=30)
    viewer.press("0")
    viewer.until(lambda seen: "END" in seen.last_line, within_s=30)
