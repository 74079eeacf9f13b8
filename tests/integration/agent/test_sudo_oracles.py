"""What we record is what sudo's own log server stores (SPEC 8.1, 8.2), byte for byte.

`sudo_sendlog` of Debian's sudo package sends the same I/O log to the agent and to a real `sudo_logsrvd`.  What our
server gets in chunks is then put into sudo's format and compared with the files that the other one wrote.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from jit_testing import sudo_iolog
from jit_testing.sudo_iolog import STREAMS, Event, Log, Passed, Resized, Suspended
from jit_testing.sudo_logsrvd import LogServer, log_server, send

from .conftest import World, free_port
from .recorded import INPUT, OUTPUT, chunks_of, frames_of, sessions
from .test_agent_stream import connected

MEBIBYTE = 2**20
WIDE = "日本語 한국어 naïve e\u0301 👩‍👩‍👧‍👦 \u202ertl\u202c".encode()


def in_pieces(data: bytes, size: int) -> list[Event]:
    return [Passed("ttyout", data[at : at + size]) for at in range(0, len(data), size)]


def at_random(seed: int) -> list[Event]:
    """Begins with output: `sudo_sendlog` of sudo 1.9.13p3 crashes on a log whose first event is a suspension."""
    chance = random.Random(seed)

    def one() -> Event:
        delay = int(10 ** chance.uniform(0, 11))
        match chance.randrange(12):
            case 0:
                return Resized(chance.randrange(1, 500), chance.randrange(1, 500), delay)
            case 1:
                return Suspended(chance.choice(["TSTP", "CONT", "TTIN"]), delay)
            case _:
                return Passed(chance.choice(STREAMS), chance.randbytes(int(10 ** chance.uniform(0, 4.5))), delay)

    return [Passed("ttyout", b"$ "), *(one() for _ in range(chance.randrange(1, 300)))]


LOGS: dict[str, Callable[[], list[Event]]] = {
    "nothing": list,
    "lines": lambda: [Passed("ttyout", f"line {n}\r\n".encode(), n * 1_000) for n in range(20)],
    "every byte": lambda: [Passed(stream, bytes(range(256)) * 8) for stream in STREAMS],
    "wide characters, cut anywhere": lambda: in_pieces(WIDE * 3, 5),
    "control sequences": lambda: [Passed("ttyout", b'\x1b]0;title\x07\x1b[6n\x1bP$q"p\x1b\\\x9b31m\x00\x7f')],
    "resizes": lambda: [Resized(50, 160, 0), Passed("ttyout", b"x"), Resized(1, 1), Resized(65_535, 65_535)],
    "stopped and gone on": lambda: [
        Passed("ttyout", b"$ "),
        Suspended("TSTP", 2_000_000_000),
        Suspended("CONT", 3_600_000_000_000),
        Passed("ttyout", b"fg\r\n"),
    ],
    "input": lambda: [
        event for key in WIDE for event in (Passed("ttyin", bytes([key]), 9_999), Passed("ttyout", bytes([key]), 1))
    ],
    "pipes": lambda: [Passed("stdin", b"in\0"), Passed("stdout", b"out\n" * 3_000), Passed("stderr", b"error\n")],
    "times of all sizes": lambda: [
        Passed("ttyout", b"t", delay)
        for delay in (0, 1, 999_999_999, 1_000_000_000, 10_000_000_001, 86_400_000_000_000, 59)
    ],
    "a buffer of more than a chunk": lambda: [
        Passed("ttyout", b"a"),
        Passed("ttyout", bytes(1_500_000)),
        *in_pieces(WIDE, 9),
    ],
    "the biggest buffer there is": lambda: [Passed("stdout", b"b" * (2 * MEBIBYTE - 64)), Passed("stdout", b"c")],
    "more than a segment": lambda: in_pieces(random.Random(1).randbytes(9 * MEBIBYTE), 60_001),
    "very many small ones": lambda: [Passed("ttyout", b"%d" % n, n) for n in range(20_000)],
} | {f"at random, {seed}": lambda seed=seed: at_random(seed) for seed in range(8)}  # type: ignore[misc]


@pytest.fixture
async def theirs(tmp_path: Path) -> AsyncIterator[LogServer]:
    async with log_server(tmp_path / "logsrvd", free_port()) as server:
        yield server


async def stored(theirs: LogServer, log: Path, *words: str) -> list[Log]:
    """What sudo_logsrvd makes of it."""
    status, said = await send(theirs.port, *words, str(log))
    assert status == 0, said
    return [sudo_iolog.read(folder) for folder in theirs.logs()]


async def recorded(world: World, log: Path, *words: str, sessions_: int = 1) -> list[Log]:
    """What the server gets of it through the agent."""
    status, said = await send(world.log_port, *words, str(log))
    assert status == 0, said
    return [sudo_iolog.log_of(sudo_iolog.events_of(frames_of(world, one))) for one in await sessions(world, sessions_)]


@pytest.mark.parametrize("events", LOGS.values(), ids=LOGS.keys())
async def test_the_recording_is_what_sudo_logsrvd_stores(
    world: World, theirs: LogServer, tmp_path: Path, events: Callable[[], list[Event]]
) -> None:
    await connected(world)
    world.enforcer.admission = INPUT
    log = sudo_iolog.write(tmp_path / "log", events())
    [wanted] = await stored(theirs, log)
    assert wanted == sudo_iolog.log_of(events())
    assert await recorded(world, log) == [wanted]


async def test_fifty_at_once_are_recorded_each_for_itself(world: World, theirs: LogServer, tmp_path: Path) -> None:
    """`sudo_sendlog -t 50`: "open number simultaneous connections to the log server"."""
    await connected(world)
    world.enforcer.admission = INPUT
    log = sudo_iolog.write(tmp_path / "log", at_random(50))
    wanted = await stored(theirs, log, "-t", "50")
    assert len(wanted) == 50
    assert await recorded(world, log, "-t", "50", sessions_=50) == wanted


async def test_of_output_alone_every_byte_and_every_time_is_kept(
    world: World, theirs: LogServer, tmp_path: Path
) -> None:
    """What was typed is left out, the time it took is not."""
    await connected(world)
    world.enforcer.admission = OUTPUT
    events = at_random(3)
    log = sudo_iolog.write(tmp_path / "log", events)
    [wanted] = await stored(theirs, log)
    [kept] = await recorded(world, log)
    output = ("stdout", "stderr", "ttyout")
    assert {name: kept[name] for name in output} == {name: wanted[name] for name in output}
    assert (kept["stdin"], kept["ttyin"]) == (b"", b"")
    [session] = await sessions(world, 1)
    told = []
    for start_ns, frames in chunks_of(world, session):
        told += instants(sudo_iolog.log_of(sudo_iolog.events_of(frames))["timing"], start_ns)
    assert told == instants(wanted["timing"])


async def test_a_log_that_stops_short_is_lost_and_kept_as_far_as_it_went(world: World, tmp_path: Path) -> None:
    await connected(world)
    world.enforcer.admission = INPUT
    log = sudo_iolog.write(tmp_path / "log", [Passed("ttyout", b"%d\n" % n, 1_000_000_000) for n in range(40)])
    await send(world.log_port, "-s", "20,5", str(log))
    [ended] = await sessions(world, 1)
    assert ended.lost
    kept = sudo_iolog.log_of(sudo_iolog.events_of(frames_of(world, ended)))
    assert sudo_iolog.read(log)["ttyout"].startswith(kept["ttyout"])
    assert len(kept["ttyout"]) < len(sudo_iolog.read(log)["ttyout"])


async def test_a_log_that_is_to_be_resumed_is_refused_with_a_reason(world: World, tmp_path: Path) -> None:
    """No path is ever built from a client's text: a record can be resumed by nobody but the agent itself."""
    await connected(world)
    world.enforcer.admission = INPUT
    log = sudo_iolog.write(tmp_path / "log", [Passed("ttyout", b"x", 1_000_000_000), Passed("ttyout", b"y")])
    status, said = await send(world.log_port, "-i", "../../../etc/passwd", "-r", "1,0", str(log))
    assert status != 0
    assert "jit: an interrupted record cannot be resumed" in said
    assert world.server.told("session_started") == []


