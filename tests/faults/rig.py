"""A lab host made ready for faults: its programs run by `inject`, a root witness, and hands on every switch.

The control files are written through the host's root as the machine sees it, so that pulling a switch costs nothing on
the host and works when nothing can be started there.
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.failpoints import Failpoint, Program
from faults.inject import CONTROL, HOME
from jit_testing.lab import Lab
from lab import cgroup

UNITS: dict[Program, str] = {
    "enforcer": "jit-enforcer.service",
    "agent": "jit-agent.service",
    "server": "jit-server.service",
}
SOCKETS = ("jit-agent.socket", "jit-sudolog.socket")
_OWNERS: dict[Program, str] = {"enforcer": "root", "agent": "jit-agent", "server": "jit-server"}
_PYTHON: dict[Program, str] = {
    "enforcer": "/usr/bin/python3 -I -S",
    "agent": "/usr/lib/jit-agent/venv/bin/python -I",
    "server": "/usr/lib/jit-server/venv/bin/python -I",
}
# The sandbox of the unit stays as it is, but for the one folder where orders are.
_DROP_IN = """[Service]
ExecCondition=/usr/bin/test ! -e {control}/dead
ExecStart=
ExecStart={python} {home}/faults/inject.py {program} run
ReadWritePaths={control}
"""
PATIENCE_S = 20.0


class Trouble(AssertionError):
    """The case could not be played as it should; the text becomes its verdict."""


@dataclass(frozen=True, slots=True)
class Rig:
    """One host, and the programs of jit that it has."""

    lab: Lab
    host: str
    programs: tuple[Program, ...]

    def install(self) -> None:
        """Put the launcher on the host and restart its programs under it, with their sandbox."""
        self.lab.put(self.host, Path(__file__).parent, str(HOME / "faults"))
        lines = ["set -e"]
        for program in self.programs:
            control, folder = CONTROL / program, f"/etc/systemd/system/{UNITS[program]}.d"
            text = _DROP_IN.format(python=_PYTHON[program], home=HOME, program=program, control=control)
            lines += [f"mkdir -p {control} {folder}", f"chown {_OWNERS[program]}: {control}"]
            lines += [
                f"[ -p {control}/step ] || mkfifo {control}/step",
                f"cat >{folder}/faults.conf <<'END'\n{text}END",
            ]
        lines += ["systemctl daemon-reload", f"systemctl restart {' '.join(UNITS[one] for one in self.programs)}"]
        self.sh("\n".join(lines))

    def uninstall(self) -> None:
        """The programs run as their packages say again, and nothing of `install` is left."""
        lines = [f"rm -f /etc/systemd/system/{UNITS[program]}.d/faults.conf" for program in self.programs]
        lines += [f"rm -rf {HOME} {CONTROL}", "systemctl daemon-reload"]
        self.sh("; ".join([*lines, f"systemctl restart {' '.join(UNITS[one] for one in self.programs)}"]))

    # --- orders ---

    def arm(self, point: Failpoint, action: str, **about: str) -> None:
        """Give the order for one failpoint; `fired` tells when it was carried out."""
        control = self.control(point.program)
        (control / "fired").unlink(missing_ok=True)
        order = {"failpoint": point.name, "action": action, "about": point.about.format(**about).split()}
        self._write(control / "armed", json.dumps(order))

    def fired(self, point: Failpoint) -> bool:
        return (self.control(point.program) / "fired").exists()

    @contextlib.contextmanager
    def without(self, *ends: str) -> Iterator[None]:
        """The enforcer runs without these ends (see `inject`), and is itself again afterwards."""
        file = self.control("enforcer") / "without"
        self._write(file, json.dumps(ends))
        self.sh(f"systemctl restart {UNITS['enforcer']}")
        try:
            yield
        finally:
            file.unlink()
            self.revive("enforcer")
            self.sh(f"systemctl restart {UNITS['enforcer']}")

    # --- programs ---

    def signal(self, program: Program, name: str) -> None:
        """Send a signal to the program's main process."""
        self.sh(f"systemctl kill --signal={name} --kill-whom=main {UNITS[program]} || true")

    def kill(self, program: Program) -> None:
        """kill -9, and keep dead until `revive`."""
        self._write(self.control(program) / "dead", "")
        self.signal(program, "KILL")

    def revive(self, *programs: Program) -> None:
        """Let the programs start again, whatever was done to them; return when they serve."""
        for program in programs or self.programs:
            (self.control(program) / "dead").unlink(missing_ok=True)
            self.signal(program, "CONT")
        units = [UNITS[program] for program in programs or self.programs]
        if not programs or "agent" in programs:
            units = [*(SOCKETS if "agent" in self.programs else ()), *units]
        names = " ".join(units)
        # A socket that was asked again and again for a dead program has given up.
        self.sh(f"systemctl reset-failed {names} 2>/dev/null; systemctl start {names}")

    def check(self, program: Program, *, state: str) -> None:
        """Raises `Trouble` unless the program is what a fault made it: `dead`, or `T` for stopped."""
        pid = self.sh(f"systemctl show --property MainPID --value {UNITS[program]}").strip()
        found = "dead" if pid == "0" else self.sh(f"ps -o state= -p {pid}; true").strip()
        if found != state:
            raise Trouble(f"the {program} did not stay as the fault left it: {found}, not {state}")

    def wait_active(self, *programs: Program) -> None:
        units = " ".join(UNITS[program] for program in programs or self.programs)
        self.sh(f"timeout {PATIENCE_S:.0f} sh -c 'until systemctl -q is-active {units}; do sleep 0.02; done'")

    # --- the host ---

    def host_id(self) -> str:
        found: dict[str, Any] = json.loads(self.path("/etc/jit/trust.json").read_text())
        return str(found["host"])

    def sh(self, script: str, *, user: str = "root") -> str:
        return self.lab.run(self.host, "sh", "-c", script, user=user)

    def path(self, place: Path | str) -> Path:
        """A file of the host, as the machine sees it."""
        leader = cgroup.leader(self.lab.host(self.host).cgroup)
        return Path(f"/proc/{leader}/root") / str(place).lstrip("/")

    def control(self, program: Program) -> Path:
        return self.path(CONTROL / program)

    def look(self) -> dict[str, Any]:
        """What a root witness sees now (`witness.look`)."""
        found: dict[str, Any] = json.loads(
            self.lab.run(self.host, "python3", "-I", f"{HOME}/faults/witness.py", "look")
        )
        return found

    def witness(self, grant: str, mark: str, earliest: float, latest: float) -> subprocess.Popen[str]:
        """Start `witness.watch` on the host."""
        words = ["python3", "-I", f"{HOME}/faults/witness.py", "watch", grant, mark, str(earliest), str(latest)]
        command = self.lab.host(self.host).command(words)
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def _write(self, file: Path, text: str) -> None:
        draft = file.with_suffix(".new")
        draft.write_text(text)
        draft.rename(file)


