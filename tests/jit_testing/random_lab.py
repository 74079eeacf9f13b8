"""A lab's hosts for a long life of random events: asking, breaking, mending and looking, by tools that survive it.

Nothing here judges; what was done is noted with its time, so that a failure can be told as a story.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pexpect

from jit_testing.lab import Lab
from jit_testing.remote import Answer, Desk, Hands
from lab.network import Direction
from lab.places import REPOSITORY
from lab.process import LabError

HOSTS = ("web1", "web2")
PEOPLE = ("alice", "bob")
# Of the roles that need no approval one allows everything and one only /usr/bin/id; drill-admin needs carol.
ROLES = {"at-once": True, "at-once-id": False, "drill-admin": True}
QUIET_S = 60.0
"""How long anything may take that nothing stands in the way of."""
_PAUSE_S = 0.05
_STUBBORN = "trap '' TERM HUP INT; while :; do sleep 1; done"
_STAY_DEAD = "/run/systemd/system/jit-enforcer.service.d/stay-dead.conf"
_DEAD_UNIT = f"[Unit]\\nConditionPathExists=!{_STAY_DEAD}\\n[Service]\\nRestart=no\\n"
_EVERYTHING = {"argv": [], "run_as_user": "root"}
_POLICIES = {"all": PEOPLE, "without-alice": ("bob",), "without-bob": ("alice",)}
_AT_ONCE = """
  at-once:
    description: Everything, for the asking
    hosts: {{tier: web}}
    run_as: [root]
    commands: ALL
    shell: true
    eligible: {{people: [{people}], permanent: true}}
    approvals: 0
    duration: {{default: 10m, max: 1h}}
    mfa: false
    reason: false

  at-once-id:
    description: One command, for the asking
    hosts: {{tier: web}}
    run_as: [root]
    commands:
      - /usr/bin/id
    eligible: {{people: [{people}], permanent: true}}
    approvals: 0
    duration: {{default: 10m, max: 1h}}
    mfa: false
    reason: false
"""


class NotInTime(Exception):
    """Something that had to come did not."""


def now() -> int:
    """µs UTC."""
    return time.time_ns() // 1000


def shell_mark(person: str) -> str:
    """A word in the command line of the person's login shell."""
    return f"shell-of-{person}"


