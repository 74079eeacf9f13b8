"""Locks on booted hosts: in force within a second of the command, and in the way of everything that would begin."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pexpect
import pytest

from jit_testing.lab import Lab

WITHIN_S = 1.0
REFUSED = "a password is required"


@pytest.fixture(autouse=True)
def nothing_locked(lab: Lab) -> Iterator[None]:
    """Each test starts with no live grant, and leaves no lock."""
    for person in ("alice", "bob"):
        for host in ("web1", "web2"):
            lab.exec(host, "jit", "drop", "--all", user=person)
    yield
    for lock in lab.jitctl("locks", "ls", "-o", "name", user="admin").split():
        lab.jitctl("unlock", lock, "-m", "the test is over", user="admin")


def _events(lab: Lab, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lab.jitctl("audit", "ls", "-o", "jsonl", *words, user="dave").splitlines()]


def _sleeper(lab: Lab, host: str, person: str) -> pexpect.spawn[str]:
    """A program of root's that the person started and that would run for ten minutes."""
    terminal = lab.terminal(host, "sudo", "-n", "sh", "-c", "echo asleep; exec sleep 600", user=person)
    terminal.expect_exact("asleep")
    return terminal


def _dies(terminal: pexpect.spawn[str]) -> float:
    """When the terminal's program was gone, in seconds since the epoch."""
    terminal.expect(pexpect.EOF)
    gone_at = time.time()
    terminal.close()
    return gone_at


@pytest.mark.parametrize(("kind", "target"), [("user", "alice"), ("host", "web1"), ("role", "drill-admin")])
def test_within_a_second_of_a_lock_its_sudo_is_refused_and_its_programs_are_dead(
    lab: Lab, kind: str, target: str
) -> None:
    """What the lock does not hit goes on: bob on web2, by another role."""
    grant = lab.elevate("web1", user="alice")
    lab.elevate("web2", user="bob", role="drill-operator")
    asleep = _sleeper(lab, "web1", "alice")
    lock = lab.jitctl("lock", kind, target, "-m", "stolen laptop", "-o", "name", user="admin").strip()
    gone_at = _dies(asleep)
    (created,) = [event for event in _events(lab, "--kind", "lock.created") if event["details"]["lock"] == lock]
    locked_at = datetime.fromisoformat(created["at"]).timestamp()
    print(f"{kind} lock: programs dead after {(gone_at - locked_at) * 1000:.0f} ms")
    assert gone_at - locked_at < WITHIN_S
    assert REFUSED in lab.exec("web1", "sudo", "-n", "true", user="alice").stderr
    (ended,) = _events(lab, "--grant", grant, "--kind", "grant.ended")
    assert (ended["details"]["scope_empty"], ended["details"]["rule_removed"]) == (True, True)
    told_at = datetime.fromisoformat(ended["at"]).timestamp()
    print(f"{kind} lock: confirmed by the host after {(told_at - locked_at) * 1000:.0f} ms")
    assert told_at - locked_at < WITHIN_S
    assert lab.run("web2", "sudo", "-n", "id", user="bob").startswith("uid=0")

    refused = lab.exec("web1", "jit", "request", "drill-admin", "-m", "again", "--no-wait", user="alice")
    assert refused.returncode == 5
    assert "is locked: stolen laptop (by admin)" in refused.stderr
    lab.jitctl("unlock", lock, "-m", "found", user="admin")
    assert lab.elevate("web1", user="alice") != grant


def test_a_lock_reaches_a_host_that_was_cut_off_as_soon_as_it_is_back(lab: Lab) -> None:
    """SPEC 5.2: until then its end is shown as not confirmed, and alerted; never as done."""
    grant = lab.elevate("web1", user="alice")
    asleep = _sleeper(lab, "web1", "alice")
    lab.cut("web1")
    try:
        lab.jitctl("lock", "user", "alice", "-m", "stolen laptop", user="admin")
        shown = _until(lambda: lab.jitctl("grants", "show", grant, user="carol"), "NOT CONFIRMED by web1 since")
        assert "revoked" in shown
        assert f"end_unconfirmed {grant}" in lab.jitctl("alerts", "-o", "name", user="carol")
        assert lab.exec("server", "jitctl", "alerts", "--exit-code", user="carol").returncode == 1
    finally:
        lab.heal("web1")
    _dies(asleep)
    _until(lambda: lab.jitctl("grants", "show", grant, user="carol"), "revoked, confirmed by the host")
    assert grant not in lab.jitctl("alerts", "-o", "name", user="carol")
    journal = lab.run("server", "journalctl", "-u", "jit-server", "-p", "warning", "-o", "cat")
    assert [line for line in journal.splitlines() if grant in line and "has not confirmed" in line]
    assert [line for line in journal.splitlines() if grant in line and "has confirmed" in line]


def _until(look: Any, words: str) -> str:
    give_up = time.monotonic() + 90
    while time.monotonic() < give_up:
        if words in (shown := str(look())):
            return shown
    pytest.fail(f"not seen: {words}")
