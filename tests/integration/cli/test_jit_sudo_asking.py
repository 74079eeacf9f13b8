"""What `jit sudo` asks before it asks for a right: role, reason, ticket, code (SPEC 4, S9, S12)."""

from __future__ import annotations

import threading

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import REQUEST, FakeAgent
from jit_testing.jit_program import Jit
from jit_testing.pending_request import IN_FORCE, pending_then

_ID = "/usr/bin/id"


def test_the_whole_way_with_questions(agent: FakeAgent, jit: Jit) -> None:
    decide = threading.Event()
    pending_then(agent, decide, fake.waited(fake.approved()), IN_FORCE)
    session = jit.in_terminal("sudo", "id")
    session.sees("web-operator: run the web servers · 30 min (at most 2 h) · 1 approval by bob or carol")
    session.sees("Reason: ")
    session.types("deploy INC-7")
    session.sees("One-time code: ")
    session.types("123 456")
    session.sees("bob or carol can approve (1 approval needed)")
    session.sees("Ctrl-C leaves; the request stays")
    session.sees("waiting for bob or carol")
    decide.set()
    session.sees("approved by bob")
    session.sees("web-operator is in force until")
    session.sees(f"sudo <--> <{_ID}>")
    assert session.ends() == 7
    assert agent.asked("request") == [
        {
            "role": "web-operator",
            "ask": fake.ask(_ID),
            "duration_s": 0,
            "reason": "deploy INC-7",
            "ticket": "",
            "otp": "123456",
            "once": False,
            "this_session": False,
            "starts_at": 0,
            "hosts": [],
            "dry_run": False,
        }
    ]
    assert agent.asked("wait") == [{"request": REQUEST}]


def test_flags_leave_nothing_to_ask(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, IN_FORCE, choice=fake.choice(ticket=True))
    done = jit.run("sudo", "-m", "deploy", "-t", "INC-7", "-d", "1h30m", "--otp", "123456", "id")
    assert (done.stdout, done.returncode) == (f"sudo <--> <{_ID}>\n", 7)
    assert "\x1b" not in done.stderr
    [asked] = agent.asked("request")
    assert (asked["reason"], asked["ticket"], asked["duration_s"], asked["otp"]) == ("deploy", "INC-7", 5400, "123456")


def test_of_several_roles_one_is_chosen(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, IN_FORCE)
    agent.on("plan", fake.plan(fake.choice(), fake.choice(role="root", reason=False, mfa=False)))
    session = jit.in_terminal("sudo", "id")
    session.sees("2) root: ")
    session.types("3")
    session.sees("Which one [1-2]: ")
    session.types("2")
    assert session.ends() == 7
    assert agent.asked("request")[0]["role"] == "root"


def test_of_several_roles_none_is_chosen_without_a_terminal(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, IN_FORCE)
    agent.on("plan", fake.plan(fake.choice(), fake.choice(role="root")))
    done = jit.run("sudo", "--exit-codes=extended", "id")
    assert done.stderr == "jit: several roles fit: web-operator, root\n  pick one with -r ROLE\n"
    assert (done.returncode, agent.asked("request")) == (2, [])


@pytest.mark.parametrize("in_terminal", [False, True], ids=["no terminal", "-n in a terminal"])
def test_what_cannot_be_asked_is_named_by_its_flag(agent: FakeAgent, jit: Jit, in_terminal: bool) -> None:
    pending_then(agent, choice=fake.choice(ticket=True))
    if in_terminal:
        session = jit.in_terminal("sudo", "-n", "id")
        session.sees("add -m REASON and -t TICKET and --otp CODE")
        assert session.ends() == 1
    else:
        done = jit.run("sudo", "id")
        assert "add -m REASON and -t TICKET and --otp CODE\n" in done.stderr
        assert done.returncode == 1
    assert agent.asked("request") == []


@pytest.mark.parametrize("key", ["c", "d", "m"], ids=["Ctrl-C", "EOF", "an empty line"])
def test_no_code_is_a_denial(agent: FakeAgent, jit: Jit, key: str) -> None:
    pending_then(agent, choice=fake.choice(reason=False))
    session = jit.in_terminal("sudo", "--exit-codes=extended", "id")
    session.sees("One-time code: ")
    session.presses(key)
    session.sees("nothing was asked for")
    assert session.ends() == (130 if key == "c" else 4)
    assert agent.asked("request") == []


def test_a_wrong_code_may_be_typed_again_twice(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, choice=fake.choice(reason=False))
    agent.on("request", fake.error("unauthenticated", "the code is wrong", "3 tries left"))
    session = jit.in_terminal("sudo", "--exit-codes=extended", "id")
    for code in ("000000", "111111", "222222"):
        session.sees("One-time code: ")
        session.types(code)
        session.sees("the code is wrong")
        session.sees("3 tries left")
    assert session.ends() == 4
    assert [asked["otp"] for asked in agent.asked("request")] == ["000000", "111111", "222222"]


def test_a_right_code_after_a_wrong_one_goes_on(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, IN_FORCE, choice=fake.choice(reason=False))
    agent.on("request", fake.error("unauthenticated", "the code is wrong"), {"ok": True, "request": fake.request()})
    session = jit.in_terminal("sudo", "id")
    session.sees("One-time code: ")
    session.types("000000")
    session.sees("the code is wrong")
    session.sees("One-time code: ")
    session.types("123456")
    assert session.ends() == 7


def test_a_wrong_code_given_as_a_flag_is_not_asked_again(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, choice=fake.choice(reason=False))
    agent.on("request", fake.error("unauthenticated", "the code is wrong"))
    session = jit.in_terminal("sudo", "--otp", "000000", "id")
    session.sees("the code is wrong")
    assert session.ends() == 1
    assert len(agent.asked("request")) == 1


def test_without_a_second_factor_the_way_to_one_is_shown(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.plan(fake.choice(), mfa_enrolled=False))
    agent.on("status", fake.status())
    done = jit.run("sudo", "--exit-codes=extended", "-m", "x", "--otp", "123456", "id")
    assert done.returncode == 4
    assert "jit mfa enroll" in done.stderr


def test_control_characters_in_an_answer_are_not_sent(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, IN_FORCE, choice=fake.choice(mfa=False))
    session = jit.in_terminal("sudo", "id")
    session.sees("Reason: ")
    session.types("dep\x1b[Dloy")
    session.sees("type it again")
    session.sees("Reason: ")
    session.types("deploy")
    assert session.ends() == 7
    assert agent.asked("request")[0]["reason"] == "deploy"


def test_longer_than_the_role_allows_is_refused_before_any_question(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent)
    done = jit.run("sudo", "--exit-codes=extended", "-d", "3h", "id")
    assert done.stderr == "jit: 3h is longer than web-operator allows\n  at most 2 h\n"
    assert (done.returncode, agent.asked("request")) == (65, [])
