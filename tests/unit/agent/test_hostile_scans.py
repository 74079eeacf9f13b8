"""However sudo's stream comes in, and wherever the agent is killed, it says the same (SPEC 8.3, S7).

Real and bent streams are read in pieces of any size, cut into chunks at any time, and read again by a second and third
run that knows no more than what was on the disk; events and recording must be those of one undisturbed reading.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from jit_agent.errors import Malformed
from jit_agent.report_model import SessionEvent
from jit_agent.scanner import Scanner
from jit_agent.session_state import SessionState
from jit_ctl.recording import frames
from jit_testing.mutation import SEED, hostile, kept

ANYBODY = SessionState(
    "ses-0123456789abcdef", "gnt-0123456789abcdef", 1001, "alice", "input", required=True, subcommands=True, watch_s=0
)


@dataclass
class Told:
    """What a reading brought: events by the byte they end before, chunks by their number, and how it ended."""

    events: dict[int, SessionEvent] = field(default_factory=dict)
    chunks: dict[int, bytes] = field(default_factory=dict)
    ended: object = None
    failed: str = ""

    @property
    def recording(self) -> bytes:
        return b"".join(self.chunks[number] for number in range(len(self.chunks)))


class Stream:
    """As much of the bytes as has come."""

    def __init__(self, data: bytearray, received: int) -> None:
        self.data = data
        self.received = received

    def peek(self, start: int, size: int) -> bytes:
        return bytes(self.data[start : min(start + size, self.received)])

    def overwrite(self, start: int, data: bytes) -> None:
        assert start + len(data) <= self.received
        self.data[start : start + len(data)] = data


def read_at_once(stream: bytes, state: SessionState) -> Told:
    told = Told()
    data = bytearray(stream)
    scanner = Scanner(state)
    try:
        while scanner.scan(Stream(data, len(data)), 1_000):
            pass
    except Malformed as e:
        told.failed = str(e)
    scanner.cut()
    _take(scanner, told, data, state, len(scanner.sealings))
    told.ended = scanner.ended
    return told


def read_in_lives(stream: bytes, state: SessionState, chance: random.Random) -> Told:
    """In pieces, by several runs; what each has sealed and noted of it when it is killed is left to chance."""
    told = Told()
    data = bytearray(stream)
    received = 0
    for life in range(3):
        # What a run left: chunks beyond those its state knows of may be on the disk already.
        beyond = range(state.progress.chunks, len(told.chunks))
        scanner = Scanner(state, [len(told.chunks[number]) for number in beyond])
        over = life == 2
        dies_at = len(data) if over else chance.randint(received, len(data))
        try:
            while True:
                more = scanner.scan(Stream(data, received), chance.randint(1, 20))
                if chance.random() < 0.3:
                    scanner.cut()
                if chance.random() < 0.5:
                    after = _take(scanner, told, data, state, chance.randint(0, len(scanner.sealings)))
                    state = after if chance.random() < 0.5 else state
                if not more:
                    if received == dies_at or scanner.over:
                        break
                    received = min(dies_at, received + int(2 ** chance.uniform(0, 12)))
        except Malformed as e:
            told.failed = str(e)
        over = over or scanner.over or bool(told.failed)
        if over:
            scanner.cut()
        _take(scanner, told, data, state, len(scanner.sealings) if over else 0)
        told.ended = scanner.ended
        if over:
            return told
    raise AssertionError


def _take(scanner: Scanner, told: Told, data: bytearray, state: SessionState, count: int) -> SessionState:
    """Store all events, and so many of the chunks; the state afterwards."""
    for end, event in scanner.events:
        assert told.events.setdefault(end, event) == event
    scanner.events.clear()
    for _ in range(count):
        sealing = scanner.sealings.popleft()
        if sealing.cut.ranges:
            frames = b"".join(data[start:end] for start, end in sealing.cut.ranges)
            assert told.chunks.setdefault(sealing.cut.number, frames) == frames
            assert sealing.cut.written or sealing.cut.number == len(told.chunks) - 1
        state = replace(state, progress=sealing.progress)
    return state


def test_no_message_is_lost_or_doubled_wherever_the_agent_is_killed() -> None:
    chance = random.Random(SEED)
    tried = whole = 0
    for stream in hostile("sudo_log"):
        # The gate has read the first message, and the session begins after it.
        data = stream[4 + int.from_bytes(stream[:4], "big") :]
        once = read_at_once(data, ANYBODY)
        for _ in range(3):
            try:
                lives = read_in_lives(data, ANYBODY, chance)
                assert lives.events == once.events
                assert lives.recording == once.recording
                assert (lives.ended, lives.failed) == (once.ended, once.failed)
            except Exception as e:
                raise AssertionError(f"another reading of {kept('sudo_log', stream)}") from e
            tried += 1
            whole += once.ended is not None
    assert whole > 30
    assert tried - whole > 30


def test_whatever_gets_into_a_recording_can_be_replayed() -> None:
    """A hostile sudo can write nonsense, and nothing that its viewers cannot read."""
    shown = 0
    for stream in hostile("sudo_log"):
        told = read_at_once(stream[4 + int.from_bytes(stream[:4], "big") :], ANYBODY)
        try:
            for number, chunk in told.chunks.items():
                shown += len(list(frames.events(ANYBODY.session_id, number, chunk, 0)))
        except Exception as e:
            raise AssertionError(f"a recording of {kept('sudo_log', stream)} cannot be replayed") from e
    assert shown > 1_000
