"""sudo's bytes, hostile and not: everything is an event or `Malformed`, never anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_agent import sudo_wire
from jit_agent.errors import Malformed
from jit_protos.sudo import log_server_pb2 as pb

WORDS = pb.InfoMessage.StringList(strings=[b"id", b"-u"])
ENVIRONMENT = [
    b"TERM=xterm", b"PATH=/bin", b"LC_TIME=de_DE", b"AWS_SECRET_ACCESS_KEY=no", b"SUDO_COMMAND=/usr/bin/id -u",
    b"LC_TIMEX-Y=1", b"XTERM=1", b"SSH_TTY=/dev/pts/1",
]  # fmt: skip
ACCEPT = pb.ClientMessage(
    accept_msg=pb.AcceptMessage(
        submit_time=pb.TimeSpec(tv_sec=5),
        info_msgs=[
            pb.InfoMessage(key=b"command", strval=b"/usr/bin/id"),
            pb.InfoMessage(key=b"runuser", strval=b"root"),
            pb.InfoMessage(key=b"runcwd", strval=b"/root"),
            pb.InfoMessage(key=b"submitcwd", strval=b"/home/alice"),
            pb.InfoMessage(key=b"runuid"),
            pb.InfoMessage(key=b"runargv", strlistval=WORDS),
            pb.InfoMessage(key=b"lines", numval=24),
            pb.InfoMessage(key=b"columns", numval=80),
            pb.InfoMessage(key=b"runenv", strlistval=pb.InfoMessage.StringList(strings=ENVIRONMENT)),
        ],
        expect_iobufs=True,
    )
)


def test_an_accept_message_says_what_is_run() -> None:
    assert sudo_wire.parse(ACCEPT.SerializeToString()) == sudo_wire.Accept(
        command="/usr/bin/id",
        argv=("id", "-u"),
        run_as_user="root",
        cwd="/root",
        tty="",
        expects_commit=True,
        environment=("TERM=xterm", "LC_TIME=de_DE", "SUDO_COMMAND=/usr/bin/id -u", "SSH_TTY=/dev/pts/1"),
        rows=24,
        columns=80,
    )


@pytest.mark.parametrize("letter", [b"x", "é".encode(), b"\xff"])
def test_an_environment_of_any_size_leaves_a_report_that_can_be_sent(letter: bytes) -> None:
    """Its person chose it: one that no message could carry would stop every later report of the host."""
    many = [b"LC_A%c=" % (65 + number % 26) + letter * 5_000 for number in range(60)]
    info = pb.InfoMessage(key=b"runenv", strlistval=pb.InfoMessage.StringList(strings=[b"TERM=xterm", *many]))
    command = pb.InfoMessage(key=b"command", strval=b"/usr/bin/id")
    argv = pb.InfoMessage(key=b"runargv", strlistval=WORDS)
    message = pb.ClientMessage(accept_msg=pb.AcceptMessage(info_msgs=[command, argv, info]))
    event = sudo_wire.parse(message.SerializeToString())
    assert isinstance(event, sudo_wire.Accept)
    assert event.environment[0] == "TERM=xterm"
    assert 0 < sum(len(variable.encode()) for variable in event.environment[1:]) <= 32 * 1024


def complaint(untrusted: bytes) -> str:
    """What is said against these bytes; empty when they are an event."""
    try:
        sudo_wire.parse(untrusted)
    except Malformed as e:
        return str(e)
    return ""


@given(st.binary(max_size=300))
def test_any_bytes_are_an_event_or_malformed(untrusted: bytes) -> None:
    assert complaint(untrusted).isprintable()


@given(st.data())
def test_a_changed_real_message_is_an_event_or_malformed(data: st.DataObject) -> None:
    whole = bytearray(ACCEPT.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for untrusted in (bytes(whole), bytes(whole[:cut])):
        assert complaint(untrusted).isprintable()


@pytest.mark.parametrize("length", [0, 2 * 1024 * 1024 + 1, 2**32 - 1])
def test_a_length_outside_the_limit_is_refused_before_anything_is_read(length: int) -> None:
    with pytest.raises(Malformed, match="limit 2097152"):
        sudo_wire.parse_length(length.to_bytes(4, "big"))
    assert sudo_wire.parse_length((2 * 1024 * 1024).to_bytes(4, "big")) == 2 * 1024 * 1024


def rejected(argv: list[bytes], reason: bytes = b"no") -> bytes:
    infos = [pb.InfoMessage(key=b"runargv", strlistval=pb.InfoMessage.StringList(strings=argv))]
    return pb.ClientMessage(reject_msg=pb.RejectMessage(reason=reason, info_msgs=infos)).SerializeToString()


def test_a_command_line_at_the_limit_is_taken_and_one_beyond_is_named() -> None:
    event = sudo_wire.parse(rejected([b"x"] * 1_000))
    assert isinstance(event, sudo_wire.Reject)
    assert len(event.argv) == 1_000
    with pytest.raises(Malformed, match=r"1001 words.*limit 1000"):
        sudo_wire.parse(rejected([b"x"] * 1_001))
    assert isinstance(sudo_wire.parse(rejected([b"x" * 65_535])), sudo_wire.Reject)
    with pytest.raises(Malformed, match=r"65537 bytes.*limit 65536"):
        sudo_wire.parse(rejected([b"x" * 65_536]))


def test_a_program_within_a_session_may_have_any_command_line_and_a_long_one_is_cut_visibly() -> None:
    """`find -exec rm {} +` must not end the session it runs in."""
    event = sudo_wire.parse(rejected([b"rm", *[b"x" * 100] * 3_000]), nested=True)
    assert isinstance(event, sudo_wire.Reject)
    assert len(event.argv) < 100
    assert event.argv[:2] == ("rm", "x" * 100)
    assert event.argv[-1] == f"… ({3_001 - (len(event.argv) - 1)} more words)"
    short = sudo_wire.parse(rejected([b"rm", b"x"]), nested=True)
    assert isinstance(short, sudo_wire.Reject)
    assert short.argv == ("rm", "x")


def test_a_program_within_a_session_may_have_any_name_and_directory_and_a_long_one_is_cut_visibly() -> None:
    """A path may have 4,096 bytes, of which each that is no UTF-8 is told in four characters."""
    words = pb.InfoMessage.StringList(strings=[b"cc"])
    texts = {b"command": b"/" + b"c" * 4_090, b"runcwd": b"/" + b"\xff" * 4_090, b"runuser": b"u" * 300}
    infos = [pb.InfoMessage(key=key, strval=value) for key, value in texts.items()]
    infos.append(pb.InfoMessage(key=b"runargv", strlistval=words))
    for message in (
        pb.ClientMessage(accept_msg=pb.AcceptMessage(info_msgs=infos)),
        pb.ClientMessage(reject_msg=pb.RejectMessage(info_msgs=infos, reason=b"r" * 5_000)),
    ):
        event = sudo_wire.parse(message.SerializeToString(), nested=True)
        assert isinstance(event, sudo_wire.Accept | sudo_wire.Reject)
        assert (len(event.command), len(event.cwd), len(event.run_as_user)) == (4_000, 4_000, 256)
        assert event.command.endswith("c…")
        with pytest.raises(Malformed, match="cannot be recorded"):
            sudo_wire.parse(message.SerializeToString())


def test_text_that_grows_when_it_is_made_visible_is_measured_as_it_is_stored() -> None:
    assert isinstance(sudo_wire.parse(rejected([], b"\xff" * 1_000)), sudo_wire.Reject)
    with pytest.raises(Malformed, match="4004 characters"):
        sudo_wire.parse(rejected([], b"\xff" * 1_001))


def test_a_commit_point_carries_seconds_and_nanoseconds() -> None:
    frame = sudo_wire.commit_point(2_100_000_000)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    point = pb.ServerMessage.FromString(frame[4:]).commit_point
    assert (point.tv_sec, point.tv_nsec) == (2, 100_000_000)


def test_a_commit_point_of_nothing_is_still_a_commit_point() -> None:
    assert pb.ServerMessage.FromString(sudo_wire.commit_point(0)[4:]).WhichOneof("type") == "commit_point"
