"""SPEC 8.2 read back: chunks from pieces, messages from chunks, and nothing from bytes that are neither."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from jit_ctl.errors import CtlError
from jit_ctl.recording.chunks import MAX_DECODED, Assembly, Chunk, decode, whole
from jit_ctl.recording.export import all_events, lines
from jit_ctl.recording.frames import Data, Event, Exit, Resize, Stream, Suspend, events
from jit_ctl.recording.tape import Reel, Tape
from jit_ctl.session_model import Piece
from jit_protos.sudo import log_server_pb2 as sudo
from jit_testing.fake_ctl_sessions import exited, framed, out, resized, suspended

SES = "ses-0000000000000001"
S = 1_000_000_000


def pieces(data: bytes, number: int = 0, size: int = 1000) -> list[Piece]:
    digest = hashlib.sha256(data).digest()
    return [
        Piece(number, 0, "none", len(data), len(data), digest, place, data[place : place + size])
        for place in range(0, len(data), size)
    ]


def read(decoded: bytes, at_ns: int = 0) -> list[Event]:
    return list(events(SES, 0, decoded, at_ns))


def refused(news: list[Piece]) -> str:
    with pytest.raises(CtlError) as error:
        list(whole(SES, news))
    assert SES in error.value.message
    assert f"verify {SES}" in error.value.hint
    return error.value.message


def test_chunks_are_put_together_from_their_pieces_in_order() -> None:
    first, second = bytes(range(256)) * 10, b"x"
    found = list(whole(SES, [*pieces(first), *pieces(second, 1)]))
    assert [(chunk.number, chunk.data) for chunk in found] == [(0, first), (1, second)]


def test_pieces_that_do_not_fit_together_are_refused() -> None:
    good = pieces(b"x" * 2500)
    assert list(whole(SES, good))
    assert "SHA-256" in refused([*good[:2], replace(good[2], data=b"y" * 500)])
    assert "do not fit" in refused([good[0], good[2]])
    assert "do not fit" in refused([good[0], replace(good[1], data=b"x" * 2000)])
    assert "do not fit" in refused([good[0], replace(good[1], data=b"")])
    assert "came where" in refused([good[0], replace(good[1], chunk=1)])
    assert "came where" in refused(pieces(b"x", 1))
    assert "too soon" in refused(good[:2])
    assert "larger than" in refused([replace(good[0], size=MAX_DECODED * 2)])
    assert "larger than" in refused([replace(good[0], decoded_size=MAX_DECODED + 1)])


def test_after_a_broken_connection_the_chunk_it_broke_in_is_taken_from_its_begin() -> None:
    assembly = Assembly(SES)
    first, second = pieces(b"a" * 1500), pieces(b"b" * 1500, 1)
    assert [assembly.take(piece) is None for piece in [*first, second[0]]] == [True, False, True]
    assert assembly.restart() == 1
    assert assembly.take(second[0]) is None
    assert assembly.take(second[1])


def chunk(decoded: bytes, **changes: object) -> Chunk:
    made = Chunk(3, 0, "zstd", len(decoded), zstandard.ZstdCompressor(1).compress(decoded))
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_chunk_is_decoded_whichever_way_it_is_stored() -> None:
    text = b"some text " * 1000
    assert decode(SES, chunk(text)) == text
    assert decode(SES, chunk(text, encoding="none", data=text)) == text
    streamed = zstandard.ZstdCompressor(1).compressobj()  # without its size in the frame
    assert decode(SES, chunk(text, data=streamed.compress(text) + streamed.flush())) == text


@pytest.mark.parametrize(
    "changes",
    [
        {"decoded_size": 9_999},
        {"decoded_size": 10_001},
        {"decoded_size": 0},
        {"data": b""},
        {"data": b"not zstd at all"},
        {"encoding": "xz"},
        {"encoding": "none"},
        {"data": zstandard.ZstdCompressor(1).compress(b"some text " * 1000)[:-5]},
    ],
)
def test_a_chunk_that_is_not_what_it_says_is_damaged(changes: dict[str, object]) -> None:
    with pytest.raises(CtlError, match="chunk 3"):
        decode(SES, chunk(b"some text " * 1000, **changes))


def test_a_bomb_is_refused_without_being_unpacked() -> None:
    """Half a gibibyte in 16 KiB."""
    import tracemalloc

    packer = zstandard.ZstdCompressor(19).compressobj()
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(512)) + packer.flush()
    assert len(bomb) < 128 * 1024
    tracemalloc.start()
    try:
        for said in (1000, MAX_DECODED, 512 << 20):
            with pytest.raises(CtlError, match="is not as long as it says"):
                decode(SES, Chunk(3, 0, "zstd", said, bomb))
        assert tracemalloc.get_traced_memory()[1] < 8 * MAX_DECODED
    finally:
        tracemalloc.stop()


def test_messages_become_what_happened_and_when() -> None:
    told = read(
        framed(
            [
                out(b"one", 0.5),
                out(b"typed", 0.25, stream="ttyin"),
                out(b"piped", 1, stream="stdout"),
                resized(50, 132, 1),
                suspended(b"TSTP", 1),
                suspended(b"CONT", 10),
                exited(1, b"TERM", after=20),
            ]
        ),
        at_ns=2 * S,
    )
    assert told == [
        Data(2 * S + S // 2, Stream.TTY_OUT, b"one"),
        Data(2 * S + 3 * S // 4, Stream.TTY_IN, b"typed"),
        Data(3 * S + 3 * S // 4, Stream.STDOUT, b"piped"),
        Resize(4 * S + 3 * S // 4, 50, 132),
        Suspend(5 * S + 3 * S // 4, "TSTP"),
        Suspend(15 * S + 3 * S // 4, "CONT"),
        Exit(20 * S, 1, "TERM"),
    ]


def test_times_never_go_back_and_sizes_stay_those_of_terminals() -> None:
    told = read(
        framed(
            [
                sudo.ClientMessage(ttyout_buf=sudo.IoBuffer(delay=sudo.TimeSpec(tv_sec=-5, tv_nsec=-1), data=b"a")),
                sudo.ClientMessage(ttyout_buf=sudo.IoBuffer(delay=sudo.TimeSpec(tv_sec=2**63 - 1), data=b"b")),
                resized(-1, 2**31 - 1),
                exited(0),
            ]
        ),
        at_ns=7,
    )
    assert [event.at_ns for event in told] == [7, 2**62, 2**62, 2**62]
    assert told[2] == Resize(2**62, 0, 9999)


def test_messages_of_another_kind_are_passed_over() -> None:
    odd = sudo.ClientMessage(accept_msg=sudo.AcceptMessage(expect_iobufs=True))
    assert read(framed([odd, sudo.ClientMessage(), out(b"x")])) == [Data(0, Stream.TTY_OUT, b"x")]


@pytest.mark.parametrize("broken", [b"\0", b"\0\0\0", b"\0\0\0\x05abcd", b"\xff\xff\xff\xff", b"\0\0\0\x01\xff"])
def test_what_is_no_message_is_damage(broken: bytes) -> None:
    with pytest.raises(CtlError, match="chunk 0"):
        read(framed([out(b"fine")]) + broken)


MESSAGES = st.lists(
    st.one_of(
        st.builds(out, st.binary(max_size=40), st.floats(0, 100), stream=st.sampled_from(["ttyout", "stdin"])),
        st.builds(resized, st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1)),
        st.builds(suspended, st.binary(max_size=8)),
        st.builds(exited, st.integers(-(2**31), 2**31 - 1), st.binary(max_size=8), after=st.floats(0, 100)),
    ),
    max_size=8,
).map(framed)


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """Messages with some bytes changed, taken away or put in."""
    data = bytearray(draw(MESSAGES))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@given(st.one_of(bent(), st.binary(max_size=200)), st.integers(0, 2**62))
def test_hostile_bytes_give_events_in_their_order_or_damage(data: bytes, at_ns: int) -> None:
    try:
        told = read(data, at_ns)
    except CtlError as error:
        assert "is damaged" in error.message  # noqa: PT017 - both outcomes are right, for different bytes
    else:
        times = [at_ns, *(event.at_ns for event in told)]
        assert times == sorted(times)
        assert times[-1] <= 2**62


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_hostile_chunks_are_decoded_or_damaged(data: bytes, said: int) -> None:
    for encoding in ("zstd", "none"):
        try:
            assert len(decode(SES, Chunk(0, 0, encoding, said, data))) == said
        except CtlError as error:
            assert "is damaged" in error.message  # noqa: PT017 - as above


@pytest.fixture
def tape() -> Iterator[Tape]:
    with Tape(SES) as made:
        yield made


def test_a_tape_is_read_in_order_and_goes_on_when_there_is_more(tape: Tape) -> None:
    tape.append(chunk(framed([out(b"a", 1), out(b"b", 1)]), number=0, end_ns=2 * S))
    reel = Reel(tape)
    assert [(event.at_ns, reel.position) for event in reel.rest()] == [(S, 1), (2 * S, 2)]
    assert reel.peek() is None
    tape.append(chunk(b"", number=1))
    tape.append(chunk(framed([out(b"c", 1)]), number=2, end_ns=3 * S))
    assert reel.peek() == reel.take() == Data(3 * S, Stream.TTY_OUT, b"c")
    assert (reel.at_ns, reel.position, tape.length_ns) == (3 * S, 3, 3 * S)
    assert len(list(Reel(tape).rest())) == 3
    with pytest.raises(CtlError, match="chunk 3"):
        tape.append(chunk(framed([out(b"d")])[:-1], number=3))
    assert (len(tape), reel.peek()) == (3, None)


def test_what_its_host_has_lost_takes_the_time_it_took(tape: Tape) -> None:
    """SPEC 8.4: "A chunk that was damaged on the host comes as one that decodes to nothing"."""
    kept = [framed([out(b"a", 1)]), b"", framed([out(b"b", 1)])]
    ends = [S, 60 * S, 61 * S]
    for number, (decoded, end) in enumerate(zip(kept, ends, strict=True)):
        tape.append(chunk(decoded, number=number, end_ns=end))
    assert [event.at_ns for event in Reel(tape).rest()] == [S, 61 * S]
    stored = [zstandard.ZstdCompressor(1).compress(decoded) for decoded in kept]
    news = [
        Piece(number, end, "zstd", len(data), len(decoded), hashlib.sha256(data).digest(), 0, data)
        for number, (decoded, end, data) in enumerate(zip(kept, ends, stored, strict=True))
    ]
    assert [event.at_ns for event in all_events(SES, news)] == [S, 61 * S]


@pytest.mark.parametrize("end_ns", [-(2**63), 2**63 - 1])
def test_a_chunk_that_ends_at_no_time_that_is_does_no_harm(tape: Tape, end_ns: int) -> None:
    news = [replace(piece, end_ns=end_ns) for piece in pieces(framed([out(b"a", 1)]))]
    (made,) = whole(SES, news)
    tape.append(made)
    tape.append(replace(made, number=1))
    assert [event.at_ns for event in Reel(tape).rest()] == [S, 2 * S if end_ns < 0 else 2**62]


def test_lines_are_whole_wherever_they_were_cut_and_come_as_soon_as_they_are_there() -> None:
    def parts() -> Iterator[bytes]:
        yield "gr\u00f6".encode()[:-1]
        yield "gr\u00f6".encode()[-1:] + b"\nsecond"
        yield b" line\n\nlast"
        raise CtlError("failed", "cut off")

    found = lines(parts())
    assert [next(found) for _ in range(3)] == ["gr\u00f6", "second line", ""]
    with pytest.raises(CtlError, match="cut off"):
        next(found)
    assert list(lines([b"a\nb"])) == ["a", "b"]


def test_a_tape_that_is_longer_than_memory_should_hold_is_read_the_same(tape: Tape) -> None:
    import os

    blocks = [os.urandom(900_000) for _ in range(8)]
    for number, block in enumerate(blocks):
        data = framed([out(block)])
        tape.append(Chunk(number, 0, "none", len(data), data))
    assert [event.data for event in Reel(tape).rest() if isinstance(event, Data)] == blocks
