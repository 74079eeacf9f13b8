"""Many people on one host, each with an account, eligible for roles that need neither code nor approval.

`bench` is known by its commands; of `bench-recorded` all output is kept as well.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.rows import Unmeasurable
from jit_testing.lab import Lab
from jit_testing.remote import Answer, Desk, Hands
from lab.places import REPOSITORY

FIRST_UID = 2001
SIZE = 100
PEOPLE = tuple(f"bench{number:03}" for number in range(1, SIZE + 1))
_ROLE = """
  {role}:
    description: Everything, for the asking
    hosts: {{tier: web}}
    run_as: [root]
    record: {record}
    commands: ALL
    shell: true
    eligible: {{people: [{people}], permanent: true}}
    approvals: 0
    duration: {{default: 10m, max: 2h}}
    mfa: false
    reason: false
"""


@dataclass(frozen=True, slots=True)
class Live:
    """A grant in force; `not_after` in µs UTC."""

    grant: str
    person: str
    not_after: int


def assemble(lab: Lab, host: str) -> None:
    """Accounts on the host, people on the server, and the role for all of them and alice."""
    accounts = "".join(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for uid, name in enumerate(PEOPLE, start=FIRST_UID))
    lab.host(host).run("tee", "--append", "/etc/passwd", stdin=accounts.encode())
    lab.run(host, "pwconv")  # an account without a line in shadow is locked
    with Desk(lab, "admin") as desk:
        for name in PEOPLE:
            desk.call("create_user", name, name, [])
    kept = {"bench": "events", "bench-recorded": "output"}
    people = ", ".join(("alice", *PEOPLE))
    roles = "".join(_ROLE.format(role=role, record=record, people=people) for role, record in kept.items())
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write((REPOSITORY / "tests/lab/policy.yaml").read_text() + roles)
        file.flush()
        lab.put("server", Path(file.name), "/srv/bench.yaml")
    lab.run("server", "chmod", "0644", "/srv/bench.yaml")
    lab.jitctl("policy", "apply", "--yes", "/srv/bench.yaml", user="admin")


def ask(hands: Hands, person: str, *, role: str = "bench", lasts_s: int) -> str:
    """Ask for a role; the request's id."""
    answer = hands.jit(
        person, op="request", role=role, ask={"argv": [], "run_as_user": "root"}, duration_s=lasts_s, reason="measured"
    )
    return str(_well(answer)["request"]["request_id"])


def take(hands: Hands, person: str, *, role: str = "bench", lasts_s: int) -> Live:
    """A grant of a role that needs no approval, in force."""
    request = ask(hands, person, role=role, lasts_s=lasts_s)
    _well(hands.jit(person, op="wait", request=request))
    return live(hands, person)[-1]


def live(hands: Hands, person: str) -> list[Live]:
    """Oldest end first, as the host has them."""
    found = _well(hands.jit(person, op="status", all=False))["live"]
    return sorted((Live(one["grant"], person, one["not_after"]) for one in found), key=lambda one: one.not_after)


def drop(hands: Hands, person: str) -> None:
    """Everything the person has."""
    _well(hands.jit(person, op="drop", grant=""))


def disperse(hands: Hands) -> None:
    """Nobody of the crowd has a grant any more."""
    for person in holders(hands):
        drop(hands, person)
    give_up = time.monotonic() + 60
    while holders(hands):
        if time.monotonic() > give_up:
            raise Unmeasurable("grants stay although they were dropped")


def holders(hands: Hands) -> set[str]:
    """Who of the crowd sudo knows a rule of."""
    texts = hands.ask(do="look", marks=[])["rules"].values()
    uids = {int(uid) for text in texts for uid in re.findall(r"^#(\d+) ", text, re.MULTILINE)}
    return {PEOPLE[uid - FIRST_UID] for uid in uids if FIRST_UID <= uid < FIRST_UID + SIZE}


def _well(answer: Answer) -> Answer:
    if not answer["ok"]:
        raise Unmeasurable(f"the agent refuses: {answer['error']['message']}")
    return answer