def wait_for(
    what: str,
    holds: Callable[[], bool],
    *,
    patience_s: float = PATIENCE_S,
    ahead: Callable[[], float] = lambda: math.inf,
) -> None:
    """Poll until it holds; raises `Trouble` naming what did not come.

    `ahead` tells how much has to be done before it can come: patience begins anew as long as that gets less.
    """
    give_up, least = time.monotonic() + patience_s, math.inf
    while not holds():
        if time.monotonic() > give_up:
            if (still := ahead()) >= least:
                raise Trouble(f"{what} did not come within {patience_s:.0f} s")
            give_up, least = time.monotonic() + patience_s, still
        time.sleep(0.02)


@contextlib.contextmanager
def explained(said: Callable[[], str]) -> Iterator[None]:
    """Adds what was said last to the `Trouble` that comes out."""
    try:
        yield
    except Trouble as trouble:
        raise Trouble(f"{trouble}: {said()!a}") from None


class Session:
    """A person logged in on a host (`person.py`), asked over a pipe."""

    def __init__(self, lab: Lab, host: str, user: str) -> None:
        command = lab.host(host).command(["python3", "-I", f"{HOME}/faults/person.py"], user=user)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, **question: object) -> Any:
        """Ask and wait for the answer; raises `Trouble` if the session is gone."""
        self.say(**question)
        return self.hear()

    def say(self, **question: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Trouble("the person's login session is gone") from None

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Trouble("the person's login session is gone")
        return json.loads(line)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=10)
