"""Bytes that nobody of ours wrote, at the parsers: an event or `Malformed`, never anything else (SPEC 8.1–8.3)."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from jit_agent import chunk_format, segment_file, sudo_frames, sudo_wire
from jit_agent.chunk_format import HEADER_SIZE
from jit_agent.errors import Malformed
from jit_protos.sudo import log_server_pb2 as pb
from jit_testing.mutation import SECONDS, SEED, hostile, kept, mutants

SESSION = "ses-0123456789abcdef"
KINDS = {
    "ttyin_buf": sudo_frames.Kind.TTYIN,
    "ttyout_buf": sudo_frames.Kind.TTYOUT,
    "stdin_buf": sudo_frames.Kind.STDIN,
    "stdout_buf": sudo_frames.Kind.STDOUT,
    "stderr_buf": sudo_frames.Kind.STDERR,
}


def messages(stream: bytes) -> list[bytes]:
    """As far as the lengths before them can be followed."""
    found, at = [], 0
    while len(stream) - at >= sudo_frames.PREFIX:
        try:
            size = sudo_wire.parse_length(stream[at : at + 4])
        except Malformed:
            break
        found.append(stream[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def test_a_message_of_sudo_is_an_event_or_malformed() -> None:
    understood = refused = 0
    for stream in hostile("sudo_log"):
        for message in messages(stream):
            try:
                sudo_wire.parse(message)
                understood += 1
            except Malformed:
                refused += 1
            except Exception as e:
                raise AssertionError(f"{type(e).__name__} for {kept('sudo_log', stream)}") from e
    assert understood > 100
    assert refused > 100


def test_frames_read_by_hand_mean_what_the_real_parser_says() -> None:
    read = 0
    for stream in hostile("sudo_log"):
        for message in messages(stream):
            head = (len(message).to_bytes(4, "big") + message)[: sudo_frames.HEAD]
            buffer = sudo_frames.parse_buffer(head, len(message))
            if buffer is None:
                continue
            read += 1
            try:
                parsed = pb.ClientMessage.FromString(message)
                kind = parsed.WhichOneof("type")
                theirs = getattr(parsed, kind or "ttyin_buf")
                delay = theirs.delay.tv_sec * 1_000_000_000 + theirs.delay.tv_nsec
                assert (buffer.kind, buffer.delay_ns, buffer.size) == (KINDS[kind or ""], delay, len(theirs.data))
            except Exception as e:
                raise AssertionError(f"{buffer} is wrong in {kept('sudo_log', stream)}") from e
    assert read > 100


def test_a_chunk_is_whole_or_malformed() -> None:
    """A file that was changed in any way is never taken for another chunk."""
    chance = random.Random(SEED)
    frames = chance.randbytes(500)
    header = chunk_format.Header(
        7, 1, 2, chunk_format.Encoding.NONE, len(frames), len(frames), hashlib.sha256(frames).digest()
    )
    file = header.pack(SESSION) + frames
    assert chunk_format.parse_header(file[:HEADER_SIZE], SESSION) == header
    refused = 0
    for changed in bounded([file], 20_000):
        try:
            found = chunk_format.parse_header(changed[:HEADER_SIZE], SESSION)
            chunk_format.require_whole(found, changed[HEADER_SIZE:])
            assert changed == file
        except Malformed:
            refused += 1
    assert refused > 1_000


@pytest.mark.parametrize("rebooted", [False, True])
def test_a_segment_is_believed_no_further_than_it_was_written(tmp_path: Path, rebooted: bool) -> None:
    path = tmp_path / "000003.raw"
    segment = segment_file.create(path, 3)
    segment.bytes[:5_000] = random.Random(SEED).randbytes(5_000)
    segment.note(5_000)
    segment.close()
    segment_file.sync(path, 0, 3_000)
    segment_file.sync(path, 3_000, 1_500)
    honest = path.read_bytes()[: segment_file.PAGE + 6_000]
    if rebooted:
        # What is told without a checksum counts in the boot that wrote it only.
        honest = honest[:8] + bytes(16) + honest[24:]
    assert write(path, honest) == (4_500 if rebooted else 5_000)
    for changed in bounded([honest], 500):
        believed = write(path, changed)
        assert 0 <= believed <= segment_file.CAPACITY
        if rebooted and believed:
            assert changed[segment_file.PAGE :][:believed][-1_500:] in honest


def write(path: Path, content: bytes) -> int:
    """How far a segment of this content, and of the right size, is believed."""
    with path.open("r+b") as file:
        file.write(content[: segment_file.SIZE].ljust(segment_file.PAGE + 6_000, b"\0"))
        file.truncate(segment_file.SIZE)
    return segment_file.filled(path, 3)


def bounded(seeds: list[bytes], most: int) -> list[bytes]:
    made = mutants(seeds, SEED)
    return [next(made) for _ in range(min(most, int(2_000 * SECONDS)))]
