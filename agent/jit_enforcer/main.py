"""The enforcer's command line: `run` (the daemon), `end-all` (for systemd, at a stop of its unit) and `check`.

Leaving ends no grant: PID 1 and NOTAFTER hold the deadlines meanwhile.  `end-all` ends them only when the unit is being
stopped, not when it restarts or has crashed (REVIEW 17).
"""

import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from jit_enforcer import ending, programs, supervision
from jit_enforcer.clock import SystemClock, boot_id
from jit_enforcer.errors import Denied
from jit_enforcer.host import Host
from jit_enforcer.ledger import Ledger
from jit_enforcer.listener import Listener
from jit_enforcer.paths import below
from jit_enforcer.probe import Probe
from jit_enforcer.reconciling import reconcile
from jit_enforcer.rules import Rules
from jit_enforcer.scope import Scopes

_UNITS = ("jit-enforcer.service", "jit-enforcer-stop.service")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit status: 0 done, 1 not done, 2 usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        match words:
            case [] | ["run"]:
                _run(_open())
            case ["end-all"]:
                return _end_all(_open()) if _is_stopping() else 0
            case ["check"]:
                return _check()
            case _:
                sys.stderr.write("usage: jit-enforcer [run | end-all | check]\n")
                return 2
    except (Denied, OSError) as e:
        sys.stderr.write(f"jit-enforcer: {e}\n")
        return 1
    return 0


def _open() -> Host:
    paths = below(Path("/"), owner=0)
    return Host(
        paths=paths,
        clock=SystemClock(),
        boot=boot_id(paths),
        ledger=Ledger(paths),
        rules=Rules(paths),
        scopes=Scopes(paths),
        probe=Probe(paths),
    )


def _run(host: Host) -> None:
    wake, stop = socket.socketpair()
    with wake, stop:
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # the wake-up is enough: a round of work is never cut short
        reconcile(host)
        listener = Listener(host, stop)
        try:
            supervision.notify("READY=1")
            listener.serve()
        finally:
            listener.close()


def _is_stopping() -> bool:
    """True if systemd is carrying out a `stop` of our unit.  If it does not say, rights are removed (S6).

    A shutdown stops us too, but it ends every process by itself; the next start reports those grants as rebooted.
    """
    try:
        jobs = programs.run(programs.SYSTEMCTL, "list-jobs", "--no-legend", "--plain").decode()
    except Denied:
        return True
    rows = [words[1:3] for words in map(str.split, jobs.splitlines())]
    return any([unit, "stop"] in rows for unit in _UNITS) and ["shutdown.target", "start"] not in rows


def _end_all(host: Host) -> int:
    left = [entry for entry in ending.end(host, host.unfinished(), "stopped") if entry.state != "ended"]
    for entry in left:
        sys.stderr.write(f"jit-enforcer: {entry.grant.grant} is not wholly gone: run jit-enforcer end-all again\n")
    return 1 if left else 0


def _check() -> int:
    problems = Probe(below(Path("/"), owner=0)).problems()
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0
