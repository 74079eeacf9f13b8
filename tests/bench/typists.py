"""Many people typing at once on the host where this runs; how long each keystroke's echo takes.

Runs as root under the host's own python3:
{"person": NAME, "words": [WORD, …], "sessions": N, "keys": N, "pause_s": S} → {"seconds": [...]}, all sessions' delays.
Each session is a terminal of its own with the command in its foreground.  Nothing is typed before the terminal is raw:
from then on every echo has gone through sudo, its own terminal and back.
"""

import fcntl
import json
import os
import pty
import pwd
import random
import select
import signal
import sys
import termios
import time

READY_S = 60.0
LOST_S = 10.0
"""An echo that takes longer never comes."""


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer: dict[str, object] = {"seconds": measure(**asked)}
        except (OSError, ValueError) as e:
            answer = {"failed": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


def measure(person: str, words: list[str], sessions: int, keys: int, pause_s: float) -> list[float]:
    terminals = [terminal(person, words) for _ in range(sessions)]
    try:
        for _, master in terminals:
            until_raw(master, words)
        return typed([master for _, master in terminals], keys, pause_s)
    finally:
        for pid, master in terminals:
            os.close(master)
            # sudo's own processes get the hangup; the leader is reaped here.
            os.kill(pid, signal.SIGHUP)
            os.waitpid(pid, 0)


def terminal(person: str, words: list[str]) -> tuple[int, int]:
    account = pwd.getpwnam(person)
    pid, master = pty.fork()
    if pid == 0:
        os.initgroups(person, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.chdir("/")
        os.execvpe(words[0], words, {"PATH": "/usr/bin:/bin", "TERM": "xterm", "USER": person, "LANG": "C.UTF-8"})
    fcntl.ioctl(master, termios.TIOCSWINSZ, b"\x18\0\x50\0\0\0\0\0")
    return pid, master


def until_raw(master: int, words: list[str]) -> None:
    give_up = time.monotonic() + READY_S
    while termios.tcgetattr(master)[3] & termios.ECHO:
        if time.monotonic() > give_up:
            raise ValueError(f"{words} does not take over its terminal: {os.read(master, 1000)!r}")
        time.sleep(0.01)


def typed(masters: list[int], keys: int, pause_s: float) -> list[float]:
    """Everybody types at the same pace, each at an instant of their own; one key is on its way per person."""
    chance = random.Random(1)
    start = time.monotonic() + 0.5
    due = {master: start + chance.random() * pause_s for master in masters}
    left = dict.fromkeys(masters, keys)
    sent: dict[int, float] = {}
    poll = select.poll()
    for master in masters:
        poll.register(master, select.POLLIN)
    seconds: list[float] = []
    while left:
        now = time.monotonic()
        for master in [one for one, at in due.items() if at <= now]:
            del due[master]
            sent[master] = time.perf_counter()
            os.write(master, b"x")
        wait = max(0.0, min(due.values(), default=now + LOST_S) - time.monotonic())
        answered = poll.poll(wait * 1000)
        if not answered and not due:
            raise ValueError("an echo did not come")
        for master, _ in answered:
            os.read(master, 4096)
            if master not in sent:
                continue
            seconds.append(time.perf_counter() - sent.pop(master))
            left[master] -= 1
            if left[master]:
                due[master] = time.monotonic() + pause_s * (0.5 + chance.random())
            else:
                del left[master]
                poll.unregister(master)
    return seconds


main()
