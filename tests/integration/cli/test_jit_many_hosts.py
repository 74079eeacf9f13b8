"""`jit request --hosts` and `--dry-run`: one request, one wait, and how it stands on each host (SPEC 9.7)."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import REQUEST, FakeAgent, Object
from jit_testing.jit_program import Jit

_SECOND = "req-7f3b000000000000"
_WORDS = ("request", "web-operator", "--hosts", "tier=web,env!=prod")


def host(name: str, request_id: str, state: str = "pending", grant_state: str = "", why: str = "") -> Object:
    return {"host": name, "request_id": request_id, "state": state, "grant_state": grant_state, "why": why}


def batch(first: str = "", second: str = "", **changes: Any) -> Object:
    """A request for web1 and web2, with the state of the grant of each; web3 was left out."""
    state = "approved" if first else "pending"
    hosts = [
        host("web1", REQUEST, state, first),
        host("web2", _SECOND, state, second),
        host("web3", "", "", why="it is not connected"),
    ]
    made = fake.approved if first else fake.request
    return made(**{"batch_id": "bat-0000000000000001", "batch": hosts, **changes})


def test_one_request_is_waited_for_on_every_host(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan(fake.choice(mfa=False)))
    agent.on("request", {"ok": True, "request": batch()})
    issued, half = fake.waited(batch("issued", "issued")), fake.waited(batch("active", "issued"))
    agent.on("wait", [fake.waited(batch()), issued, half, fake.waited(batch("active", "active"), in_force=True)])
    done = jit.run(*_WORDS, "--hosts", "db1", "-m", "roll out")
    [asked] = agent.asked("request")
    assert (asked["hosts"], asked["dry_run"]) == (["tier=web", "env!=prod", "db1"], False)
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == ["HOST", "web1", "web2", "web3"]
    assert f"web2  in force  {_SECOND}\n" in done.stdout
    assert "left out" in done.stdout.splitlines()[3]
    assert "it is not connected" in done.stdout
    assert f"{REQUEST}: web-operator on 2 hosts for 30 min\n" in done.stderr
    assert "✔ web-operator is in force on 2 of 2 hosts until " in done.stderr
    # Not on all that were asked for.
    assert done.returncode == 1


def test_all_hosts_in_force_is_a_success(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan(fake.choice(mfa=False)))
    hosts = [host("web1", REQUEST, "approved", "active"), host("web2", _SECOND, "approved", "active")]
    agent.on("request", {"ok": True, "request": batch("issued", "issued")})
    agent.on("wait", [fake.waited(batch("active", "active", batch=hosts), in_force=True)])
    done = jit.run(*_WORDS, "-m", "roll out", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["in_force"]) == (0, True)


def test_the_wait_ends_once_no_host_is_under_way(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan(fake.choice(mfa=False)))
    agent.on("request", {"ok": True, "request": batch("issued", "issued")})
    agent.on("wait", [fake.waited(batch("refused", "issued")), fake.waited(batch("refused", "active"))])
    done = jit.run(*_WORDS, "-m", "roll out")
    assert (done.returncode, f"web1  refused   {REQUEST}\n" in done.stdout) == (1, True)
    assert "in force on 1 of 2 hosts" in done.stderr
    agent.on("wait", [fake.waited(batch("refused", "refused", grant=fake.grant(state="refused", end_reason="unsafe")))])
    refused = jit.run(*_WORDS, "-m", "roll out")
    assert (refused.returncode, refused.stdout) == (78, "")


def test_a_denial_is_one_for_all_hosts(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan(fake.choice(mfa=False)))
    agent.on("request", {"ok": True, "request": batch()})
    hosts = [host("web1", REQUEST, "denied"), host("web2", _SECOND, "denied")]
    no = fake.request(state="denied", batch=hosts, decisions=[fake.decision(approved=False, reason="not today")])
    agent.on("wait", [fake.waited(no)])
    done = jit.run(*_WORDS, "-m", "roll out")
    assert done.returncode == 5
    assert f'web-operator on 2 hosts: denied by bob: "not today" ({REQUEST})' in done.stderr


@pytest.mark.parametrize("selection", ["", " , "])
def test_a_selection_of_nothing_is_not_asked_for(agent: FakeAgent, jit: Jit, selection: str) -> None:
    done = jit.run("request", "web-operator", "--hosts", selection)
    assert (done.returncode, agent.received) == (2, [])
    assert jit.run("request", "web-operator", "--hosts", ",".join(["a"] * 101)).returncode == 2


def test_a_role_of_other_hosts_is_asked_for_from_here(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan())
    agent.on("request", {"ok": True, "request": batch()})
    lacking = jit.run(*_WORDS, "--no-wait")
    assert (lacking.returncode, "add -m REASON" in lacking.stderr, agent.asked("request")) == (2, True, [])
    done = jit.run(*_WORDS, "--no-wait", "-m", "roll out", "--otp", "123456")
    assert (done.returncode, agent.asked("request")[0]["otp"]) == (3, "123456")
    # Without --hosts it is none of this host's.
    assert jit.run("request", "web-operator").returncode == 6


def test_a_code_is_asked_for_once_the_server_wants_one(agent: FakeAgent, jit: Jit) -> None:
    wanted = fake.error("unauthenticated", "web-operator needs a one-time code", "--otp")
    agent.on("ls", fake.plan())
    agent.on("request", wanted, {"ok": True, "request": batch()})
    assert jit.run(*_WORDS, "-m", "roll out").returncode == 4
    agent.on("request", wanted, {"ok": True, "request": batch()})
    session = jit.in_terminal(*_WORDS, "-m", "roll out", "--no-wait")
    session.sees("One-time code")
    session.types("123 456")
    assert session.ends() == 3
    assert [one["otp"] for one in agent.asked("request")[-2:]] == ["", "123456"]


def test_a_dry_run_asks_for_no_code_and_waits_for_nothing(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan(fake.choice(), fake.choice(role="root")))
    agent.on("request", {"ok": True, "request": fake.request(request_id="")})
    done = jit.run("request", "web-operator", "--dry-run", "-m", "deploy")
    assert done.stdout == ("It would be taken: web-operator on web1 for 30 min; it needs 1 approval by bob or carol.\n")
    assert (done.returncode, done.stderr, agent.asked("wait")) == (0, "", [])
    [asked] = agent.asked("request")
    assert (asked["dry_run"], asked["otp"], asked["hosts"]) == (True, "", [])
    agent.on("request", fake.error("denied", "web-operator: only mon-fri", "ask on Monday"))
    refused = jit.run("request", "web-operator", "--dry-run", "-m", "deploy")
    assert (refused.returncode, refused.stderr) == (5, "jit: web-operator: only mon-fri\n  ask on Monday\n")


def test_a_dry_run_for_several_hosts_names_each(agent: FakeAgent, jit: Jit) -> None:
    hosts = [host("web1", ""), host("web3", "", "", why="no account alice")]
    agent.on("ls", fake.plan(fake.choice(approvals=0, approvers=[])))
    agent.on("request", {"ok": True, "request": fake.request(request_id="", approvals_needed=0, batch=hosts)})
    done = jit.run(*_WORDS, "--dry-run", "-m", "x")
    assert done.stdout.splitlines()[0].endswith("for 30 min; it needs no approval.")
    assert "web1  would be asked for\n" in done.stdout
    assert "web3  left out            no account alice\n" in done.stdout
    assert json.loads(jit.run(*_WORDS, "--dry-run", "-m", "x", "-o", "json").stdout)["request"]["batch"] == hosts


def test_status_waits_for_a_batch_as_one(agent: FakeAgent, jit: Jit) -> None:
    second = batch(request_id=_SECOND, host="web2")
    agent.on("status", fake.status(requests=[batch(), second]))
    agent.on("wait", [fake.waited(batch("active", "active"), in_force=True)])
    assert jit.run("status", "-w").returncode == 0
    shown = jit.run("status").stdout
    assert "web3: left out: it is not connected\n" in shown


def test_leaving_the_wait_keeps_the_request(agent: FakeAgent, jit: Jit) -> None:
    never = threading.Event()
    agent.on("ls", fake.plan(fake.choice(mfa=False)))
    agent.on("request", {"ok": True, "request": batch()})
    agent.on("wait", [fake.waited(batch("issued", "issued")), never])
    session = jit.in_terminal(*_WORDS, "-m", "roll out")
    session.sees("in force on 0 of 2 hosts")
    session.presses("c")
    assert session.ends() == 130
