"""Frames read by hand mean what the real parser says they mean, and everything else is left to it."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from jit_agent import sudo_wire
from jit_agent.errors import Malformed
from jit_agent.sudo_frames import HEAD, Buffer, Kind, parse_buffer
from jit_protos.sudo import log_server_pb2 as pb

NAMES = ("ttyin_buf", "ttyout_buf", "stdin_buf", "stdout_buf", "stderr_buf")


def frame(message: bytes) -> tuple[bytes, int]:
    """What is seen of a message first, and how long it is."""
    return (len(message).to_bytes(4, "big") + message)[:HEAD], len(message)


def buffer(name: str, seconds: int, nanoseconds: int, data: bytes) -> bytes:
    delay = pb.TimeSpec(tv_sec=seconds, tv_nsec=nanoseconds)
    message = pb.ClientMessage()
    getattr(message, name).CopyFrom(pb.IoBuffer(delay=delay, data=data))
    return message.SerializeToString()


@given(st.sampled_from(NAMES), st.integers(0, 2**33), st.integers(0, 999_999_999), st.binary(max_size=70_000))
@example("stdin_buf", 0, 0, b"")
@example("ttyout_buf", 0, 1, b"x" * 2_000_000)
def test_what_sudo_writes_is_read_by_hand(name: str, seconds: int, nanoseconds: int, data: bytes) -> None:
    message = buffer(name, seconds, nanoseconds, data)
    read = parse_buffer(*frame(message))
    try:
        expected = sudo_wire.parse(message)
    except Malformed:
        assert read is None
        return
    assert read == expected
    assert read is not None
    assert (read.kind, read.size) == (Kind[name.removesuffix("_buf").upper()], len(data))


@given(st.data())
def test_what_is_read_by_hand_is_never_read_otherwise_by_the_real_parser(data: st.DataObject) -> None:
    message = bytearray(buffer(data.draw(st.sampled_from(NAMES)), 3, 500, data.draw(st.binary(max_size=300))))
    for _ in range(data.draw(st.integers(0, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    untrusted = bytes(message[: data.draw(st.integers(1, len(message)))])
    read = parse_buffer(*frame(untrusted))
    if read is not None:
        assert sudo_wire.parse(untrusted) == read


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_are_a_buffer_or_left_to_the_real_parser(untrusted: bytes) -> None:
    read = parse_buffer(*frame(untrusted))
    if read is not None:
        assert sudo_wire.parse(untrusted) == read


def test_other_messages_are_left_to_the_real_parser() -> None:
    window = pb.ClientMessage(winsize_event=pb.ChangeWindowSize(rows=24, cols=80)).SerializeToString()
    assert parse_buffer(*frame(window)) is None
    assert sudo_wire.parse(window) == Buffer(Kind.WINDOW, 0, 0)
    # Legal protobuf, and not what sudo writes: the same field twice, merged.
    twice = buffer("ttyout_buf", 1, 0, b"a") + buffer("ttyout_buf", 2, 0, b"b")
    assert parse_buffer(*frame(twice)) is None
    assert sudo_wire.parse(twice) == Buffer(Kind.TTYOUT, 2_000_000_000, 1)
