"""What a case of the fault table is, and what many of them do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from faults.life import Life, now
from faults.rig import wait_for
from faults.verdict import Row

ALIVE_MS: Final = 500
DEAD_MS: Final = 2_000
"""What is promised with everything alive, and with agent and enforcer dead."""
AGENT_BACK_MS: Final = 5_000
SERVER_BACK_MS: Final = 20_000
"""A revocation whose messenger is killed: it goes out again when the messenger is back, and hosts have found it."""

EXTENSION_S: Final = 5

Needs = Literal["any", "small disks", "a disk"]
Play = Callable[[Life, str], Row]


@dataclass(frozen=True, slots=True)
class Case:
    """`needs` says which hosts will do: those with small disks, or those whose disk survives a reboot.

    Cases that hurt the `server` have one for themselves.
    """

    name: str
    play: Play
    lasts_s: int = 8
    needs: Needs = "any"
    server: bool = False


def everyday(fault: Callable[[Life], contextlib.AbstractContextManager[object]], *, limit_ms: int = DEAD_MS) -> Play:
    """A grant with programs running; the fault comes over a second before the end, and goes after it."""

    def play(life: Life, name: str) -> Row:
        life.begin()
        with life.watched_end(), fault(life):
            life.check_there_is_time()
            wait_for("the end", lambda: now() > life.ends_at + 0.7)
        return life.row(name, limit_ms=limit_ms)

    return play


def revoked(life: Life, name: str, *, limit_ms: int, fired: Callable[[], bool] = lambda: True) -> Row:
    """The end of a living grant comes with its revocation; what lateness counts from is the server's word."""
    with life.watched_end(foreseen=False):
        life.server.revoke(life.grant)
        life.ends_at = now()
    return life.row(name, limit_ms=limit_ms, fired=fired())