async def test_an_accepted_command_without_its_output_is_an_event(world: World, tmp_path: Path) -> None:
    await connected(world)
    world.enforcer.admission = INPUT
    environment = ["TERM=xterm", "TOKEN=secret", "LC_ALL=C.UTF-8", "LD_PRELOAD=/tmp/x.so", "SSH_TTY=/dev/pts/1"]
    log = sudo_iolog.write(tmp_path / "log", [Passed("ttyout", b"x")], runenv=environment)
    status, said = await send(world.log_port, "-A", str(log))
    assert status == 0, said
    [session] = await sessions(world, 1)
    # Its exit alone.
    assert sudo_iolog.events_of(frames_of(world, session)) == []
    [started] = world.server.told("session_started")
    assert (list(started.argv), started.rows, started.columns) == (["vim", "notes"], 24, 80)
    assert list(started.environment) == ["TERM=xterm", "LC_ALL=C.UTF-8", "SSH_TTY=/dev/pts/1"]


async def test_a_rejected_command_is_an_event_with_its_reason(world: World, tmp_path: Path) -> None:
    await connected(world)
    world.enforcer.admission = INPUT
    log = sudo_iolog.write(tmp_path / "log", [Passed("ttyout", b"x")])
    await send(world.log_port, "-R", "command not allowed", str(log))
    await world.server.until(lambda: bool(world.server.told("session_rejected")))
    [rejected] = world.server.told("session_rejected")
    assert (list(rejected.argv), rejected.reason) == (["vim", "notes"], "command not allowed")


async def test_neither_takes_a_buffer_that_is_too_big(world: World, theirs: LogServer, tmp_path: Path) -> None:
    """The limit is sudo's own: 2 MiB for a message."""
    await connected(world)
    world.enforcer.admission = INPUT
    log = sudo_iolog.write(tmp_path / "log", [Passed("ttyout", bytes(2 * MEBIBYTE + 1))])
    for port in (theirs.port, world.log_port):
        status, said = await send(port, str(log))
        assert status != 0, said
    log = sudo_iolog.write(tmp_path / "fits", [Passed("ttyout", b"after that")])
    [kept] = (await recorded(world, log, sessions_=2))[-1:]
    assert kept["ttyout"] == b"after that"


def instants(timing: bytes, now: int = 0) -> list[tuple[int, bytes, bytes]]:
    """Of each event but input: when it was since the session's start (ns), which it was, and the rest of its line."""
    found = []
    for line in timing.splitlines():
        stream, delay, rest = line.split(maxsplit=2)
        seconds, nanoseconds = delay.split(b".")
        now += int(seconds) * 1_000_000_000 + int(nanoseconds)
        if stream not in (b"0", b"3"):
            found.append((now, stream, rest))
    return found
