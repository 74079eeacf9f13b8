"""What is typed at a question for a password is in no recording, and what is typed elsewhere is (SPEC 8.1)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_agent.errors import Malformed
from jit_agent.passwords import REMEMBERED, Watch
from jit_agent.scanner import Scanner
from jit_agent.session_state import SessionState
from jit_protos.sudo import log_server_pb2 as pb

SECRET = b"correct-horse"
STATE = SessionState(
    "ses-0123456789abcdef", "gnt-0123456789abcdef", 1001, "alice", "input", required=True, subcommands=False, watch_s=0
)
QUESTIONS = [
    b"Password: ",
    b"[sudo] password for alice: ",
    b"New UNIX PASSWORD:",
    b"Enter passphrase for key '/root/.ssh/id_ed25519': ",
    b"Enter PEM pass phrase:",
    b"Enter PIN for 'token': ",
    b"pin? ",
    b"Passcode or option (1-2): ",
    b"Verification code: ",
    b"Client secret? ",
    b"Enter the six-digit code\r\n",
    b"Enter password\r\n> ",
    "Passwort für alice: ".encode(),
    "ПАРОЛЬ: ".encode(),
    "パスワード：".encode(),
    b"\x1b[1mPass\x1b[0m\x1b[1mword\x1b[0m: ",
    b"Pass\rword: ",
    b"Waiting for the key\r\x1b[KPIN: ",
    b"\x1b]0;root@web1\x07Password:\x1b[?25h ",
    b"\x1b[5;3HPassphrase\x1b[7;3H____________\x1b[9;3H<OK>  <Cancel>",
    b"\xf0\x9f\x94\x90 Password: (press TAB for no echo) ",
    b"Password: \r\nBroadcast message from root@web1\r\n\r\nback at 5\r\n",
    b"x" * 100_000 + b"\r\nPassword: ",
]
NO_QUESTIONS = [
    b"",
    b"root@web1:~# ",
    b"name: ",
    b"Do you want to continue? [Y/n] ",
    b"shipping: 3\r\nspinning: yes? ",
    b"Enter a name: ",
    b"exit code 3: retry? ",
    b"root@password-vault:~# ",
    b"\x1b]0;root@web1: /etc/password: \x07\x1b[?2004hroot@web1:/etc# ",
    b"Password: \r\nroot@web1:~# ",
    b"db password: hunter2\r\nmysql> ",
    b"password: hunter2\r\n" + b"x" * REMEMBERED,
]


def recorded(shown: bytes, typed: bytes) -> bytes:
    return Watch().show(shown).type(typed)[1]


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_typed_at_a_question_for_a_secret_is_hidden(question: bytes) -> None:
    assert recorded(question, SECRET + b"\r") == b"*" * len(SECRET) + b"\r"


@pytest.mark.parametrize("shown", NO_QUESTIONS)
def test_what_is_typed_elsewhere_is_not_hidden(shown: bytes) -> None:
    assert recorded(shown, b"ls -l\r") == b"ls -l\r"


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\x03", b"\x04", b"\x1a", b"\x1c"])
def test_it_is_hidden_to_the_end_of_its_line_and_what_comes_later_is_not(end: bytes) -> None:
    watch = Watch().show(b"Password: ")
    for key in SECRET:
        # A program that shows a bullet for each key ends nothing by it.
        watch, key_recorded = watch.type(bytes([key]))
        assert key_recorded == b"*"
        watch = watch.show("•".encode())
    watch, end_recorded = watch.type(end)
    assert end_recorded == end
    assert watch.show(b"\r\nhello\r\nname: ").type(b"bob\r")[1] == b"bob\r"


def test_a_line_that_is_taken_back_stays_hidden() -> None:
    assert recorded(b"Password: ", b"wrong\x7f\x15right\r") == b"************\r"


def test_lines_typed_at_once_are_all_hidden_until_something_is_shown() -> None:
    watch, together = Watch().show(b"Current password: ").type(b"old\rnew\rne")
    assert together == b"***\r***\r**"
    watch, rest = watch.show(b"\r\nNew password: ").type(b"w\r")
    assert rest == b"*\r"
    assert watch.show(b"\r\npasswd: done\r\n# ").type(b"id\r")[1] == b"id\r"


def test_a_second_try_is_hidden_too() -> None:
    watch, _ = Watch().show(b"Password: ").type(b"wrong\r")
    watch, again = watch.show(b"\r\nSorry, try again.\r\nPassword: ").type(SECRET)
    assert again == b"*" * len(SECRET)


@pytest.mark.parametrize("spoiled", ["nothing x", "hiding" + " " + "x" * 3000, "shown \u20ac"])
def test_a_spoiled_state_is_refused_and_its_own_word_is_taken(spoiled: str) -> None:
    watch = Watch().show(b"Pass\xff ")
    assert Watch.load(watch.dump()) == watch
    assert Watch.load("") == Watch()
    with pytest.raises(ValueError, match=r"watch|latin"):
        Watch.load(spoiled)


class Stream:
    """A session's segments, which outlive the agent."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.received = len(data)

    def peek(self, start: int, size: int) -> bytes:
        return bytes(self.data[start : min(start + size, self.received)])

    def overwrite(self, start: int, data: bytes) -> None:
        self.data[start : start + len(data)] = data


