"""Runs on an agent's host as root: a person at a terminal, line by line; nothing is between them and the pty.

{"do": "sit", "person", "words", "rows", "columns"} runs the words as the person's login shell would, in the foreground;
{"do": "type", "keys", "until", "within_s"} types, and reads until the pattern was seen in what came since;
{"do": "look", "for_s"} reads for so long; {"do": "resize", "rows", "columns"};
{"do": "leave", "within_s"} reads until the command ended, closes the terminal and answers the status.
Each answer holds what the terminal showed since the last one, as base64.
"""

import base64
import fcntl
import grp
import json
import os
import pty
import pwd
import re
import select
import signal
import struct
import sys
import termios
import time
from typing import Any

CHUNK = 1 << 20


class Seat:
    def __init__(self, person: str, words: list[str], rows: int, columns: int) -> None:
        account = pwd.getpwnam(person)
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "TERM": "xterm", "USER": person, "LOGNAME": person,
            "HOME": account.pw_dir, "SHELL": "/bin/bash", "LANG": "C.UTF-8",
        }  # fmt: skip
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            # As login leaves it: theirs, and open to messages.
            os.fchown(0, account.pw_uid, grp.getgrnam("tty").gr_gid)
            os.fchmod(0, 0o620)
            os.initgroups(person, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            os.chdir(account.pw_dir)
            os.execvpe(words[0], words, environment)

    def type(self, keys: str, until: str, within_s: float) -> dict[str, Any]:
        os.write(self.master, keys.encode())
        wanted, saw = re.compile(until.encode()), bytearray()
        give_up = time.monotonic() + within_s
        while not wanted.search(saw):
            left = give_up - time.monotonic()
            if left <= 0:
                return {"failed": f"{until!r} did not come, but {bytes(saw[-1500:])!r}"}
            if select.select([self.master], [], [], left)[0]:
                try:
                    saw += os.read(self.master, CHUNK)
                except OSError:  # the last process of the terminal is gone
                    return {"failed": f"the terminal closed before {until!r} came: {bytes(saw[-1500:])!r}"}
        return {"saw": base64.b64encode(saw).decode(), "at": time.time_ns()}

    def look(self, for_s: float) -> dict[str, Any]:
        saw, until = bytearray(), time.monotonic() + for_s
        while (left := until - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    saw += os.read(self.master, CHUNK)
                except OSError:  # the last process of the terminal is gone
                    break
        return {"saw": base64.b64encode(saw).decode()}

    def resize(self, rows: int, columns: int) -> dict[str, Any]:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        return {"saw": ""}

    def leave(self, within_s: float) -> dict[str, Any]:
        """Read until the command ended by itself; what does not in time is hung up on."""
        saw, open_ = bytearray(), True
        give_up = time.monotonic() + within_s
        while open_ and (left := give_up - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    saw += os.read(self.master, CHUNK)
                except OSError:  # the last process of the terminal is gone
                    open_ = False
        if open_:
            os.kill(self.pid, signal.SIGHUP)
        os.close(self.master)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return {"saw": base64.b64encode(saw).decode(), "status": status}


def main() -> None:
    seat: Seat | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        do = asked.pop("do")
        try:
            if do == "sit":
                seat = Seat(**asked)
                answer: dict[str, Any] = {"saw": ""}
            else:
                answer = getattr(seat, do)(**asked)
        except (OSError, AttributeError, TypeError) as e:
            answer = {"failed": f"{do}: {type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


main()
