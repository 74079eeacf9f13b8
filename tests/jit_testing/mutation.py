"""Hostile bytes made of honest ones, for parsers: endless, and the same again for the same seed.

A corpus is a folder below tests/corpus: what programs really sent, and every input that ever found something.  Each of
its files is tried as it is, then what mutation makes of them, for $FUZZ_S seconds (5 unless told).
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "corpus"
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECONDS = float(os.environ.get("FUZZ_S", "5"))
_LONGEST = 300_000
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x1FFFFF, 0x200000, 0x200001, 2**31 - 1, 2**31, 2**32 - 1, 2**63)


def corpus(name: str) -> list[bytes]:
    """The files of a corpus, in order of their names; raises if there is none."""
    files = sorted((CORPUS / name).iterdir())
    if not files:
        raise FileNotFoundError(f"{CORPUS / name} is empty")
    return [file.read_bytes() for file in files]


def hostile(name: str, *, seconds: float = SECONDS, seed: int = SEED) -> Iterator[bytes]:
    """The corpus as it is, then mutants of it until the time is up."""
    seeds = corpus(name)
    yield from seeds
    give_up = time.monotonic() + seconds
    made = mutants(seeds, seed)
    while time.monotonic() < give_up:
        yield next(made)


def kept(name: str, found: bytes) -> Path:
    """Put an input that found something into its corpus, so that it is tried for ever; its place."""
    place = CORPUS / name / f"found-{hashlib.sha256(found).hexdigest()[:16]}"
    place.write_bytes(found)
    return place


def mutants(seeds: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """One to six changes to one of the seeds, for ever."""
    chance = random.Random(seed)
    while True:
        made = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            chance.choice(_CHANGES)(made, chance, seeds)
        yield bytes(made[:_LONGEST])


Change = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def _flip(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    if made:
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)


def _overwrite(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at, size = _span(made, chance)
    made[at : at + size] = chance.randbytes(size)


def _remove(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at, size = _span(made, chance)
    del made[at : at + size]


def _repeat(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at, size = _span(made, chance)
    made[at:at] = made[at : at + size] * chance.randint(1, 4)


def _cut(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    del made[chance.randint(0, len(made)) :]


def _splice(made: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    """The end of another."""
    other = chance.choice(seeds)
    del made[chance.randint(0, len(made)) :]
    made += other[chance.randint(0, len(other)) :]


def _number(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    """A length or a count that is at the edge of what can be."""
    value = chance.choice(_EDGES)
    number = value.to_bytes(8, "big")[-4:] if chance.random() < 0.5 else _varint(value)
    at = chance.randint(0, len(made))
    made[at : at + len(number)] = number


def _frame(made: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    """One whole message again, gone, or at another place, where the lengths are still right."""
    frames = _frames(bytes(made))
    if len(frames) < 2:
        return
    which = chance.randrange(len(frames))
    match chance.randrange(3):
        case 0:
            frames.insert(chance.randrange(len(frames)), frames[which])
        case 1:
            del frames[which]
        case _:
            frames.insert(chance.randrange(len(frames)), frames.pop(which))
    made[:] = b"".join(frames)


def _inside(made: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    """Something inside one message, with its length put right: what is behind the framing gets to see it."""
    frames = _frames(bytes(made))
    if not frames:
        return
    which = chance.randrange(len(frames))
    body = bytearray(frames[which][4:])
    chance.choice((_flip, _overwrite, _remove, _repeat, _number))(body, chance, seeds)
    frames[which] = len(body).to_bytes(4, "big") + body
    made[:] = b"".join(frames)


_CHANGES: tuple[Change, ...] = (_flip, _overwrite, _remove, _repeat, _cut, _splice, _number, _frame, _inside, _inside)


def _span(made: bytearray, chance: random.Random) -> tuple[int, int]:
    return chance.randint(0, len(made)), min(len(made), int(2 ** chance.uniform(0, 9)))


def _frames(stream: bytes) -> list[bytes]:
    """The messages with their 32-bit lengths before them; what is cut stands last."""
    found, at = [], 0
    while at < len(stream):
        end = at + 4 + int.from_bytes(stream[at : at + 4], "big")
        found.append(stream[at:end])
        at = end
    return found


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
