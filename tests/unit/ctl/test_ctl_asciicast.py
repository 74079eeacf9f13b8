"""asciicast files: as the format says, the same picture as our own, and played by the real asciinema."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_ctl.recording.export import Form, exported
from jit_ctl.recording.frames import Data, Event, Exit, Resize, Stream, Suspend
from jit_ctl.recording.rendering import Rendering
from jit_ctl.session_model import RecordingState, Session, SessionDetails, SessionState

S = 1_000_000_000
STARTED = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


def details(**changes: Any) -> SessionDetails:
    values: dict[str, Any] = dict.fromkeys(Session.__slots__, "") | {
        "session_id": "ses-0000000000000001",
        "user": "bob",
        "host": "web1",
        "argv": ("/usr/bin/vim", "a b"),
        "state": SessionState.ENDED,
        "recording": RecordingState.WHOLE,
        "started_at": STARTED,
        "rows": 24,
        "columns": 80,
    }
    environment = ("TERM=xterm-256color", "SHELL=/bin/bash", "SSH_CONNECTION=10.0.0.1 1 10.0.0.2 22")
    return SessionDetails(Session(**values | changes), environment, (), False)


def tty(data: bytes, at_s: float = 0.0, stream: Stream = Stream.TTY_OUT) -> Data:
    return Data(round(at_s * S), stream, data)


def lines(form: Form, happened: Sequence[Event], **changes: Any) -> tuple[dict[str, Any], list[list[Any]]]:
    text = b"".join(exported(form, details(**changes), happened))
    assert all(0x20 <= byte < 0x7F or byte == 0x0A for byte in text)
    header, *rest = map(json.loads, text.decode().splitlines())
    return header, rest


HAPPENED: list[Event] = [
    tty(b"\x1b[1mhello\x1b[0m \xc3", 0.25),
    tty(b"\xa4 \xff\xe6\x97\xa5\r\n", 0.5),
    tty(b"secret\r", 0.75, Stream.TTY_IN),
    Resize(1 * S, 50, 132),
    Suspend(2 * S, "TSTP"),
    Suspend(3 * S, "CONT"),
    tty(b"piped\nlines\n", 3.5, Stream.STDOUT),
    tty(b"\xe6\x97", 4.0),
    Exit(5 * S, 3, ""),
]
TEXTS = ["\x1b[1mhello\x1b[0m ", "ä \ufffd日\r\n", "piped\r\nlines\r\n", "\ufffd"]


def test_version_2_says_everything_with_times_from_the_start() -> None:
    header, events = lines(Form.ASCIICAST_V2, HAPPENED)
    assert header == {
        "version": 2,
        "width": 80,
        "height": 24,
        "timestamp": int(STARTED.timestamp()),
        "command": "/usr/bin/vim 'a b'",
        "title": "ses-0000000000000001: bob on web1",
        "env": {"TERM": "xterm-256color", "SHELL": "/bin/bash"},
    }
    assert events == [
        [0.25, "o", TEXTS[0]],
        [0.5, "o", TEXTS[1]],
        [0.75, "i", "secret\r"],
        [1.0, "r", "132x50"],
        [2.0, "m", "suspended (TSTP)"],
        [3.0, "m", "resumed"],
        [3.5, "o", TEXTS[2]],
        [5.0, "o", TEXTS[3]],
    ]


def test_version_3_says_the_same_with_times_from_the_line_before_and_the_exit() -> None:
    header, events = lines(Form.ASCIICAST_V3, HAPPENED)
    assert header["version"] == 3
    assert header["term"] == {"cols": 80, "rows": 24, "type": "xterm-256color"}
    _, second = lines(Form.ASCIICAST_V2, HAPPENED)
    assert [event[1:] for event in events] == [*(event[1:] for event in second), ["x", "3"]]
    passed, sums = 0.0, []
    for interval, _, _ in events:
        passed += interval
        sums.append(round(passed, 6))
    assert sums == [*(event[0] for event in second), 5.0]


@pytest.mark.parametrize(
    ("told", "said"), [(Exit(S, 0, ""), "0"), (Exit(S, 0, "KILL"), "137"), (Exit(S, 2, "NONSENSE"), "2")]
)
def test_the_exit_is_told_as_a_shell_would(told: Exit, said: str) -> None:
    assert lines(Form.ASCIICAST_V3, [told])[1] == [[1.0, "x", said]]


def test_input_is_written_only_when_it_was_recorded_and_nothing_twice() -> None:
    assert [event[1] for event in lines(Form.ASCIICAST_V2, [tty(b"x")])[1]] == ["o"]
    assert lines(Form.ASCIICAST_V2, []) == (lines(Form.ASCIICAST_V2, HAPPENED)[0], [])


def test_a_session_without_a_terminal_has_the_usual_size() -> None:
    header, _ = lines(Form.ASCIICAST_V3, [], rows=0, columns=0)
    assert header["term"] == {"cols": 80, "rows": 24, "type": "xterm-256color"}


def test_no_asciicast_holds_what_a_terminal_must_not_get() -> None:
    hostile = [tty(b"a\x1b]52;c;ZXZpbA==\x07b\x1b[c"), tty(b"\x1b[?2004h\x1b]0;t"), tty(b"itle\x07c\x7f")]
    for form in (Form.ASCIICAST_V2, Form.ASCIICAST_V3):
        assert "".join(event[2] for event in lines(form, hostile)[1]) == "abc"


def test_text_is_what_can_be_read_and_raw_is_every_byte() -> None:
    assert b"".join(exported(Form.TEXT, details(), HAPPENED)).decode() == "hello ä \ufffd日\npiped\nlines\n\ufffd"
    assert b"".join(exported(Form.TEXT, details(), [tty(b"a\r"), tty(b"\nb\rc\x1b[31md\x08")])) == b"a\nb\ncd"
    assert b"".join(exported(Form.RAW, details(), HAPPENED)) == b"".join(
        event.data for event in HAPPENED if isinstance(event, Data) and not event.stream.is_input
    )


def screen(texts: Sequence[str], rows: int = 24, columns: int = 80) -> list[str]:
    shown = pyte.Screen(columns, rows)
    stream = pyte.Stream(shown)
    for text in texts:
        stream.feed(text)
    return [*shown.display, str((shown.cursor.y, shown.cursor.x))]


OUTPUT = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from([b"\x1b[2J", b"\x1b[5;5H", b"\r\n", b"\x1b[1;31m", b"\x1b[3A", b"\x1b[2;9r", b"\x1b]0;t\x07"]),
    ),
    max_size=20,
)


@given(OUTPUT)
def test_the_file_holds_exactly_what_our_own_player_would_write(output: list[bytes]) -> None:
    happened = [tty(data, number) for number, data in enumerate(output)]
    rendering = Rendering()
    ours = [*(rendering.text(event) for event in happened), rendering.finish()]
    for form in (Form.ASCIICAST_V2, Form.ASCIICAST_V3):
        assert [event[2] for event in lines(form, happened)[1]] == [text for text in ours if text]


EDITOR: list[Event] = [
    tty(b"\x1b]0;root@web1\x07\x1b[?2004hroot@web1:~# ", 0.1),
    tty(b"vim /etc/motd\r\n\x1b[?2004l", 0.2),
    tty(b"\x1b[?1049h\x1b[>4;2m\x1b[?1h\x1b=\x1b[1;24r\x1b[27m\x1b[m\x1b[H\x1b[2J\x1b[?25l", 0.3),
    tty("größe 日本語 🙂 e\u0301\r\n".encode() + b"\x1b[94m~\x1b[3;1H~\x1b[24;1H", 0.4),
    tty(b'"/etc/motd" 2L, 31B\x1b[2;5H\x1b[K\x1b[34h\x1b[?25h', 0.5),
    tty(b"\xe6\x97", 0.6),
    tty(b"\xa5\x1b[4;7H\x1b[2Lx\x1b[2P\x1b[5X", 0.7),
    tty(bytes(range(256)), 0.8),
    Exit(S, 0, ""),
]


@pytest.fixture
def cast(tmp_path: Path) -> Path:
    file = tmp_path / "session.cast"
    file.write_bytes(b"".join(exported(Form.ASCIICAST_V2, details(), EDITOR)))
    return file


def ours() -> list[str]:
    rendering = Rendering()
    return screen([*(rendering.text(event) for event in EDITOR if isinstance(event, Data)), rendering.finish()])


def asciinema(*arguments: str) -> Iterator[str]:
    done = subprocess.run(
        ["setsid", sys.executable, "-m", "asciinema", *arguments],
        capture_output=True,
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "ASCIINEMA_CONFIG_HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
    )
    assert done.stderr == b""
    yield done.stdout.decode()


def test_the_real_asciinema_prints_the_same_final_screen(cast: Path) -> None:
    """asciinema(1): "cat: Print full output of recorded asciicasts to a terminal." """
    assert screen(list(asciinema("cat", str(cast)))) == ours()


def test_the_real_asciinema_plays_the_same_final_screen(cast: Path) -> None:
    assert screen(list(asciinema("play", "--speed", "100", str(cast)))) == ours()
    assert any("größe" in line for line in ours())
