"""Make a file of words, or of noise, on the host where this runs: fill.py FILE MB words|noise.

Words are drawn like a log's: compression finds about as much in them.  What is drawn repeats after 8 MB, further than a
compressor of chunks can look back.
"""

import random
import sys

BLOCK = 8_000_000


def main() -> None:
    place, megabytes, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    chance = random.Random(1)
    block = chance.randbytes(BLOCK) if kind == "noise" else words(chance)
    with open(place, "wb") as file:
        for left in range(megabytes * 1_000_000, 0, -BLOCK):
            file.write(block[:left])


def words(chance: random.Random) -> bytes:
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    weights = range(len(letters), 0, -1)
    vocabulary = ["".join(chance.choices(letters, weights, k=chance.randint(2, 11))) for _ in range(20_000)]
    lines: list[str] = []
    size = 0
    while size < BLOCK:
        line = f"{chance.randrange(10**9):010} {chance.choice(('info', 'warning', 'debug'))} "
        line += " ".join(vocabulary[int(20_000 * chance.random() ** 3)] for _ in range(chance.randint(4, 14))) + "\n"
        lines.append(line)
        size += len(line)
    return "".join(lines).encode()[:BLOCK]


main()
