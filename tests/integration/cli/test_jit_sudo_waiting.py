"""`jit sudo` while its request is undecided: waiting, leaving, coming back, and every end without a grant (SPEC 4)."""

from __future__ import annotations

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import REQUEST, FakeAgent, HangUp
from jit_testing.jit_program import Jit
from jit_testing.pending_request import IN_FORCE, pending_then

_ID = "/usr/bin/id"


def test_ctrl_c_keeps_the_request_and_says_how_to_come_back(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, choice=fake.choice(reason=False, mfa=False))
    session = jit.in_terminal("sudo", "id")
    session.sees("waiting for bob or carol")
    session.presses("c")
    session.sees(f"{REQUEST} stays open until")
    session.sees(f"take it back with: jit cancel {REQUEST}")
    assert session.ends() == 130
    assert agent.asked("cancel") == []


def test_the_same_command_again_comes_back_to_the_same_request(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, IN_FORCE)
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
    pending_then(agent, IN_FORCE)
    agent.on("status", fake.status(requests=[other]))
    assert jit.run("sudo", "-m", "deploy", "--otp", "123456", "id").returncode == 7
    assert len(agent.asked("request")) == 1


@pytest.mark.parametrize("flag", ["--no-wait", "-n"])
def test_who_does_not_wait_is_told_how_to_come_back(agent: FakeAgent, jit: Jit, flag: str) -> None:
    pending_then(agent)
    words = ("-m", "deploy", "--otp", "123456", flag, "id")
    done = jit.run("sudo", "--exit-codes=extended", *words)
    assert (done.stdout, done.returncode) == ("", 3)
    assert f"jit status -w {REQUEST}" in done.stderr
    assert jit.run("sudo", *words).returncode == 1
    assert agent.asked("wait") == []


def test_a_role_that_needs_nobody_runs_also_without_waiting_for_people(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, IN_FORCE, choice=fake.choice(approvals=0, approvers=[], reason=False, mfa=False))
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
    pending_then(agent, fake.waited(outcome), choice=fake.choice(reason=False, mfa=False))
    done = jit.run("sudo", "--exit-codes=extended", "id")
    assert (done.stdout, done.returncode) == ("", status)
    assert says in done.stderr.splitlines()
    assert jit.run("sudo", "id").returncode == 1


def test_a_restart_of_the_agent_is_survived(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, choice=fake.choice(reason=False, mfa=False))
    agent.on("wait", [fake.waited(fake.request()), HangUp()], [IN_FORCE])
    done = jit.run("sudo", "id")
    assert "the jit agent closed the connection; trying again" in done.stderr
    assert (done.returncode, len(agent.asked("wait"))) == (7, 2)


def test_an_error_while_waiting_says_that_the_request_stays_open(agent: FakeAgent, jit: Jit) -> None:
    pending_then(agent, fake.error("unavailable", "the server ended the wait"), choice=fake.choice(mfa=False))
    done = jit.run("sudo", "--exit-codes=extended", "-m", "deploy", "id")
    assert done.stderr.splitlines()[-2:] == [
        "jit: the server ended the wait",
        f"  {REQUEST} stays open; come back with: the same command again",
    ]
    assert done.returncode == 69


def test_who_said_yes_so_far_is_shown(agent: FakeAgent, jit: Jit) -> None:
    half = fake.request(approvals_needed=2, decisions=[fake.decision()])
    pending_then(agent, fake.waited(half), {}, fake.waited(half), IN_FORCE)
    done = jit.run("sudo", "-m", "deploy", "--otp", "123456", "id")
    assert done.stderr.count("approved by bob (1 of 2)\n") == 1


def test_coming_back_from_another_session_does_not_run_into_a_refusal_of_sudo(agent: FakeAgent, jit: Jit) -> None:
    asked_before = fake.request(this_session=True)
    agent.on("plan", fake.plan(fake.choice(reason=False, mfa=False)))
    agent.on("status", fake.status(requests=[asked_before]))
    agent.on("wait", [fake.waited(fake.approved(this_session=True), in_force=True)])
    done = jit.run("sudo", "--exit-codes=extended", "--this-session", "id")
    assert f"jit: {REQUEST} is for the login session it was asked in, which is not this one\n" in done.stderr
    assert (done.stdout, done.returncode, agent.asked("request")) == ("", 5, [])
