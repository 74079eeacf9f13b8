"""`jit sudo` as a person at a terminal meets it (SPEC 4, S9, S12)."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import REQUEST, FakeAgent, HangUp
from jit_testing.jit_program import Jit

_ID = "/usr/bin/id"


def _pending_then(agent: FakeAgent, *lines: fake.Line, choice: fake.Object | None = None) -> None:
    """Script the whole way: one role fits, the request is pending, then these lines."""
    agent.on("plan", fake.plan(choice or fake.choice()))
    agent.on("status", fake.status())
    agent.on("request", {"ok": True, "request": fake.request()})
    agent.on("wait", [fake.waited(fake.request()), *lines])


_IN_FORCE = fake.waited(fake.approved(), in_force=True)


def test_a_live_grant_becomes_sudo_at_once_with_the_resolved_path_and_its_own_status(
    agent: FakeAgent, jit: Jit
) -> None:
    agent.on("plan", fake.plan(live=fake.live()))
    done = jit.run("sudo", "id", "-u")
    assert (done.stdout, done.stderr, done.returncode) == (f"sudo <--> <{_ID}> <-u>\n", "", 7)
    assert agent.received == [{"op": "plan", "role": "", "ask": fake.ask(_ID, "-u")}]


def test_options_of_sudo_reach_the_agent_and_sudo(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.plan(live=fake.live()))
    done = jit.run("sudo", "-nu", "nobody", "--group=games", "-r", "dba", "--exact", "--", "id")
    assert done.stdout == f"sudo <-n> <-u> <nobody> <-g> <games> <--> <{_ID}>\n"
    [asked] = agent.asked("plan")
    assert asked == {"role": "dba", "ask": fake.ask(_ID, run_as_user="nobody", run_as_group="games", exact=True)}


def test_shells_are_asked_for_as_shells(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.plan(live=fake.live()))
    assert jit.run("sudo", "-i").stdout == "sudo <-i>\n"
    assert jit.run("sudo", "-s", "echo", "hi", SHELL="/bin/bash").stdout == "sudo <-s> <--> <echo> <hi>\n"
    assert [asked["ask"] for asked in agent.asked("plan")] == [
        fake.ask(login=True),
        fake.ask("/bin/bash", "-c", "echo hi", shell=True),
    ]


def test_a_group_alone_keeps_the_callers_own_account(agent: FakeAgent, jit: Jit) -> None:
    import pwd

    agent.on("plan", fake.plan(live=fake.live()))
    assert jit.run("sudo", "-g", "games", "id").stdout == f"sudo <-g> <games> <--> <{_ID}>\n"
    assert agent.asked("plan")[0]["ask"]["run_as_user"] == pwd.getpwuid(os.getuid()).pw_name


def test_sudo_gets_back_the_signals_that_python_ignores(agent: FakeAgent, jit: Jit, tmp_path: Path) -> None:
    agent.on("plan", fake.plan(live=fake.live()))
    shows_ignored = tmp_path / "shows-ignored"
    shows_ignored.write_text("#!/bin/sh\nexec grep SigIgn /proc/self/status\n")
    shows_ignored.chmod(0o755)
    done = jit.run("sudo", "id", JIT_SUDO=str(shows_ignored))
    # Other signals may be ignored by whoever runs the tests; that is theirs to pass on.
    ignored_by_python = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert int(done.stdout.split()[1], 16) & ignored_by_python == 0


def test_without_a_sudo_the_reason_is_said(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.plan(live=fake.live()))
    done = jit.run("sudo", "id", JIT_SUDO="/nonexistent/sudo")
    assert done.stderr == "jit: cannot run /nonexistent/sudo: no such file or directory\n  run `jit doctor`\n"
    assert done.returncode == 1


def test_the_whole_way_with_questions(agent: FakeAgent, jit: Jit) -> None:
    decide = threading.Event()
    _pending_then(agent, decide, fake.waited(fake.approved()), _IN_FORCE)
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
        }
    ]
    assert agent.asked("wait") == [{"request": REQUEST}]


def test_flags_leave_nothing_to_ask(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, _IN_FORCE, choice=fake.choice(ticket=True))
    done = jit.run("sudo", "-m", "deploy", "-t", "INC-7", "-d", "1h30m", "--otp", "123456", "id")
    assert (done.stdout, done.returncode) == (f"sudo <--> <{_ID}>\n", 7)
    assert "\x1b" not in done.stderr
    [asked] = agent.asked("request")
    assert (asked["reason"], asked["ticket"], asked["duration_s"], asked["otp"]) == ("deploy", "INC-7", 5400, "123456")


def test_of_several_roles_one_is_chosen(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, _IN_FORCE)
    agent.on("plan", fake.plan(fake.choice(), fake.choice(role="root", reason=False, mfa=False)))
    session = jit.in_terminal("sudo", "id")
    session.sees("2) root: ")
    session.types("3")
    session.sees("Which one [1-2]: ")
    session.types("2")
    assert session.ends() == 7
    assert agent.asked("request")[0]["role"] == "root"


def test_of_several_roles_none_is_chosen_without_a_terminal(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, _IN_FORCE)
    agent.on("plan", fake.plan(fake.choice(), fake.choice(role="root")))
    done = jit.run("sudo", "--exit-codes=extended", "id")
    assert done.stderr == "jit: several roles fit: web-operator, root\n  pick one with -r ROLE\n"
    assert (done.returncode, agent.asked("request")) == (2, [])


@pytest.mark.parametrize("in_terminal", [False, True], ids=["no terminal", "-n in a terminal"])
def test_what_cannot_be_asked_is_named_by_its_flag(agent: FakeAgent, jit: Jit, in_terminal: bool) -> None:
    _pending_then(agent, choice=fake.choice(ticket=True))
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
    _pending_then(agent, choice=fake.choice(reason=False))
    session = jit.in_terminal("sudo", "--exit-codes=extended", "id")
    session.sees("One-time code: ")
    session.presses(key)
    session.sees("nothing was asked for")
    assert session.ends() == (130 if key == "c" else 4)
    assert agent.asked("request") == []


def test_a_wrong_code_may_be_typed_again_twice(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, choice=fake.choice(reason=False))
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
    _pending_then(agent, _IN_FORCE, choice=fake.choice(reason=False))
    agent.on("request", fake.error("unauthenticated", "the code is wrong"), {"ok": True, "request": fake.request()})
    session = jit.in_terminal("sudo", "id")
    session.sees("One-time code: ")
    session.types("000000")
    session.sees("the code is wrong")
    session.sees("One-time code: ")
    session.types("123456")
    assert session.ends() == 7


def test_a_wrong_code_given_as_a_flag_is_not_asked_again(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, choice=fake.choice(reason=False))
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
    _pending_then(agent, _IN_FORCE, choice=fake.choice(mfa=False))
    session = jit.in_terminal("sudo", "id")
    session.sees("Reason: ")
    session.types("dep\x1b[Dloy")
    session.sees("type it again")
    session.sees("Reason: ")
    session.types("deploy")
    assert session.ends() == 7
    assert agent.asked("request")[0]["reason"] == "deploy"


def test_ctrl_c_keeps_the_request_and_says_how_to_come_back(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, choice=fake.choice(reason=False, mfa=False))
    session = jit.in_terminal("sudo", "id")
    session.sees("waiting for bob or carol")
    session.presses("c")
    session.sees(f"{REQUEST} stays open until")
    session.sees(f"take it back with: jit cancel {REQUEST}")
    assert session.ends() == 130
    assert agent.asked("cancel") == []


def test_the_same_command_again_comes_back_to_the_same_request(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, _IN_FORCE)
    agent.on("status", fake.status(requests=[fake.request()]))
    done = jit.run("sudo", "id")
    assert f"you have asked for this before: {REQUEST}" in done.stderr
    assert (done.returncode, agent.asked("request"), agent.asked("wait")) == (7, [], [{"request": REQUEST}])


@pytest.mark.parametrize(
    "other",
    [
        fake.request(ask=fake.ask("/usr/bin/id", "-u")),
        fake.request(host="web2"),
        fake.request(state="denied"),
        fake.request(reason="another"),
        fake.request(once=True),
        fake.request(this_session=True),
        fake.request(starts_at=fake.now_us() + 3_600_000_000),
        fake.approved(grant=fake.grant(state="scheduled"), starts_at=fake.now_us() + 3_600_000_000),
        fake.extension(ask=fake.ask("/usr/bin/id")),
    ],
    ids=[
        "another command",
        "another host",
        "decided",
        "another reason",
        "for one sudo",
        "for one session",
        "for later",
        "scheduled",
        "an extension",
    ],
)
def test_another_request_is_not_come_back_to(agent: FakeAgent, jit: Jit, other: fake.Object) -> None:
    _pending_then(agent, _IN_FORCE)
    agent.on("status", fake.status(requests=[other]))
    assert jit.run("sudo", "-m", "deploy", "--otp", "123456", "id").returncode == 7
    assert len(agent.asked("request")) == 1


@pytest.mark.parametrize("flag", ["--no-wait", "-n"])
def test_who_does_not_wait_is_told_how_to_come_back(agent: FakeAgent, jit: Jit, flag: str) -> None:
    _pending_then(agent)
    words = ("-m", "deploy", "--otp", "123456", flag, "id")
    done = jit.run("sudo", "--exit-codes=extended", *words)
    assert (done.stdout, done.returncode) == ("", 3)
    assert f"jit status -w {REQUEST}" in done.stderr
    assert jit.run("sudo", *words).returncode == 1
    assert agent.asked("wait") == []


def test_a_role_that_needs_nobody_runs_also_without_waiting_for_people(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, _IN_FORCE, choice=fake.choice(approvals=0, approvers=[], reason=False, mfa=False))
    agent.on("request", {"ok": True, "request": fake.approved(decisions=[])})
    assert jit.run("sudo", "-n", "id").stdout == f"sudo <-n> <--> <{_ID}>\n"


@pytest.mark.parametrize(
    ("outcome", "says", "status"),
    [
        (
            fake.request(state="denied", decisions=[fake.decision(approved=False, reason="use the replica")]),
            f'jit: web-operator on web1: denied by bob: "use the replica" ({REQUEST})',
            5,
        ),
        (fake.request(state="lapsed"), f"jit: web-operator on web1: nobody decided in time ({REQUEST})", 5),
        (fake.request(state="cancelled"), f"jit: web-operator on web1: cancelled ({REQUEST})", 5),
        (
            fake.approved(grant=fake.grant(state="refused", end_reason="beyond_ceiling")),
            f"jit: web-operator on web1: the host refused the grant: beyond_ceiling ({REQUEST})",
            78,
        ),
        (
            fake.approved(
                starts_at=fake.now_us(),
                grant=fake.grant(state="refused", end_reason="a is locked: x (by c)"),
            ),
            f"jit: web-operator on web1: not allowed when it was to start: a is locked: x (by c) ({REQUEST})",
            5,
        ),
        (
            fake.approved(
                starts_at=fake.now_us(), grant=fake.grant(state="refused", end_reason="wrong_user: uid 1001 is bob")
            ),
            f"jit: web-operator on web1: the host refused the grant: wrong_user: uid 1001 is bob ({REQUEST})",
            78,
        ),
        (
            fake.approved(grant=fake.grant(state="ended", end_reason="revoked")),
            f"jit: web-operator on web1: over before it began (revoked) ({REQUEST})",
            5,
        ),
    ],
    ids=[
        "denied",
        "lapsed",
        "cancelled",
        "refused by the host",
        "refused at its start",
        "by the host at it",
        "revoked",
    ],
)
def test_an_end_without_a_grant_never_runs_sudo(
    agent: FakeAgent, jit: Jit, outcome: fake.Object, says: str, status: int
) -> None:
    _pending_then(agent, fake.waited(outcome), choice=fake.choice(reason=False, mfa=False))
    done = jit.run("sudo", "--exit-codes=extended", "id")
    assert (done.stdout, done.returncode) == ("", status)
    assert says in done.stderr.splitlines()
    assert jit.run("sudo", "id").returncode == 1


def test_a_restart_of_the_agent_is_survived(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, choice=fake.choice(reason=False, mfa=False))
    agent.on("wait", [fake.waited(fake.request()), HangUp()], [_IN_FORCE])
    done = jit.run("sudo", "id")
    assert "the jit agent closed the connection; trying again" in done.stderr
    assert (done.returncode, len(agent.asked("wait"))) == (7, 2)


def test_an_error_while_waiting_says_that_the_request_stays_open(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent, fake.error("unavailable", "the server ended the wait"), choice=fake.choice(mfa=False))
    done = jit.run("sudo", "--exit-codes=extended", "-m", "deploy", "id")
    assert done.stderr.splitlines()[-2:] == [
        "jit: the server ended the wait",
        f"  {REQUEST} stays open; come back with: the same command again",
    ]
    assert done.returncode == 69


def test_who_said_yes_so_far_is_shown(agent: FakeAgent, jit: Jit) -> None:
    half = fake.request(approvals_needed=2, decisions=[fake.decision()])
    _pending_then(agent, fake.waited(half), {}, fake.waited(half), _IN_FORCE)
    done = jit.run("sudo", "-m", "deploy", "--otp", "123456", "id")
    assert done.stderr.count("approved by bob (1 of 2)\n") == 1


def test_a_refusal_is_shown_with_what_would_work(agent: FakeAgent, jit: Jit) -> None:
    refusal = {"role": "dba", "why": "does not allow /usr/bin/id", "hint": "it allows: /usr/bin/psql"}
    agent.on("plan", fake.plan(refusals=[refusal]))
    agent.on("status", fake.status())
    done = jit.run("sudo", "--exit-codes=extended", "id")
    assert done.stderr == "jit: dba: does not allow /usr/bin/id\n  it allows: /usr/bin/psql\n"
    assert done.returncode == 5


def test_longer_than_the_role_allows_is_refused_before_any_question(agent: FakeAgent, jit: Jit) -> None:
    _pending_then(agent)
    done = jit.run("sudo", "--exit-codes=extended", "-d", "3h", "id")
    assert done.stderr == "jit: 3h is longer than web-operator allows\n  at most 2 h\n"
    assert (done.returncode, agent.asked("request")) == (65, [])


def test_the_agents_errors_keep_their_status(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.error("unavailable", "the server cannot be reached", "try again later"))
    done = jit.run("sudo", "--exit-codes=extended", "id")
    assert done.stderr == "jit: the server cannot be reached\n  try again later\n"
    assert done.returncode == 69
    assert jit.run("sudo", "id").returncode == 1


def test_one_sudo_in_one_session_is_asked_for_as_such(agent: FakeAgent, jit: Jit) -> None:
    narrow = {"once": True, "this_session": True}
    agent.on("plan", fake.plan(fake.choice(reason=False, mfa=False)), fake.plan(live=fake.live(session=16)))
    agent.on("status", fake.status())
    agent.on("request", {"ok": True, "request": fake.request(**narrow)})
    agent.on("wait", [fake.waited(fake.approved(**narrow), in_force=True)])
    done = jit.run("sudo", "--once", "--this-session", "id")
    assert (done.stdout, done.returncode) == (f"sudo <--> <{_ID}>\n", 7)
    [asked] = agent.asked("request")
    assert (asked["once"], asked["this_session"], asked["starts_at"]) == (True, True, 0)


def test_coming_back_from_another_session_does_not_run_into_a_refusal_of_sudo(agent: FakeAgent, jit: Jit) -> None:
    asked_before = fake.request(this_session=True)
    agent.on("plan", fake.plan(fake.choice(reason=False, mfa=False)))
    agent.on("status", fake.status(requests=[asked_before]))
    agent.on("wait", [fake.waited(fake.approved(this_session=True), in_force=True)])
    done = jit.run("sudo", "--exit-codes=extended", "--this-session", "id")
    assert f"jit: {REQUEST} is for the login session it was asked in, which is not this one\n" in done.stderr
    assert (done.stdout, done.returncode, agent.asked("request")) == ("", 5, [])


@pytest.mark.parametrize(("left_s", "says"), [(3, True), (60, False)])
def test_a_grant_about_to_end_is_used_and_said_to_end(agent: FakeAgent, jit: Jit, left_s: int, says: bool) -> None:
    agent.on("plan", fake.plan(live=fake.live(not_after=fake.now_us() + left_s * 1_000_000)))
    done = jit.run("sudo", "id")
    assert (done.stdout, done.returncode) == (f"sudo <--> <{_ID}>\n", 7)
    assert (f"to go on: jit extend {fake.GRANT}\n" in done.stderr) is says


def test_nothing_narrower_is_asked_for_while_a_grant_covers_it(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.plan(live=fake.live()))
    done = jit.run("sudo", "--once", "id")
    assert done.stderr == "web-operator is in force already and covers this; --once changes nothing\n"
    assert (done.returncode, agent.asked("request")) == (7, [])
