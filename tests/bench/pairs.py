"""Time two commands in turn, A B A B …, on the host where this runs; print seconds as JSON.

Runs by itself under the host's own python3, as the user who logs in:
pairs.py RUNS 'COMMAND A' 'COMMAND B'.  Taking turns lets the machine's mood
hit both alike, so the ratio means something where a single time does not.
"""

import json
import os
import shlex
import sys
import time


def seconds(words: list[str]) -> float:
    quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawnp(words[0], words, os.environ, file_actions=quiet)
    status = os.waitpid(pid, 0)[1]
    took = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"pairs.py: {shlex.join(words)}: status {os.waitstatus_to_exitcode(status)}")
    return took


def main() -> None:
    runs, commands = int(sys.argv[1]), [shlex.split(text) for text in sys.argv[2:4]]
    for words in commands:
        seconds(words)
    times = [[seconds(words) for words in commands] for _ in range(runs)]
    print(json.dumps([list(column) for column in zip(*times, strict=True)]))


if __name__ == "__main__":
    main()
