"""`jit sudo` with a grant becomes sudo; without one that could be, it says why (SPEC 4)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import FakeAgent
from jit_testing.jit_program import Jit

_ID = "/usr/bin/id"


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


def test_a_refusal_is_shown_with_what_would_work(agent: FakeAgent, jit: Jit) -> None:
    refusal = {"role": "dba", "why": "does not allow /usr/bin/id", "hint": "it allows: /usr/bin/psql"}
    agent.on("plan", fake.plan(refusals=[refusal]))
    agent.on("status", fake.status())
    done = jit.run("sudo", "--exit-codes=extended", "id")
    assert done.stderr == "jit: dba: does not allow /usr/bin/id\n  it allows: /usr/bin/psql\n"
    assert done.returncode == 5


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
