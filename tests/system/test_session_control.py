"""An approver on the server host watches, freezes, thaws and kills a session on another machine (SPEC 8.5).

Delays are measured from end to end, with what a person would use: two terminals, and one kernel's clock for both.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jit_testing import drills
from jit_testing.drills import Session, on_both
from jit_testing.lab import Lab
from jit_testing.remote import Desk
from jit_testing.seat import Seat

from .conftest import Tell

TICKS = "while :; do echo tick $((n += 1)); sleep 0.05; done"
STAMPS = 'while :; do echo "stamp $(date +%s%N) "; sleep 0.1; done'
WATCH_DELAY_S = 1.0
SILENCE_S = 11.0
"""So long after its last word the server counts as not heard, and that was noticed (SPEC 8.5: ten seconds)."""


@pytest.fixture(scope="module", autouse=True)
def _roles(lab: Lab) -> Iterator[None]:
    with drills.roles(lab):
        yield


@pytest.fixture(autouse=True)
def _nobody_is_elevated(lab: Lab) -> None:
    for host in ("web1", "web2"):
        lab.exec(host, "jit", "drop", "--all", user="alice")


@contextmanager
def running(lab: Lab, host: str, script: str, *, role: str = "recorded") -> Iterator[tuple[Seat, Session]]:
    """Alice runs this as root at a terminal; her seat and her session."""
    grant = lab.elevate(host, role=role)
    with Seat(lab, host, "alice", "sudo", "-n", "sh", "-c", script) as seat:
        yield seat, drills.session(lab, grant)


@contextmanager
def watching(lab: Lab, session: Session) -> Iterator[Seat]:
    """Carol sits at the server host and watches."""
    lab.jitctl("whoami", user="carol")  # logged in
    with Seat(lab, "server", "carol", "jitctl", "sessions", "watch", session["session_id"], columns=160) as seat:
        yield seat
        seat.type("q", "", within_s=1)
        seat.leave(within_s=10)


def lives(lab: Lab, host: str) -> bool:
    """Whether anything of the ticking command is left; the brackets keep the search from finding itself."""
    return lab.exec(host, "pgrep", "-f", "[e]cho tick").returncode == 0


def ticks(seat: Seat) -> int:
    """The last number that was seen at the person's terminal."""
    return int(re.findall(r"tick (\d+)\r\n", seat.text())[-1])


def stands_still(seat: Seat) -> bool:
    """Nothing comes for a second, in which twenty numbers would; what is on its way may arrive first."""
    seat.look(0.5)
    before = ticks(seat)
    seat.look(1.0)
    return ticks(seat) == before


@on_both
def test_an_approver_sees_it_as_it_happens(lab: Lab, host: str, tell: Tell) -> None:
    with running(lab, host, STAMPS) as (seat, session), watching(lab, session) as carol:
        delays: list[float] = []
        for _ in range(30):
            at = carol.type("", r"stamp \d{19} ")
            delays.append((at - int(re.findall(r"stamp (\d{19}) ", carol.text())[-1])) / 1e9)
        # What was before she came is old already.
        live = sorted(delays[-20:])
        median, worst = round(1000 * statistics.median(live)), round(1000 * live[-1])
        tell("an approver watches", host, f"{median} ms behind", f"at most {worst} ms")
        assert live[-1] < WATCH_DELAY_S, live
        shown = drills.session(lab, session["grant_id"], lambda one: bool(one["watchers"]))
        assert shown["watchers"] == ["carol"]
        seat.type("\x03", r"\^C")
    told = lab.jitctl("audit", "ls", "--kind", "session.watched", "-o", "jsonl", user="dave").splitlines()
    mine = [json.loads(line) for line in told if session["session_id"] in line]
    assert [event["actor"] for event in mine] == ["carol"]


