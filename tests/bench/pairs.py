"""Time two commands in turn, A B A B …, each as its own person, on the host where this runs.

Runs as root under the host's own python3, one line of JSON in and one out:
{"runs": N, "commands": [[PERSON, [WORD, …]], [PERSON, [WORD, …]]]} → {"seconds": [[…], […]]}.
Each command has a process of its own that is that person already, so nothing but the command is timed.  Taking turns
lets the machine's mood hit both alike, so the ratio means something where a single time does not.
"""

import contextlib
import json
import os
import pwd
import shlex
import struct
import sys
import time

WARM_UP = 3
SECONDS = struct.Struct("d")
FAILED = -1.0


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer: dict[str, object] = {"seconds": pairs(asked["runs"], asked["commands"])}
        except ValueError as e:
            answer = {"failed": str(e)}
        print(json.dumps(answer), flush=True)


def pairs(runs: int, commands: list[tuple[str, list[str]]]) -> list[list[float]]:
    workers = [worker(person, words) for person, words in commands]
    try:
        for _ in range(WARM_UP):
            for which in range(len(workers)):
                turn(*workers[which], commands[which])
        times = [[turn(*one, command) for one, command in zip(workers, commands, strict=True)] for _ in range(runs)]
    finally:
        for go, done in workers:
            os.close(go)
            os.close(done)
            os.wait()
    return [list(column) for column in zip(*times, strict=True)]


def turn(go: int, done: int, command: tuple[str, list[str]]) -> float:
    os.write(go, b"!")
    (took,) = SECONDS.unpack(os.read(done, SECONDS.size))
    if took == FAILED:
        raise ValueError(f"{command[0]} cannot run {shlex.join(command[1])}")
    return float(took)


def worker(person: str, words: list[str]) -> tuple[int, int]:
    """A process that is this person; its two pipes: each byte into the first is answered with seconds in the second."""
    his_go, go = os.pipe()
    done, his_done = os.pipe()
    if os.fork() == 0:
        # Above all no end of an older worker's pipes: it could not see that they were closed.
        for fd in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, his_go, his_done}:
            with contextlib.suppress(OSError):
                os.close(fd)
        work(person, words, his_go, his_done)
    os.close(his_go)
    os.close(his_done)
    return go, done


def work(person: str, words: list[str], go: int, done: int) -> None:
    account = pwd.getpwnam(person)
    os.initgroups(person, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "USER": person, "LOGNAME": person, "LANG": "C.UTF-8"}
    while os.read(go, 1):
        os.write(done, SECONDS.pack(seconds(words, environment)))
    os._exit(0)


def seconds(words: list[str], environment: dict[str, str]) -> float:
    quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawnp(words[0], words, environment, file_actions=quiet)
    status = os.waitpid(pid, 0)[1]
    took = time.perf_counter() - start
    return took if status == 0 else FAILED


main()
