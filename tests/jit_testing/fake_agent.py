"""A scripted agent on a real Unix socket (SPEC 4), for tests of the `jit` command.

It answers each operation from a script and records what it was asked.  Sample
answers are built by `live`, `choice` and `request`, whole and overridable.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Object = dict[str, Any]

GRANT = "gnt-7f3a000000000000"
REQUEST = "req-7f3a000000000000"
EXTENSION = "req-8e00000000000000"
HOST = "web1"


class HangUp:
    """In place of an answer line: close the connection."""


class Raw(bytes):
    """In place of an answer line: these very bytes."""


Line = Object | HangUp | Raw | threading.Event
Answer = Line | Sequence[Line]


class FakeAgent:
    """Serve until closed.  An operation without a script is answered with the error `unscripted`.

    `on(op, a, b)`: the first request of `op` gets `a`, every later one `b`.  An
    answer is one line, or a list of lines after which the connection stays open
    (as `wait` does); an `Event` among them holds the rest back until it is set.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received: list[Object] = []
        self._scripts: dict[str, list[Answer]] = {}
        self._calls: dict[str, int] = defaultdict(int)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._start(self._accept)

    def on(self, operation: str, *answers: Answer) -> None:
        """Script an operation, anew."""
        self._scripts[operation] = list(answers)
        self._calls[operation] = 0

    def asked(self, operation: str) -> list[Object]:
        """The requests of one operation, oldest first, without `op`."""
        return [
            {key: value for key, value in request.items() if key != "op"}
            for request in self.received
            if request.get("op") == operation
        ]

    def close(self) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was faster
        for thread in self._threads:
            thread.join()

    def _start(self, target: Any, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                asked = json.loads(lines.readline())
                self.received.append(asked)
                answer = self._next(asked["op"])
                if not isinstance(answer, Sequence) or isinstance(answer, Raw):
                    self._send(connection, answer)
                    return
                for line in answer:
                    if not self._send(connection, line):
                        return
                # Until the client or the test ends it.
                lines.readline()
            except (OSError, ValueError):
                return

    def _next(self, operation: str) -> Answer:
        script = self._scripts.get(operation)
        if not script:
            return error("unscripted", f"no answer for {operation}")
        call = self._calls[operation]
        self._calls[operation] += 1
        return script[min(call, len(script) - 1)]

    def _send(self, connection: socket.socket, line: Line) -> bool:
        """Send one line; return False when nothing can follow it."""
        match line:
            case HangUp():
                return False
            case threading.Event():
                while not line.wait(0.05):
                    if self._closing.is_set():
                        return False
            case bytes():
                connection.sendall(line)
            case _:
                connection.sendall(json.dumps(line).encode() + b"\n")
        return True


def now_us() -> int:
    return time.time_ns() // 1000


def error(code: str, message: str, hint: str = "") -> Object:
    return {"ok": False, "error": {"code": code, "message": message, "hint": hint}}


def live(**changes: Any) -> Object:
    ends_at = now_us() + 1_800_000_000
    return {
        "grant": GRANT,
        "revision": 1,
        "uid": 1001,
        "user": "alice",
        "role": "web-operator",
        "run_as_user": "root",
        "run_as_group": "",
        "commands": "ALL",
        "shell": True,
        "not_after": ends_at,
        "until": ends_at,
        "once": False,
        "used": False,
        "session": 0,
        "scope": f"jit-{GRANT}.scope",
        "processes": 0,
        **changes,
    }


def choice(**changes: Any) -> Object:
    return {
        "role": "web-operator",
        "description": "run the web servers",
        "default_s": 1800,
        "max_s": 7200,
        "mfa": True,
        "reason": True,
        "ticket": False,
        "approvals": 1,
        "approvers": ["bob", "carol"],
        "commands": ["/usr/bin/systemctl restart nginx"],
        "run_as_users": ["root"],
        "until": 0,
        "active": False,
        "once": False,
        "max_hosts": 1,
        "when": [],
        "mfa_fresh": False,
        **changes,
    }


def ask(*argv: str, **changes: Any) -> Object:
    return {
        "argv": list(argv),
        "run_as_user": "root",
        "run_as_group": "",
        "shell": False,
        "login": False,
        "exact": False,
        **changes,
    }


def grant(**changes: Any) -> Object:
    return {
        "grant_id": GRANT,
        "request_id": REQUEST,
        "user": "alice",
        "host": HOST,
        "role": "web-operator",
        "run_as_user": "root",
        "run_as_group": "",
        "commands": ["ALL"],
        "state": "issued",
        "not_before": now_us(),
        "not_after": now_us() + 1_800_000_000,
        "ended_at": 0,
        "end_reason": "",
        "end_confirmed": False,
        "reason": "deploy",
        "approved_by": ["bob"],
        "once": False,
        "this_session": False,
        "lease_s": 0,
        "extensions": 0,
        "unconfirmed_at": 0,
        "leftovers": [],
        **changes,
    }


def request(**changes: Any) -> Object:
    return {
        "request_id": REQUEST,
        "user": "alice",
        "host": HOST,
        "role": "web-operator",
        "ask": ask("/usr/bin/id"),
        "reason": "deploy",
        "ticket": "",
        "duration_s": 1800,
        "state": "pending",
        "created_at": now_us(),
        "lapses_at": now_us() + 3_600_000_000,
        "approvals_needed": 1,
        "approvers": ["bob", "carol"],
        "decisions": [],
        "grant": None,
        "role_commands": ["ALL"],
        "mfa_passed": True,
        "once": False,
        "this_session": False,
        "starts_at": 0,
        "extends": "",
        "extends_to": 0,
        "past_max_s": 0,
        "batch_id": "",
        "batch": [],
        **changes,
    }


def extension(**changes: Any) -> Object:
    """A request to let the live grant last longer."""
    return request(**{"request_id": EXTENSION, "extends": GRANT, "ask": ask(), **changes})


def extended(ends_at: int, **changes: Any) -> Object:
    """An extension that is granted: the grant has its new end on the server."""
    return extension(**{"state": "approved", "grant": grant(state="active", not_after=ends_at), **changes})


def decision(*, approved: bool = True, by: str = "bob", reason: str = "") -> Object:
    return {"by": by, "approved": approved, "reason": reason, "at": now_us()}


def approved(**changes: Any) -> Object:
    """A request that bob approved."""
    return request(**{"state": "approved", "decisions": [decision()], "grant": grant(), **changes})


def plan(*choices: Object, refusals: Sequence[Object] = (), mfa_enrolled: bool = True, **changes: Any) -> Object:
    return {
        "ok": True,
        "live": None,
        "choices": list(choices),
        "refusals": list(refusals),
        "mfa_enrolled": mfa_enrolled,
        **changes,
    }


def status(
    *,
    lives: Sequence[Object] = (),
    requests: Sequence[Object] = (),
    server_error: str = "",
    server_since: int = 0,
    enforcer_error: str = "",
) -> Object:
    return {
        "ok": True,
        "host": HOST,
        "server": {"connected": not server_error, "error": server_error, "since": server_since},
        "enforcer": {"connected": not enforcer_error, "error": enforcer_error},
        "live": list(lives),
        "requests": list(requests),
    }


def waited(untrusted_request: Object, *, in_force: bool = False) -> Object:
    """One line of `wait`."""
    return {"ok": True, "request": untrusted_request, "in_force": in_force}


def proof(**changes: Any) -> Object:
    return {
        "grant": GRANT,
        "revision": 1,
        "reason": "dropped",
        "ended_at": now_us(),
        "late_us": 900,
        "killed": 0,
        "scope_empty": True,
        "rule_removed": True,
        "leftovers": [],
        **changes,
    }
