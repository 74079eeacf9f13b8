"""`jit can-i`, the terms in `jit ls`, `jit ls --all` and `jit renew`: what may be had, until when, and for longer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import FakeAgent, Object
from jit_testing.jit_program import Jit

_DAY_US = 86_400_000_000
_RENEWAL = "rnw-7f3a000000000000"


def test_can_i_says_yes_only_under_a_grant_in_force(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.plan(live=fake.live()))
    yes = jit.run("can-i", "-u", "nobody", "id", "-u")
    assert (yes.returncode, yes.stdout.startswith("✔ yes: web-operator is in force until ")) == (0, True)
    assert agent.asked("plan") == [{"ask": fake.ask("/usr/bin/id", "-u", run_as_user="nobody"), "role": ""}]
    assert jit.run("can-i", "id", "-o", "name").returncode == 0
    agent.on("plan", fake.plan(fake.choice(), fake.choice(role="logs", approvals=0, approvers=[])))
    asked = jit.run("can-i", "id")
    assert asked.returncode == 3
    assert asked.stdout.splitlines()[0].startswith("○ after 1 approval by bob or carol: web-operator (run the web")
    assert "○ not yet, but nobody has to agree: logs (" in asked.stdout
    agent.on("plan", fake.plan(refusals=[{"role": "web", "why": "only mon-fri", "hint": "ask on Monday"}]))
    no = jit.run("can-i", "-r", "web", "-i")
    assert (no.returncode, no.stdout) == (5, "✘ no: web: only mon-fri (ask on Monday)\n")
    assert agent.asked("request") == []


def test_can_i_takes_its_options_before_the_command_and_leaves_the_rest(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.plan(fake.choice()))
    names = jit.run("can-i", "-o", "name", "id", "-o", "json", "--role", "x")
    assert (names.returncode, names.stdout) == (3, "web-operator\n")
    assert agent.asked("plan")[0]["ask"]["argv"] == ["/usr/bin/id", "-o", "json", "--role", "x"]
    assert json.loads(jit.run("can-i", "-o", "json", "id").stdout)["choices"][0]["role"] == "web-operator"
    for words, status in (([], 2), (["no-such-command"], 6), (["-s", "-i"], 2), (["--otp", "1", "id"], 2)):
        assert jit.run("can-i", *words).returncode == status


def test_ls_shows_ends_and_conditions_where_there_are_any(agent: FakeAgent, jit: Jit) -> None:
    ends = fake.now_us() + 20 * _DAY_US
    agent.on(
        "ls",
        fake.plan(
            fake.choice(until=ends, when=["mon-fri 08:00 to 18:00", "from 10.0.0.0/8"], once=True, mfa_fresh=True),
            fake.choice(role="backup", active=True),
        ),
    )
    headings, first, second = jit.run("ls").stdout.splitlines()
    assert headings.split() == ["ROLE", "AS", "TIME", "NEEDS", "UNTIL", "WHEN", "ALLOWS"]
    assert "at most 2 h, for one sudo  reason, a yes from" in first
    assert "mon-fri 08:00 to 18:00; from 10.0.0.0/8" in first
    assert "nothing: it is active" in second


def test_a_fresh_code_is_not_asked_for_again(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan(fake.choice(mfa_fresh=True)))
    agent.on("request", {"ok": True, "request": fake.request()})
    assert jit.run("request", "web-operator", "-m", "deploy", "--no-wait").returncode == 3
    agent.on("ls", fake.plan(fake.choice(mfa_fresh=False)))
    assert jit.run("request", "web-operator", "-m", "deploy", "--no-wait").returncode == 2


def eligibility(role: str, **changes: Any) -> Object:
    return {
        "user": "alice",
        "role": role,
        "kind": "eligible",
        "groups": [],
        "since": 0,
        "until": 0,
        "state": "current",
        "renewed": False,
        "renewable_s": 0,
        "reason": "",
        **changes,
    }


def renewal(**changes: Any) -> Object:
    return {
        "renewal_id": _RENEWAL,
        "user": "alice",
        "role": "dba",
        "state": "pending",
        "asked_at": fake.now_us(),
        "reason": "still on it",
        "until": fake.now_us() + 90 * _DAY_US,
        "approvers": ["bob"],
        "decision": None,
        **changes,
    }


def test_ls_all_shows_what_ends_and_what_can_be_renewed(agent: FakeAgent, jit: Jit) -> None:
    ends = fake.now_us() + _DAY_US
    mine = [
        eligibility("web"),
        eligibility("dba", until=ends, renewable_s=7_776_000),
        eligibility("ops", until=ends, renewable_s=7_776_000, state="over"),
        eligibility("backup", kind="active", renewed=True),
    ]
    agent.on("eligibilities", {"ok": True, "eligibilities": mine, "renewals": [renewal(), renewal(state="denied")]})
    _, web, dba, ops, backup = jit.run("ls", "--all").stdout.splitlines()
    assert web.split() == ["web", "current", "always", "permanent"]
    assert "asked for, until " in dba
    assert dba.endswith(": waits for bob")
    assert ops.endswith("90 d more: jit renew ops")
    assert backup.split()[1:3] == ["current,", "active"]
    assert jit.run("ls", "-a", "-o", "name").stdout == "web\ndba\nops\nbackup\n"
    assert json.loads(jit.run("ls", "-a", "-o", "json").stdout)["renewals"][0]["renewal_id"] == _RENEWAL
    agent.on("eligibilities", {"ok": True, "eligibilities": [], "renewals": []})
    assert jit.run("ls", "--all").stdout == "You are eligible for nothing.\n"


def test_a_renewal_is_asked_for_with_a_reason(agent: FakeAgent, jit: Jit) -> None:
    decided = {"by": "bob", "approved": True, "reason": "", "at": 1}
    agent.on("renew", {"ok": True, "renewal": renewal()})
    done = jit.run("renew", "dba", "-m", "still on it")
    assert (done.returncode, done.stdout) == (0, f"{_RENEWAL}\n")
    assert done.stderr.startswith("dba would last until ")
    assert done.stderr.endswith("; bob decides\n")
    assert agent.asked("renew") == [{"role": "dba", "reason": "still on it"}]
    agent.on("renew", {"ok": True, "renewal": renewal(state="approved", decision=decided)})
    shown = json.loads(jit.run("renew", "dba", "-m", "x", "-o", "json").stdout)["renewal"]
    assert shown["decision"] == decided


def test_a_renewal_without_a_reason_is_asked_for_one_or_refused(agent: FakeAgent, jit: Jit) -> None:
    agent.on("renew", {"ok": True, "renewal": renewal()})
    for words in (["dba"], ["dba", "-m", " "], [], [" "]):
        assert jit.run("renew", *words).returncode == 2
    assert agent.received == []
    session = jit.in_terminal("renew", "dba")
    session.sees("Reason")
    session.types("INC-7")
    assert session.ends() == 0
    assert agent.asked("renew") == [{"role": "dba", "reason": "INC-7"}]


@pytest.mark.parametrize(("code", "status"), [("denied", 5), ("not_found", 6), ("conflict", 7)])
def test_a_renewal_that_is_refused_says_why(agent: FakeAgent, jit: Jit, code: str, status: int) -> None:
    agent.on("renew", fake.error(code, "dba can be renewed from 2027-03-17 on", "wait until then"))
    done = jit.run("renew", "dba", "-m", "x")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == "jit: dba can be renewed from 2027-03-17 on\n  wait until then\n"
