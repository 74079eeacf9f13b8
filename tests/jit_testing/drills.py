"""Roles for tests of recordings, beside those of the lab's own policy, and what the server says of their sessions."""

from __future__ import annotations

import functools
import inspect
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jit_testing.lab import Lab
from lab.lifecycle import at_once
from lab.places import REPOSITORY

Session = dict[str, Any]

_POLICY = REPOSITORY / "tests/lab/policy.yaml"
_ROLE = """
  {name}:
    description: Everything on the web tier, recorded
    hosts: {{tier: web}}
    run_as: [root]
    commands: ALL
    shell: true
    eligible: {{groups: [operators], permanent: true}}
    approvers: {{groups: [leads]}}
    approvals: 1
    duration: {{default: 10m, max: 1h}}
    mfa: false
    reason: true
    {recording}
"""
_ROLES = {
    "recorded": "record: output",
    "recorded-with-tree": "record: output\n    subcommands: true",
    "typed": "record: input",
    "best-effort": "record: output\n    recording: best-effort",
    "watched": "record: output\n    watch: 10s",
}
WATCH_S = 10
"""How long a session of the role `watched` lives on unwatched."""
HOSTS = ("web1", "web2")


def on_both(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test that has a `host` on both hosts at once, Debian 12 and 13; it fails if it fails on either."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        def on(host: str) -> None:
            try:
                test(host=host, **fixtures)
            except BaseException as e:
                e.add_note(f"on {host}")
                raise

        at_once(on, HOSTS)

    given = inspect.signature(test)
    wanted = [one for name, one in given.parameters.items() if name != "host"]
    vars(run)["__signature__"] = given.replace(parameters=wanted)
    return run


@contextmanager
def roles(lab: Lab) -> Iterator[None]:
    """Within this, alice and bob may ask for the roles above, and all who have to do with them are logged in."""
    _apply(lab, _POLICY.read_text() + "".join(_ROLE.format(name=name, recording=text) for name, text in _ROLES.items()))
    for person in ("carol", "dave"):
        lab.jitctl("whoami", user=person)
    try:
        yield
    finally:
        _apply(lab, _POLICY.read_text())


def sessions(lab: Lab, *words: str) -> list[Session]:
    """What `jitctl sessions ls` tells an auditor, newest first."""
    found: list[Session] = json.loads(lab.jitctl("sessions", "ls", "-o", "json", *words, user="dave"))
    return found


def session(
    lab: Lab, grant: str, is_so: Callable[[Session], bool] = lambda _: True, *, within_s: float = 30
) -> Session:
    """The newest session under this grant, once it is so; raises `AssertionError` with what it is instead."""
    give_up = time.monotonic() + within_s
    found: list[Session] = []
    while time.monotonic() < give_up:
        found = sessions(lab, "--grant", grant, "-n", "1")
        if found and is_so(found[0]):
            return found[0]
    raise AssertionError(f"after {within_s} s: {found}")


def stored(one: Session) -> bool:
    """It is over, and the server has all of its recording."""
    return bool(one["state"] == "ended" and one["recording"] == "whole")


def export(lab: Lab, session_id: str, form: str) -> bytes:
    """The recording as `jitctl sessions export` writes it."""
    place = f"/var/tmp/{session_id}.{form}"
    lab.jitctl("sessions", "export", session_id, "--format", form, "-O", place, user="dave")
    return lab.host("server").read(place)


def _apply(lab: Lab, policy: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(policy)
        file.flush()
        lab.put("server", Path(file.name), "/srv/drills.yaml")
    lab.run("server", "chmod", "0644", "/srv/drills.yaml")
    lab.jitctl("policy", "apply", "--yes", "/srv/drills.yaml", user="admin")
