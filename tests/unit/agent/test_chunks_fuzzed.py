"""Whatever a chunk's file holds, reading it is a chunk, a hole or `Malformed`, and never anything else (S12)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jit_agent.chunk_format import HEADER_SIZE, MAX_SIZE, Encoding, Header, hole, parse_header, require_whole
from jit_agent.chunks import Chunks
from jit_agent.errors import Malformed
from jit_testing.sealed_chunks import OTHER, SESSION, write

headers = st.builds(
    Header,
    number=st.integers(0, 2**32 - 2),
    start_ns=st.integers(0, 2**40),
    end_ns=st.integers(2**40, 2**62),
    encoding=st.sampled_from(Encoding),
    size=st.integers(1, MAX_SIZE),
    decoded_size=st.integers(0, MAX_SIZE),
    sha256=st.binary(min_size=32, max_size=32),
)


@given(headers)
def test_a_header_is_read_as_it_was_packed_and_only_for_its_session(header: Header) -> None:
    packed = header.pack(SESSION)
    assert len(packed) == HEADER_SIZE
    assert parse_header(packed, SESSION) == header
    with pytest.raises(Malformed):
        parse_header(packed, OTHER)


@given(headers, st.integers(0, HEADER_SIZE - 1), st.integers(1, 255))
def test_a_changed_header_is_refused(header: Header, place: int, change: int) -> None:
    packed = bytearray(header.pack(SESSION))
    packed[place] ^= change
    with pytest.raises(Malformed):
        parse_header(bytes(packed), SESSION)


@given(st.binary(max_size=2 * HEADER_SIZE))
def test_bytes_that_are_no_header_are_refused(untrusted: bytes) -> None:
    with pytest.raises(Malformed):
        parse_header(untrusted, SESSION)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 0},
        {"size": MAX_SIZE + 1},
        {"decoded_size": MAX_SIZE + 1},
        {"start_ns": 9, "end_ns": 8},
        {"start_ns": -1},
    ],
    ids=str,
)
def test_a_header_that_says_what_cannot_be_is_refused_though_nothing_was_changed(changes: dict[str, int]) -> None:
    good = {"number": 0, "start_ns": 0, "end_ns": 1, "size": 1, "decoded_size": 1}
    assert parse_header(Header(**good, encoding=Encoding.ZSTD, sha256=bytes(32)).pack(SESSION), SESSION).size == 1
    bad = Header(**(good | changes), encoding=Encoding.ZSTD, sha256=bytes(32))
    with pytest.raises(Malformed, match="says what cannot be"):
        parse_header(bad.pack(SESSION), SESSION)


def test_what_stands_in_for_a_lost_chunk_is_whole() -> None:
    from jit_agent.chunk_format import NOTHING

    require_whole(hole(3, start_ns=1, end_ns=2), NOTHING)
    with pytest.raises(Malformed):
        require_whole(hole(3, start_ns=1, end_ns=2), NOTHING[:-1])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["000000.chunk", "000001.chunk", "000002.chunk", "kept", "finished", "refused"]),
                  st.integers(0, 400), st.sampled_from(["flip", "cut", "fill", "remove"]), st.integers(1, 255)),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_a_folder_with_anything_in_it_is_read_kept_and_removed(changes: list[tuple[str, int, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        first = Chunks(root)
        for session in (SESSION, OTHER):
            for number in range(4):
                write(first, session, number, b"frames" * 50, start_ns=number, end_ns=number + 1, compress=True)
        first.keep(SESSION, first.headers(SESSION)[:1])
        for name, place, how, change in changes:
            mangle(root / SESSION / name, place, how, change)
        again = Chunks(root)
        kept = len(again.headers(SESSION))
        for number in range(kept):
            found = again.read(SESSION, number)
            assert found is None or len(found[1]) == found[0].size
        assert [again.read(OTHER, number) == first.read(OTHER, number) for number in range(4)] == [True] * 4
        again.finish(SESSION)
        again.keep(SESSION, [one for one in again.headers(SESSION) if again.read(SESSION, one.number) is not None])
        assert (root / SESSION).exists() is (root / SESSION / "refused").exists()


def mangle(path: Path, place: int, how: str, change: int) -> None:
    content = bytearray(path.read_bytes()) if path.exists() else bytearray()
    if how == "remove":
        path.unlink(missing_ok=True)
        return
    if how == "flip" and content:
        content[place % len(content)] ^= change
    elif how == "cut":
        del content[place:]
    else:
        content += bytes([change]) * place
    path.write_bytes(content)
