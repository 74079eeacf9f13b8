"""`jit ls`, `request` and `cancel`: what may be asked for, asking for it early, and taking it back (SPEC 4)."""

from __future__ import annotations

import json
import threading

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import REQUEST, FakeAgent
from jit_testing.jit_program import Jit


def test_ls_says_what_each_role_needs(agent: FakeAgent, jit: Jit) -> None:
    agent.on(
        "ls",
        fake.plan(
            fake.choice(commands=["/usr/bin/id"]),
            fake.choice(role="root", commands=["ALL"], approvals=2, approvers=["bob", "carol"], ticket=True),
            fake.choice(
                role="logs",
                mfa=False,
                reason=False,
                approvals=0,
                run_as_users=["root", "adm"],
                commands=["/usr/bin/id"],
            ),
            refusals=[{"role": "dba", "why": "not eligible since Monday", "hint": "ask carol"}],
            mfa_enrolled=False,
        ),
    )
    done = jit.run("ls")
    assert done.stdout.splitlines() == [
        "ROLE          AS         TIME                 NEEDS                                               ALLOWS",
        "web-operator  root       30 min, at most 2 h  reason, code, a yes from bob or carol               /usr/bin/id",
        "root          root       30 min, at most 2 h  reason, ticket, code, a yes from 2 of bob or carol  everything",
        "logs          root, adm  30 min, at most 2 h  nothing                                             /usr/bin/id",
    ]
    assert "dba: not eligible since Monday (ask carol)\n" in done.stderr
    assert "jit mfa enroll" in done.stderr
    assert jit.run("ls", "-o", "name").stdout == "web-operator\nroot\nlogs\n"
    assert [choice["role"] for choice in json.loads(jit.run("ls", "-o", "json").stdout)["choices"]] == [
        "web-operator",
        "root",
        "logs",
    ]


def test_ls_without_a_role_says_so(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan())
    assert jit.run("ls").stdout == "There is nothing you may ask for on this host.\n"


def test_a_role_is_asked_for_and_waited_for(agent: FakeAgent, jit: Jit) -> None:
    decide = threading.Event()
    decide.set()
    agent.on("ls", fake.plan(fake.choice(), fake.choice(role="root")))
    agent.on("request", {"ok": True, "request": fake.request()})
    agent.on("wait", [fake.waited(fake.request()), decide, fake.waited(fake.approved(), in_force=True)])
    words = ("web-operator", "-m", "deploy", "--otp", "123456", "-d", "1h", "-u", "nobody", "--", "id", "-u")
    done = jit.run("request", *words)
    assert (done.stdout, done.returncode) == (f"{REQUEST}\n", 0)
    [asked] = agent.asked("request")
    assert asked == {
        "role": "web-operator",
        "ask": fake.ask("/usr/bin/id", "-u", run_as_user="nobody"),
        "duration_s": 3600,
        "reason": "deploy",
        "ticket": "",
        "otp": "123456",
        "once": False,
        "this_session": False,
        "starts_at": 0,
        "hosts": [],
        "dry_run": False,
    }


def test_a_role_may_be_asked_for_without_a_command_and_without_waiting(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan(fake.choice(mfa=False, reason=False)))
    agent.on("request", {"ok": True, "request": fake.request()})
    done = jit.run("request", "web-operator", "--no-wait")
    assert (done.stdout, done.returncode) == (f"{REQUEST}\n", 3)
    assert f"jit status -w {REQUEST}" in done.stderr
    assert agent.asked("request")[0]["ask"] == fake.ask()


def test_a_role_is_asked_for_a_time_to_come_and_that_time_is_said_back_in_full(agent: FakeAgent, jit: Jit) -> None:
    at = fake.now_us() // 1_000_000 * 1_000_000 + 7_200_000_000
    scheduled = fake.approved(starts_at=at, grant=fake.grant(state="scheduled", not_before=at))
    agent.on("ls", fake.plan(fake.choice(mfa=False, reason=False)))
    agent.on("request", {"ok": True, "request": fake.request(starts_at=at)})
    agent.on("wait", [fake.waited(fake.request(starts_at=at)), fake.waited(scheduled)])
    done = jit.run("request", "web-operator", "--at", "+2h", TZ="Asia/Kathmandu")
    # It is approved, and that is what was waited for.
    assert (done.stdout, done.returncode) == (f"{REQUEST}\n", 0)
    assert abs(agent.asked("request")[0]["starts_at"] - at) < 60_000_000
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("it shall start at ")
    assert first.endswith(" +0545 (+0545), in 2 h")
    assert last.startswith("✔ web-operator starts at ")
    for_programs = json.loads(jit.run("request", "web-operator", "--at", "+2h", "-o", "json").stdout)
    assert (for_programs["request"]["grant"]["state"], for_programs["in_force"]) == ("scheduled", False)


@pytest.mark.parametrize(
    ("at", "because"),
    [
        ("2020-01-01T00:00", "is past: it was Wed 2020-01-01 00:00:00 +0000 (UTC)"),
        ("+31d", "is more than 30 days ahead"),
        ("noon", "'noon' is not a time to start at"),
    ],
)
def test_a_start_that_cannot_be_is_refused_before_anything_is_asked(
    agent: FakeAgent, jit: Jit, at: str, because: str
) -> None:
    done = jit.run("request", "web-operator", "--at", at)
    assert because in done.stderr
    assert (done.returncode, agent.received) == (65, [])


def test_a_role_that_is_not_mine_is_guessed_or_refused_with_the_reason(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan(fake.choice(), refusals=[{"role": "dba", "why": "locked", "hint": "ask carol"}]))
    unknown = jit.run("request", "web-operater")
    assert unknown.stderr == "jit: you have no role 'web-operater' on this host\n  did you mean web-operator?\n"
    assert unknown.returncode == 6
    refused = jit.run("request", "dba")
    assert (refused.stderr, refused.returncode) == ("jit: dba: locked\n  ask carol\n", 5)
    assert jit.run("request").returncode == 2
    assert agent.asked("request") == []


def test_a_request_is_taken_back_by_a_start_of_its_id(agent: FakeAgent, jit: Jit) -> None:
    agent.on("cancel", {"ok": True, "request": fake.request(state="cancelled")})
    assert jit.run("cancel", "req-7f").stdout == f"{REQUEST} (web-operator on web1) is cancelled\n"
    assert agent.asked("cancel") == [{"request": "req-7f"}]
    assert jit.run("cancel", "req-7f", "-o", "name").stdout == f"{REQUEST}\n"
    assert json.loads(jit.run("cancel", "7f", "-o", "json").stdout)["request"]["state"] == "cancelled"
    agent.on("cancel", fake.error("conflict", f"{REQUEST} is already approved", "jit drop"))
    done = jit.run("cancel", "req-7f")
    assert (done.stderr, done.returncode) == (f"jit: {REQUEST} is already approved\n  jit drop\n", 7)
    assert jit.run("cancel").returncode == 2