@on_both
def test_freeze_thaw_and_kill(lab: Lab, host: str, tell: Tell) -> None:
    with running(lab, host, TICKS) as (seat, session), Desk(lab, "carol") as carol:
        one = session["session_id"]
        seat.type("", "tick 5\r\n")

        asked = carol.call("control_session", one, "freeze", "what is this?")
        told = seat.type("", "what is this\\?", within_s=5)
        tell("sessions freeze", host, f"{told / 1e6 - asked['sent'] / 1e3:.0f} ms until the person is told", "kept")
        assert "carol" in seat.text()
        assert stands_still(seat)
        assert drills.session(lab, session["grant_id"], lambda it: it["state"] == "frozen")["order"]
        assert lab.run(host, "sh", "-c", f"cat /sys/fs/cgroup/user.slice/*/*/{one}/cgroup.freeze").strip() == "1"

        lab.jitctl("sessions", "thaw", one, "-m", "all is well", user="carol")
        seat.type("", f"tick {ticks(seat) + 20}\r\n", within_s=10)
        drills.session(lab, session["grant_id"], lambda it: it["state"] == "running")

        asked = carol.call("control_session", one, "kill", "enough")
        assert seat.leave(within_s=5) != 0
        tell("sessions kill", host, f"{time.time_ns() / 1e6 - asked['sent'] / 1e3:.0f} ms until sudo is gone", "kept")
        ended = drills.session(lab, session["grant_id"], lambda it: it["state"] in {"ended", "lost"})
        assert "carol" in ended["order"]
    kinds = [json.loads(line)["kind"] for line in events(lab, one)]
    for kind in ("session.frozen", "session.thawed", "session.killed"):
        assert kind in kinds


@on_both
def test_a_frozen_session_is_gone_when_its_grant_ends(lab: Lab, host: str) -> None:
    """S1, S2: freezing keeps nothing alive."""
    with running(lab, host, TICKS) as (seat, session):
        seat.type("", "tick 5\r\n")
        lab.jitctl("sessions", "freeze", session["session_id"], "-m", "wait", user="carol")
        assert stands_still(seat)
        lab.run(host, "jit", "drop", "--all", user="alice")
        seat.leave(within_s=5)
        assert not lives(lab, host)


def test_who_may_not_control_a_session(lab: Lab) -> None:
    """An auditor looks and does not touch; the person whose session it is does not thaw it."""
    with running(lab, "web1", TICKS) as (seat, session):
        one = session["session_id"]
        seat.type("", "tick 5\r\n")
        lab.jitctl("whoami", user="dave")
        refused = lab.exec("server", "jitctl", "sessions", "kill", one, "-m", "no", "--yes", user="dave")
        assert refused.returncode == 5
        before = ticks(seat)
        seat.type("", f"tick {before + 5}\r\n")


@on_both
def test_a_watched_role_waits_for_its_watcher_and_stops_without_one(lab: Lab, host: str) -> None:
    """ "sudo starts only once an approver watches …, and freezes when the last watcher leaves, ends after a limit"."""
    grant = lab.elevate(host, role="watched")
    with Seat(lab, host, "alice", "sudo", "-n", "sh", "-c", TICKS) as seat:
        seat.type("", r"jitctl sessions watch ses-[0-9a-z]{16}")
        waiting = drills.session(lab, grant, lambda one: one["state"] == "waiting")
        seat.look(1.0)
        assert "tick" not in seat.text()
        with watching(lab, waiting) as carol:
            seat.type("", "tick 5\r\n")
            carol.type("", "tick")
        left = time.monotonic()
        drills.session(lab, grant, lambda one: one["state"] == "frozen")
        assert time.monotonic() - left < 15
        assert stands_still(seat)
        with watching(lab, waiting):
            drills.session(lab, grant, lambda one: one["state"] == "running")
            seat.type("", f"tick {ticks(seat) + 5}\r\n")
        drills.session(lab, grant, lambda one: one["state"] == "frozen")
        frozen = time.monotonic()
        assert seat.leave(within_s=drills.WATCH_S + 15) != 0
        assert time.monotonic() - frozen < drills.WATCH_S + 10
    assert not lives(lab, host)


def test_a_watched_session_freezes_where_the_server_is_not_heard(lab: Lab) -> None:
    """Who watches is the server's word; ten seconds without it, and nobody does."""
    grant = lab.elevate("web1", role="watched")
    with Seat(lab, "web1", "alice", "sudo", "-n", "sh", "-c", TICKS) as seat:
        seat.type("", r"jitctl sessions watch")
        with watching(lab, drills.session(lab, grant)) as carol:
            seat.type("", "tick 5\r\n")
            carol.type("", "tick")
            lab.cut("web1")
            try:
                seat.look(SILENCE_S)
                assert stands_still(seat)
            finally:
                lab.heal("web1")
            seat.type("", f"tick {ticks(seat) + 5}\r\n", within_s=30)


def events(lab: Lab, session_id: str) -> list[str]:
    lines = lab.jitctl("audit", "ls", "-n", "200", "-o", "jsonl", user="dave").splitlines()
    return [line for line in lines if session_id in line]