@dataclass(slots=True)
class RandomLab:
    """The lab, hands on each of its hosts, and the desks of those who decide."""

    lab: Lab
    hands: dict[str, Hands]
    admin: Desk
    carol: Desk
    history: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        at = datetime.now(UTC).time()
        self.history.append(f"{at.isoformat('milliseconds')} {text}")

    # What people do.

    def jit(self, host: str, person: str, **request: object) -> Answer:
        """The agent's answer; {"ok": False, …} also if the agent died under it."""
        try:
            return self.hands[host].jit(person, **request)
        except LabError as e:
            return {"ok": False, "error": {"code": "failed", "message": str(e)}}

    def ask(self, host: str, person: str, role: str, lasts_s: int) -> Answer:
        words = {"role": role, "ask": _EVERYTHING, "duration_s": lasts_s, "reason": "at random"}
        return self.jit(host, person, op="request", **words)

    def launch(self, host: str, person: str, mark: str) -> None:
        """A program under sudo that only a kill stops, if sudo starts it."""
        self.hands[host].ask(do="launch", person=person, words=["sh", "-c", _STUBBORN, mark])

    def call(self, desk: Desk, method: str, *arguments: object, **named: object) -> Answer:
        """{"said": …}, {"refused": TEXT}, or {"lost": TEXT} where nobody can say if it was done."""
        try:
            return desk.call(method, *arguments, **named)
        except LabError as e:
            return {"lost" if "does not answer" in str(e) or "cannot be reached" in str(e) else "refused": str(e)}

    def must(self, desk: Desk, method: str, *arguments: object) -> Answer:
        """Again until the server, which may be starting, has done it.  Raises `NotInTime`."""
        answer: Answer = {}

        def done() -> bool:
            nonlocal answer
            answer = self.call(desk, method, *arguments)
            return "said" in answer

        self.until(f"{method} {arguments}", done, describe=lambda: answer)
        return answer

    def apply_policy(self, name: str) -> None:
        """One of `_POLICIES`.  Raises `NotInTime`."""
        words = ["jitctl", "policy", "apply", "--yes", f"/srv/random-{name}.yaml"]
        self.until(f"policy {name}", lambda: self.lab.exec("server", *words, user="admin").returncode == 0)

    # What breaks, and is mended.

    def shake(self, host: str, service: str, *, kill: bool) -> None:
        """It comes back at once."""
        words = ["kill", "--signal", "KILL"] if kill else ["restart"]
        if host in self.hands:
            self._on(host, "systemctl", *words, service)
        else:
            self.lab.run(host, "systemctl", *words, service)

    def kill_enforcer(self, host: str) -> None:
        """Until `start_enforcer` it stays dead, also when the agent, which wants it, is started."""
        folder = Path(_STAY_DEAD).parent
        self._on(host, "sh", "-c", f"mkdir -p {folder}; printf '{_DEAD_UNIT}' >{_STAY_DEAD}")
        self._on(host, "systemctl", "daemon-reload")
        self._on(host, "systemctl", "kill", "--signal", "KILL", "jit-enforcer")
        self.until("enforcer dead", lambda: self._on(host, "systemctl", "is-active", "jit-enforcer")["status"] != 0)

    def start_enforcer(self, host: str) -> None:
        self._on(host, "sh", "-c", f"rm -f {_STAY_DEAD}; systemctl daemon-reload; systemctl reset-failed jit-enforcer")
        if self._on(host, "systemctl", "start", "jit-enforcer")["status"]:
            raise NotInTime(f"the enforcer of {host} does not start")

    def cut(self, host: str, direction: Direction) -> None:
        self.lab.cut(host, direction)

    def heal(self, host: str) -> None:
        self.lab.heal(host)

    def mend(self) -> None:
        """Nothing is broken, locked or in force any more, whatever was left behind."""
        for host in HOSTS:
            self.heal(host)
            self.start_enforcer(host)
        for person in PEOPLE:
            self.call(self.admin, "enable_user", person)
        for lock in self.call(self.admin, "locks", over_too=False).get("said", ()):
            self.call(self.admin, "lift_lock", lock["lock_id"], "mended")
        for host in HOSTS:
            for person in PEOPLE:
                self.jit(host, person, op="drop", grant="")
        self.until("nothing in force", lambda: not any(map(any, self.views().values())), describe=self.views)

    # What is to be seen.

    def try_sudo(self) -> dict[str, dict[tuple[str, bool], bool]]:
        """For each host: who may run everything (True), and at least /usr/bin/id (False), by trying."""
        probes = [(person, everything) for person in PEOPLE for everything in (True, False)]
        asked = [(person, ["true" if everything else "id"]) for person, everything in probes]
        for hands in self.hands.values():
            hands.send(do="sudos", asked=asked)
        statuses = {host: hands.receive()["statuses"] for host, hands in self.hands.items()}
        return {
            host: {probe: code == 0 for probe, code in zip(probes, found, strict=True)}
            for host, found in statuses.items()
        }

    def look(self, marks: Sequence[str]) -> dict[str, Answer]:
        """For each host: rules, scopes and marked processes, as sudo and the kernel have them."""
        for hands in self.hands.values():
            hands.send(do="look", marks=[*marks, *map(shell_mark, PEOPLE)])
        return {host: hands.receive() for host, hands in self.hands.items()}

    def views(self) -> dict[str, tuple[list[str], list[str]]]:
        """For each host: the grants it has rules of, and those the server shows as not over there."""
        said = self.must(self.admin, "grants", [], 1000)["said"]
        known = {host: [one for one in said if one["host"] == host] for host in HOSTS}
        return {
            host: (
                sorted(name for name in seen["rules"] if name.startswith("gnt-")),
                sorted(f"{one['grant_id']}{'' if one['state'] == 'active' else one['state']}" for one in known[host]),
            )
            for host, seen in self.look([]).items()
        }

    def enforces(self, host: str) -> bool:
        """Whether the agent has its enforcer there, by the word it gives to anybody who is not disabled."""
        answers = (self.jit(host, person, op="status", all=False) for person in PEOPLE)
        return any(answer["ok"] and answer["enforcer"]["connected"] for answer in answers)

    def told(self) -> str:
        """What may keep server and hosts from agreeing, for a failure's text."""
        status = {
            f"{person} {host}": self.jit(host, person, op="status", all=False) for host in HOSTS for person in PEOPLE
        }
        return f"{self.views()} {status}"

    def until(self, what: str, true: Callable[[], bool], *, describe: Callable[[], object] = lambda: "") -> None:
        """Raises `NotInTime`."""
        give_up = time.monotonic() + QUIET_S
        while not true():
            if time.monotonic() > give_up:
                raise NotInTime(f"not within {QUIET_S:.0f} s: {what} {describe()}")
            time.sleep(_PAUSE_S)

    def _on(self, host: str, *words: str) -> Answer:
        return self.hands[host].ask(do="run", words=words)


@contextlib.contextmanager
def opened(lab: Lab) -> Iterator[RandomLab]:
    """With people who stay logged in on each host, and with policies that let them have roles for the asking."""
    for name, people in _POLICIES.items():
        with tempfile.NamedTemporaryFile("w") as file:
            file.write((REPOSITORY / "tests/lab/policy.yaml").read_text())
            file.write(_AT_ONCE.format(people=", ".join(people)))
            file.flush()
            Path(file.name).chmod(0o644)
            lab.put("server", Path(file.name), f"/srv/random-{name}.yaml")
    with contextlib.ExitStack() as stack:
        stack.callback(lab.jitctl, "policy", "apply", "--yes", "/srv/policy.yaml", user="admin")
        lab.jitctl("policy", "apply", "--yes", "/srv/random-all.yaml", user="admin")
        for host in HOSTS:
            for person in PEOPLE:
                words = ["bash", "--norc", "-s", shell_mark(person)]
                shell: pexpect.spawn[str] = lab.terminal(host, *words, user=person)
                stack.callback(shell.close, force=True)
        hands = {host: stack.enter_context(Hands(lab, host)) for host in HOSTS}
        admin, carol = (stack.enter_context(Desk(lab, person)) for person in ("admin", "carol"))
        made = RandomLab(lab, hands, admin, carol)
        made.mend()
        stack.callback(made.mend)
        yield made