def frame(name: str, data: bytes) -> bytes:
    message = pb.ClientMessage()
    getattr(message, name).CopyFrom(pb.IoBuffer(delay=pb.TimeSpec(tv_sec=0, tv_nsec=5), data=data))
    return framed(message.SerializeToString())


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def accepted() -> bytes:
    accept = pb.AcceptMessage(expect_iobufs=True)
    accept.info_msgs.add(key=b"command", strval=b"/bin/sh")
    accept.info_msgs.add(key=b"runargv", strlistval=pb.InfoMessage.StringList(strings=[b"sh"]))
    return framed(pb.ClientMessage(accept_msg=accept).SerializeToString())


def sealed(stream: Stream, scanner: Scanner) -> bytes:
    """What the chunks hold."""
    scanner.cut()
    return b"".join(
        piece if isinstance(piece, bytes) else stream.data[slice(*piece)]
        for sealing in scanner.sealings
        for piece in sealing.cut.ranges
    )


def contents(frames: bytes) -> dict[str, bytes]:
    """All that went each way."""
    found: dict[str, bytes] = {}
    while frames:
        end = 4 + int.from_bytes(frames[:4], "big")
        message = pb.ClientMessage.FromString(frames[4:end])
        kind = str(message.WhichOneof("type"))
        found[kind] = found.get(kind, b"") + getattr(message, kind).data
        frames = frames[end:]
    return found


TALK = [
    ("ttyout_buf", b"name: "),
    ("ttyin_buf", b"alice-x\r"),
    ("ttyout_buf", b"alice-x\r\n\x1b[1mPass\rword\x1b[0m: "),
    ("ttyin_buf", b"correct-horse\r"),
    ("ttyout_buf", b"\r\n# "),
    ("ttyin_buf", b"id\rpasswd\r"),
    ("ttyout_buf", b"id\r\npasswd\r\nNew password: "),
    ("ttyin_buf", b"battery\rbattery\r"),
    ("ttyout_buf", b"\r\nRetype: done\r\n# "),
    ("ttyin_buf", b"exit\r"),
]
RECORDED = b"alice-x\r*************\rid\rpasswd\r*******\r*******\rexit\r"


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    """The talk in frames, each of its buffers cut anywhere."""
    frames = []
    for name, data in TALK:
        cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=5))})
        frames += [frame(name, data[start:end]) for start, end in pairwise(cuts)]
    return frames


@given(pieces(), st.data())
def test_the_same_is_hidden_wherever_the_stream_is_cut_and_the_agent_killed(
    frames: list[bytes], data: st.DataObject
) -> None:
    stream = Stream(accepted() + b"".join(frames))
    state, told = STATE, b""
    for _ in range(data.draw(st.integers(0, 3))):
        # This run looks further than it seals.
        scanner = Scanner(state)
        scanner.scan(stream, data.draw(st.integers(1, len(frames))))
        scanner.cut()
        scanner.scan(stream, data.draw(st.integers(1, len(frames))))
        for sealing in scanner.sealings:
            told += b"".join(stream.data[slice(*piece)] for piece in sealing.cut.ranges if isinstance(piece, tuple))
            state = replace(state, progress=sealing.progress)
    scanner = Scanner(state)
    scanner.scan(stream, 1_000)
    kept = contents(told + sealed(stream, scanner))
    assert kept["ttyin_buf"] == RECORDED
    assert kept["ttyout_buf"] == b"".join(data for name, data in TALK if name == "ttyout_buf")
    # Nor does it stay in the segments.
    assert b"horse" not in stream.data
    assert b"battery" not in stream.data


def test_a_chunk_that_ends_before_a_question_knows_nothing_of_it() -> None:
    """What is full is sealed when the next message does not fit; the next run begins with that one."""
    filler = [frame("ttyout_buf", b"x" * 60_000)] * 17
    stream = Stream(
        accepted() + b"".join([*filler, frame("ttyout_buf", b"\r\nname: " + b"y" * 60_000 + b"Password: ")])
    )
    scanner = Scanner(STATE)
    scanner.scan(stream, 1_000)
    [sealing] = scanner.sealings
    assert "Password" not in sealing.progress.terminal
    scanner.cut()
    assert "Password" in scanner.sealings[-1].progress.terminal


def test_what_feeds_a_pipe_answers_what_a_pipe_asks_and_not_what_a_terminal_asks() -> None:
    for asked, answered, hidden in [
        ("stderr_buf", "stdin_buf", True),
        ("stdout_buf", "ttyin_buf", True),
        ("ttyout_buf", "stdin_buf", False),
    ]:
        stream = Stream(accepted() + frame(asked, b"Password: ") + frame(answered, SECRET + b"\n"))
        scanner = Scanner(STATE)
        scanner.scan(stream, 1_000)
        assert (SECRET not in sealed(stream, scanner)) is hidden


def test_input_that_no_password_can_be_taken_out_of_ends_the_record() -> None:
    twice = frame("ttyin_buf", b"")[4:] + frame("ttyin_buf", SECRET)[4:]
    scanner = Scanner(STATE)
    with pytest.raises(Malformed, match="passwords"):
        scanner.scan(Stream(accepted() + frame("ttyout_buf", b"Password: ") + framed(twice)), 1_000)
