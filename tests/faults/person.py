"""A person at a terminal of a lab host, as a program: a login shell, programs under sudo, one sudo after the other.

Takes one JSON object a line and answers each with one.  Times are seconds of CLOCK_MONOTONIC, which is the same on
every host and outside, and which no fault of ours can step.  Standard library only.
"""

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

PAUSE_S: Final = 0.01
QUIET_S: Final = 0.7
LONGEST_S: Final = 30.0
CANNOT_START: Final = -1000
"""The status of a sudo that there was no process for."""
# Runs as root and tells when: the kernel's word, to 10 ms.
_TELL_TIME: Final = ["sudo", "-n", "cat", "/proc/uptime"]
# Ignores TERM and HUP as a stubborn program does, and leaves a child in another session behind.
_STUBBORN: Final = (
    'sudo -n bash -c \'trap "" TERM HUP; (setsid bash -c "exec -a {mark}-child sleep 1000" &);'
    " exec -a {mark}-main sleep 1000' &"
)


def now() -> float:
    return time.monotonic()


# What /proc/uptime tells more: the time the machine was suspended.
_SUSPENDED_S: Final = time.clock_gettime(time.CLOCK_BOOTTIME) - now()


class Shell:
    """bash on a terminal of its own; what it prints is collected, so that it never waits for a reader."""

    def __init__(self) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        self._said = ""
        threading.Thread(target=self._collect, daemon=True).start()

    def type(self, line: str) -> None:
        os.write(self._terminal, line.encode() + b"\n")

    def said(self) -> str:
        return self._said[-2000:]

    def answers(self) -> int:
        """The pid the shell itself tells, 0 if it does not answer within five seconds."""
        word = f"shell-{time.monotonic_ns()}"
        self.type(f"echo {word}=$$")
        give_up = time.monotonic() + 5
        while time.monotonic() < give_up:
            if found := re.search(rf"{word}=(\d+)", self._said):
                return int(found[1])
            time.sleep(PAUSE_S)
        return 0

    def _collect(self) -> None:
        while True:
            try:
                piece = os.read(self._terminal, 65536)
            except OSError:  # the shell is gone
                return
            self._said = (self._said + piece.decode(errors="replace"))[-65536:]


def marked(mark: str) -> list[int]:
    """The processes that carry the mark on their command line."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                words = Path("/proc", name, "cmdline").read_bytes()
            except OSError:  # it ended while we looked
                continue
            if f"{mark}-".encode() in words and int(name) != os.getpid():
                found.append(int(name))
    return found


def start(shell: Shell, mark: str, patience_s: float) -> dict[str, Any]:
    """Start a stubborn program under sudo from the shell; its pids once both of its processes run."""
    before = len(shell.said())
    shell.type(_STUBBORN.format(mark=mark))
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up:
        names = [Path("/proc", str(pid), "cmdline") for pid in marked(mark)]
        try:
            begun = sum(path.read_bytes().startswith(mark.encode()) for path in names)
        except OSError:
            continue
        if begun == 2:
            return {"pids": marked(mark), "said": ""}
        time.sleep(PAUSE_S)
    return {"pids": marked(mark), "said": shell.said()[before:] or shell.said()}


def try_sudo() -> dict[str, Any]:
    """One sudo: when it was begun and over, when its command ran as root (None: it did not), and what it said."""
    began = now()
    try:
        process = subprocess.Popen(
            _TELL_TIME, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except OSError as e:  # the process table is full
        return {"began": began, "over": now(), "ran": None, "status": CANNOT_START, "said": str(e)}
    with process:
        try:
            told, said = process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            os._exit(3)  # nobody could end a sudo that hangs: whoever reads our answer finds none
    ran = float(told.split()[0]) - _SUSPENDED_S if process.returncode == 0 else None
    return {"began": began, "over": now(), "ran": ran, "status": process.returncode, "said": said.strip()[-300:]}


def watch(begin: float, earliest: float, latest: float) -> list[dict[str, Any]]:
    """Try sudo again and again from `begin`, until it has been refused for a while after `earliest`, or `latest`."""
    while now() < begin:
        time.sleep(min(0.05, max(0.0, begin - now())))
    runs: list[dict[str, Any]] = []
    refused_since = latest
    while now() < latest and not (now() > earliest and now() - refused_since > QUIET_S):
        run = try_sudo()
        runs.append(run)
        if run["ran"] is not None or run["status"] == CANNOT_START:
            refused_since = latest
        else:
            refused_since = min(refused_since, run["over"])
        time.sleep(PAUSE_S)
    return runs


def main() -> None:
    shell = Shell()
    for line in sys.stdin:
        match json.loads(line):
            case {"do": "shell"}:
                answer: object = {"pid": shell.pid, "answers": shell.answers()}
            case {"do": "start", "mark": str(mark), "patience": patience}:
                answer = start(shell, mark, patience)
            case {"do": "marked", "mark": str(mark)}:
                answer = marked(mark)
            case {"do": "try"}:
                answer = try_sudo()
            case {"do": "watch", "begin": begin, "earliest": earliest, "latest": latest}:
                answer = watch(begin, earliest, latest)
            case unknown:
                raise ValueError(unknown)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
