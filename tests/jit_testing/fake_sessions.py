"""Sessions as the scripted agent tells of them (SPEC 4.2), whole and overridable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jit_testing.fake_agent import GRANT, HOST, Object, now_us

SESSION = "ses-7f3a000000000000"


def session(**changes: Any) -> Object:
    """One that ended well, a minute ago, and is recorded whole."""
    return {
        "session_id": SESSION,
        "grant_id": GRANT,
        "role": "web-operator",
        "user": "alice",
        "host": HOST,
        "run_as_user": "root",
        "command": "/usr/bin/systemctl",
        "argv": ["/usr/bin/systemctl", "restart", "nginx"],
        "cwd": "/home/alice",
        "tty": "/dev/pts/3",
        "state": "ended",
        "started_at": now_us() - 60_000_000,
        "ended_at": now_us() - 58_000_000,
        "exit_value": 0,
        "signal": "",
        "run_time_us": 1_900_000,
        "record": "output",
        "recording": "whole",
        "incomplete": "",
        "chunks": 2,
        "output_bytes": 4_100,
        "input_bytes": 0,
        "stored_bytes": 1_024,
        "rows": 24,
        "columns": 80,
        "standing": False,
        "watchers": [],
        "order": "",
        "reject_reason": "",
        **changes,
    }


def sessions(*listed: Object, truncated: bool = False) -> Object:
    """The answer to `log` without an id."""
    return {"ok": True, "sessions": list(listed), "truncated": truncated}


def subcommand(*argv: str, **changes: Any) -> Object:
    return {
        "at": now_us() - 59_000_000,
        "command": argv[0],
        "argv": list(argv),
        "cwd": "/home/alice",
        "run_as_user": "root",
        "rejected": "",
        **changes,
    }


def details(one: Object, *commands: Object, environment: Sequence[str] = (), truncated: bool = False) -> Object:
    """The answer to `log` with an id."""
    return {
        "ok": True,
        "session": one,
        "environment": list(environment),
        "commands": list(commands),
        "truncated": truncated,
    }
