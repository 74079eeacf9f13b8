"""Play the fault table on a lab and show it: `make faults`, or `python tests/faults/run.py [WORD…]` for some of it.

Writes build/faults.json, a list of {"fault", "stopped_by", "late_ms", "verdict"}; the status is 1 if a row is not ok.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults import host_faults
from faults.case import Case
from faults.cases import CASES
from faults.life import Life
from faults.rig import Rig, Trouble
from faults.server import APPROVER, Server
from faults.verdict import Row, failed
from jit_testing import lab as labs
from jit_testing.lab import Lab
from lab import lifecycle
from lab.places import REPOSITORY, Places, default_name
from lab.process import LabError

TIERS = ("web1:12", "web2:13", "web3:12", "web4:13")
SMALL_DISKS = "web3"
OUT = REPOSITORY / "build/faults.json"
_ENDINGS = (signal.SIGINT, signal.SIGTERM)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="run.py", description="Play the fault table on a lab of real hosts.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only cases with one of these in their names")
    parser.add_argument(
        "--labs", metavar="NAME,NAME", help="labs that are up: one of hosts to hurt, one whose server is"
    )
    arguments = parser.parse_args(words)
    chosen = [case for case in CASES if not arguments.words or any(word in case.name for word in arguments.words)]

    def act(both: Labs) -> int:
        began = time.monotonic()
        rows = play(both, chosen, tell=lambda row: print(line(row), flush=True))
        if not arguments.words:
            write(rows)
        bad = [row for row in rows if not row.ok]
        print(f"{len(rows)} faults, {len(rows) - len(bad)} ok, {time.monotonic() - began:.0f} s")
        return 1 if bad or not rows else 0

    if arguments.labs:
        return act(Labs(*(Lab(Places(name)) for name in arguments.labs.split(","))))
    return with_labs(act)


@contextlib.contextmanager
def whole_table(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that plays it within this context; at the end, or when we are killed, it ends with its labs."""
    log.parent.mkdir(exist_ok=True)
    words = ["setpriv", "--pdeathsig", "TERM", sys.executable, __file__]
    with (
        log.open("wb") as out,
        # Not of our session: an interrupt at the terminal is for us, and we pass it on, once.
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True) as player,
    ):
        try:
            yield player
        finally:
            player.terminate()
            player.wait()


def write(rows: Sequence[Row]) -> None:
    """The whole table as build/faults.json."""
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class Labs:
    """Faults of a server hit all its hosts: the cases about it have a server of their own."""

    hosts: Lab
    server: Lab


def with_labs(act: Callable[[Labs], int]) -> int:
    """What `act` returns, with both labs of this checkout's packages; nothing of them is left, whatever ends it.

    The one that boots and acts is a process of its own: it can be killed at any moment, and we have only to clear up.
    """
    own = f"{default_name()[:24]}-f"
    both = Labs(Lab(Places(own)), Lab(Places(f"{own}s")))

    def boot_and_act() -> None:
        os.setsid()
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_DFL)
        packages = lifecycle.build_packages()
        wanted = [(both.hosts, TIERS), (both.server, TIERS[:1])]
        lifecycle.at_once(lambda one: labs.up(one[0].places.name, ["server", *one[1]], packages), wanted)
        sys.exit(act(both))

    with lifecycle.claimed(Path(f"/run/lock/jit-{own}.lock"), wait_s=math.inf):
        for number in _ENDINGS:
            signal.signal(number, _end)
        actor = multiprocessing.get_context("fork").Process(target=boot_and_act)
        try:
            actor.start()
            actor.join()
            return abs(actor.exitcode or 0)
        finally:
            if actor.is_alive() and actor.pid:
                with contextlib.suppress(ProcessLookupError):  # killed before it had a session of its own
                    os.killpg(actor.pid, signal.SIGKILL)
                actor.kill()
                actor.join()
            lifecycle.at_once(labs.down, [both.hosts, both.server])


def _end(number: int, _: object) -> None:
    """Once: what is done about it is not to be disturbed."""
    for one in _ENDINGS:
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + number)


def play(both: Labs, cases: Sequence[Case], *, tell: Callable[[Row], None]) -> list[Row]:
    """Play all, on all hosts at once; the rows in the order of the cases.  `tell` hears of each as it comes."""
    rows: dict[str, Row] = {}

    def play_on(lab: Lab, *, server: bool) -> None:
        waiting = [case for case in cases if case.server == server]
        if waiting:
            for case, row in _played(lab, waiting):
                rows[case.name] = row
                tell(row)

    lifecycle.at_once(lambda which: play_on(which[0], server=which[1]), [(both.hosts, False), (both.server, True)])
    return [rows[case.name] for case in cases]


def _played(lab: Lab, waiting: list[Case]) -> Iterator[tuple[Case, Row]]:
    """Each case with its row, as it comes: every host takes the next one that it can."""
    server = Server(Rig(lab, "server", ("server",)))
    rigs = [Rig(lab, host, ("enforcer", "agent")) for host in sorted(lab.places.hosts()) if host != "server"]
    lifecycle.at_once(Rig.install, [server.rig, *rigs])
    lab.jitctl("whoami", user=APPROVER)
    done: queue.SimpleQueue[tuple[Case, Row] | None] = queue.SimpleQueue()

    def work(rig: Rig) -> None:
        try:
            while fitting := [case for case in waiting if _fits(case, rig)]:
                with contextlib.suppress(ValueError):  # another host was faster
                    waiting.remove(fitting[0])
                    done.put((fitting[0], play_one(fitting[0], rig, server)))
        finally:
            done.put(None)

    with contextlib.ExitStack() as stack:
        for rig in rigs:
            if rig.host == SMALL_DISKS:
                stack.enter_context(host_faults.small_disks(rig))
        threads = stack.enter_context(ThreadPoolExecutor(max_workers=len(rigs)))
        hands = [threads.submit(work, rig) for rig in rigs]
        for _ in rigs:
            yield from iter(done.get, None)
        for hand in hands:
            hand.result()


def play_one(case: Case, rig: Rig, server: Server) -> Row:
    """One case on one host, and the host as it was before.

    On a machine so slow that the grant is over before the fault comes, once more with one that lasts longer.
    """
    row = _try_once(case, rig, server, case.lasts_s)
    return _try_once(case, rig, server, 3 * case.lasts_s) if row.unplayed else row


def _try_once(case: Case, rig: Rig, server: Server, lasts_s: int) -> Row:
    life = Life(rig, server, lasts_s)
    try:
        return case.play(life, case.name)
    except (Trouble, LabError) as trouble:
        return failed(case.name, " ".join(str(trouble).split()))
    except Exception:  # a fault of the harness is a verdict too, and no reason to leave the other cases out
        return failed(case.name, traceback.format_exc())
    finally:
        life.session.close()
        for one in (rig, server.rig) if case.server else (rig,):
            for program in one.programs:
                (one.control(program) / "armed").unlink(missing_ok=True)
            one.revive()
        rig.lab.exec(rig.host, "jit", "drop", "--all", user="alice")


def _fits(case: Case, rig: Rig) -> bool:
    small = rig.host == SMALL_DISKS
    return case.needs == "any" or (case.needs == "small disks") == small


def line(row: Row) -> str:
    """A row as people read it."""
    return f"{row.fault:46} {row.stopped_by:22} {row.late_ms:6d} ms  {row.verdict}"


if __name__ == "__main__":
    sys.exit(main())
