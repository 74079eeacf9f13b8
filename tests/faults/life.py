"""One grant from its question to long after its end, as people live it, with everything that is seen of it.

A fault is put where a case wants it, between these steps; every step can stand a program that dies and comes back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from faults.rig import Rig, Session, Trouble, explained, wait_for
from faults.server import Server
from faults.verdict import ENDED, Row, Run, Seen, judge
from jit_testing.lab import Lab

PERSON, BYSTANDER = "alice", "bob"
ROLE = "drill-admin"
_BEFORE_S = 3.2
"""When sudo is tried without pause: before the last seconds, in which nothing is let in any more (SPEC 3.5)."""
LAST_SECONDS_S = 2.6
_AFTER_S = 0.7
_LONGEST_S = 40.0
_numbers = itertools.count(1)


def now() -> float:
    """Seconds of CLOCK_MONOTONIC, the same as on every host."""
    return time.monotonic()


def from_wall(us: int) -> float:
    """An instant of the wall clock (µs UTC) on CLOCK_MONOTONIC."""
    return us / 1_000_000 - time.time() + now()


@dataclass(slots=True)
class Life:
    """The grant of one case, and its person's login session."""

    rig: Rig
    server: Server
    lasts_s: int
    session: Session = field(init=False)
    request: str = ""
    grant: str = ""
    ends_at: float = 0.0
    mark: str = ""
    pids: list[int] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    watched: dict[str, Any] = field(default_factory=dict)
    rebooted_at: float | None = None

    def __post_init__(self) -> None:
        self.log_in()

    @property
    def lab(self) -> Lab:
        return self.rig.lab

    def ask(self) -> None:
        """Send the request."""
        words = ["jit", "request", ROLE, "-d", f"{self.lasts_s}s", "-m", "a fault", "--no-wait"]

        def done() -> bool:
            asked = self.lab.exec(self.rig.host, *words, user=PERSON)
            self.request = asked.stdout.strip()
            return asked.returncode == 3

        wait_for("the request", done)

    def approve(self) -> None:
        self.server.approve(self.request)

    def come_into_force(self) -> None:
        """Wait until the host has it, and learn its end from the server."""
        words = ["jit", "status", "-w", self.request]
        wait_for("the grant", lambda: self.lab.exec(self.rig.host, *words, user=PERSON).returncode == 0)
        found: dict[str, Any] = {}

        def told() -> bool:
            found.update(self.of_server())
            return bool(found)

        wait_for("the server's word on the grant", told)
        self.grant, self.ends_at = str(found["grant_id"]), from_wall(int(found["not_after"]))

    def elevate(self) -> None:
        self.ask()
        self.approve()
        self.come_into_force()

    def begin(self) -> None:
        """A grant in force, with programs that run under it."""
        self.elevate()
        self.run_programs()
        self.check_works()

    def extend(self, seconds: int) -> None:
        """Extend the grant, once however often it has to be asked for, and learn the new end from the server."""
        before = int(self.of_server()["not_after"])
        words = ["jit", "extend", self.grant, "-d", f"{seconds}s", "-m", "a fault", "-n"]

        def done() -> bool:
            self.lab.exec(self.rig.host, *words, user=PERSON)
            return int(self.of_server().get("not_after", 0)) > before

        wait_for("the extension", done)
        until = int(self.of_server()["not_after"])
        self.ends_at = from_wall(until)

        def in_force() -> bool:
            told = self.lab.exec(self.rig.host, "jit", "status", "-o", "json", user=PERSON)
            live = json.loads(told.stdout)["live"] if told.returncode == 0 else []
            return any(grant["grant"] == self.grant and grant["not_after"] == until for grant in live)

        wait_for("the new end on the host", in_force)

    def check_runs_on(self) -> None:
        """Raises `Trouble` if one of the programs has ended."""
        if sorted(self.session.ask(do="marked", mark=self.mark)) != sorted(self.pids):
            raise Trouble("a program did not outlive the extension of its grant")

    def check_works(self) -> None:
        """Raises `Trouble` unless sudo works now."""
        run = self.try_sudo()
        if run.ran is None:
            raise Trouble(f"sudo does not work: {run.said!a}")

    def check_there_is_time(self) -> None:
        """Raises `Trouble` if the last seconds have begun: then the fault came too late to show anything."""
        if now() > self.ends_at - LAST_SECONDS_S:
            raise Trouble("the fault came too late")

    def of_server(self) -> dict[str, Any]:
        """The grant of this request as the server tells it; empty if it does not answer or there is none yet."""
        told = self.lab.exec(self.rig.host, "jit", "status", "--all", "-o", "json", user=PERSON)
        requests = json.loads(told.stdout)["requests"] if told.returncode == 0 else []
        mine = [request for request in requests if request["request_id"] == self.request]
        return dict(mine[0]["grant"] or {}) if mine else {}

    def run_programs(self) -> None:
        """Under sudo from the login shell: programs that ignore TERM and HUP, one in a session of its own."""
        self.mark = f"jitmark{next(_numbers)}"
        said = ""

        def begun() -> bool:
            nonlocal said
            answer = self.session.ask(do="start", mark=self.mark, patience=4)
            self.pids, said = answer["pids"], answer["said"]
            return bool(self.pids)

        with explained(lambda: said):
            wait_for("the program under sudo", begun, patience_s=12)

    def try_sudo(self) -> Run:
        run = Run(**self.session.ask(do="try"))
        self.runs.append(run)
        return run

    def cut_power(self) -> None:
        """The host loses power, and its people their sessions."""
        self.rebooted_at = now()
        self.lab.host(self.rig.host).stop(power_cut=True)
        self.session.close()
        self.watched = {"died": dict.fromkeys(self.pids, self.rebooted_at)}

    def boot(self) -> None:
        """The host comes up again, and the person logs in."""
        self.lab.host(self.rig.host).start()
        self.log_in()
        self.watched["left"] = self.session.ask(do="marked", mark=self.mark)

    def reboot(self, *, power_cut: bool) -> None:
        """Down and up again, and then as if it had not been; raises `Trouble` if a process came through."""
        if power_cut:
            self.cut_power()
        else:
            self.lab.host(self.rig.host).stop()
            self.session.close()
        self.boot()
        if self.watched["left"]:
            raise Trouble(f"processes {self.watched['left']} outlived a reboot")
        self.rebooted_at = None

    def log_in(self) -> None:
        self.session = Session(self.lab, self.rig.host, PERSON)

    @contextlib.contextmanager
    def watched_end(self, *, foreseen: bool = True) -> Iterator[None]:
        """While the body acts, sudo is tried over and over around the end, and a witness follows the processes.

        Afterwards both go on until the end has come and all is quiet.  An end that is not `foreseen` is none of the
        grant's time: then they begin at once.
        """
        begin = self.ends_at - _BEFORE_S if foreseen else now()
        earliest = self.ends_at + _AFTER_S if foreseen else begin
        latest = earliest + _LONGEST_S
        witness = self.rig.witness(self.grant, self.mark, earliest, latest)
        if not witness.stdout or not witness.stdout.readline():
            raise Trouble("the witness does not start")
        self.session.say(do="watch", begin=begin, earliest=earliest, latest=latest)
        try:
            yield
        finally:
            told, _ = witness.communicate()
        self.runs += [Run(**run) for run in self.session.hear()]
        self.watched = json.loads(told) if told else {}

    def seen(self, *, server: str, fired: bool, trouble: Sequence[str]) -> Seen:
        """Everything, once the server calls the grant what it should or does not come to do so."""
        state = ""

        def over() -> bool:
            nonlocal state
            state = str(self.of_server().get("state", "unknown"))
            return state == server

        with contextlib.suppress(Trouble):
            wait_for("the end by the server", over, ahead=self._reports_waiting)
        shell = self.session.ask(do="shell")
        traces = self.rig.look()
        mine = {
            "rules": [name for name in traces["rules"] if name in (self.grant, "uid-1001")],
            "markers": traces["markers"],
            "tickets": traces["tickets"],
            "processes in scopes": traces["scopes"],
        }
        self.try_sudo()
        return Seen(
            ends_at=self.ends_at,
            runs=self.runs,
            deaths={int(pid): at for pid, at in self.watched.get("died", {}).items()},
            left=self.watched.get("left", []),
            rule_gone=self.watched.get("rule_gone"),
            limit_at=self._limit_at(),
            shell_lives=shell["pid"] == shell["answers"],
            traces=mine,
            server=state,
            server_should_say=server,
            others=self._bystanders(),
            fired=fired,
            rebooted_at=self.rebooted_at,
            trouble=trouble,
        )

    def row(
        self, fault: str, *, limit_ms: int, server: str = ENDED, fired: bool = True, trouble: Sequence[str] = ()
    ) -> Row:
        """The verdict; `server` is what the server should call the grant in the end."""
        return judge(fault, self.seen(server=server, fired=fired, trouble=trouble), limit_ms=limit_ms)

    def _reports_waiting(self) -> float:
        """How many reports of the host the server has not taken yet; without bound if nobody says.

        They are told in order, each durable before the next, and every sudo makes some: when the server was away while
        sudo was tried without pause, the end waits behind hundreds, and a busy machine takes its time over them.
        """
        told = self.lab.exec(self.rig.host, "jit", "doctor", "-o", "json", user=PERSON).stdout
        waiting = re.search(r"(\d+) reports wait for the server", told)
        return int(waiting[1]) if waiting else math.inf

    def _limit_at(self) -> float | None:
        """When PID 1 said that the scope's time is over."""
        words = ["journalctl", "--no-pager", "-o", "json", "--output-fields=MESSAGE", "-u", f"jit-{self.grant}*"]
        for line in self.lab.run(self.rig.host, *words).splitlines():
            entry = json.loads(line)
            if "runtime time limit" in entry["MESSAGE"]:
                return from_wall(int(entry["__REALTIME_TIMESTAMP"]))
        return None

    def _bystanders(self) -> list[str]:
        """What people without a grant could do: by running sudo, and by sudo's own list."""
        found = []
        if self.lab.exec(self.rig.host, "sudo", "-n", "true", user=BYSTANDER).returncode == 0:
            found.append(f"{BYSTANDER} could run sudo")
        if "is not allowed to run sudo" not in self.rig.sh(f"sudo -l -U {BYSTANDER}"):
            found.append(f"sudo lists rights of {BYSTANDER}")
        return found
