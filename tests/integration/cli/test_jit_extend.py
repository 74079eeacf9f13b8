"""`jit extend`: at once within the role's maximum, past it like a request (SPEC 2.6, 4.2)."""

from __future__ import annotations

import json

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import EXTENSION, GRANT, FakeAgent
from jit_testing.jit_program import Jit

_OTHER = "gnt-7fzz000000000000"
_LATER = fake.now_us() + 3_600_000_000
_EXTENDED = fake.extended(_LATER, decisions=[])
_LACKS_REASON = fake.error("invalid", "past 2 h web-operator wants a reason", "say why it takes longer")
_LACKS_CODE = fake.error("unauthenticated", "past 2 h web-operator wants a one-time code")


def _at_once(agent: FakeAgent) -> None:
    agent.on("status", fake.status(lives=[fake.live()]))
    agent.on("extend", {"ok": True, "request": _EXTENDED})
    agent.on("wait", [fake.waited(_EXTENDED), fake.waited(_EXTENDED, in_force=True)])


def _past_the_maximum(agent: FakeAgent, *then: fake.Line, refusal: fake.Object = _LACKS_REASON) -> None:
    agent.on("status", fake.status(lives=[fake.live()]))
    agent.on("extend", refusal, {"ok": True, "request": fake.extension()})
    agent.on("ls", fake.plan(fake.choice(), fake.choice(role="another", ticket=True)))
    agent.on("wait", [fake.waited(fake.extension()), *then])


def test_within_the_maximum_it_lasts_longer_at_once(agent: FakeAgent, jit: Jit) -> None:
    _at_once(agent)
    # An hour from now, however long ago this module was read.
    extended = fake.extended(fake.now_us() + 3_600_000_000, decisions=[])
    agent.on("extend", {"ok": True, "request": extended})
    agent.on("wait", [fake.waited(extended), fake.waited(extended, in_force=True)])
    done = jit.run("extend", "-d", "30m")
    assert done.stdout.startswith("✔ web-operator on web1 now ends at ")
    assert done.stdout.endswith((" (in 1 h)\n", " (in 59 min)\n"))
    assert (done.stderr, done.returncode) == ("", 0)
    assert agent.asked("extend") == [{"grant": GRANT, "duration_s": 1800, "reason": "", "ticket": "", "otp": ""}]
    assert agent.asked("wait") == [{"request": EXTENSION}]


def test_for_programs(agent: FakeAgent, jit: Jit) -> None:
    _at_once(agent)
    told = json.loads(jit.run("extend", "-o", "json").stdout)
    assert (told["in_force"], told["request"]["extends"], told["request"]["grant"]["not_after"]) == (
        True,
        GRANT,
        _LATER,
    )
    assert jit.run("extend", "-o", "name").stdout == f"{EXTENSION}\n"


def test_it_is_not_called_longer_before_the_host_holds_it(agent: FakeAgent, jit: Jit) -> None:
    _at_once(agent)
    agent.on("wait", [fake.waited(_EXTENDED), fake.error("unavailable", "the server ended the wait")])
    done = jit.run("extend")
    assert (done.stdout, done.returncode) == ("", 69)


def test_longer_time_that_the_host_refuses_is_not_called_granted(agent: FakeAgent, jit: Jit) -> None:
    """S7: the server takes it back, and the grant ends when it did before."""
    _at_once(agent)
    as_before = fake.extended(_LATER - 1_800_000_000, decisions=[])
    agent.on("wait", [fake.waited(_EXTENDED), fake.waited(as_before, in_force=True)])
    done = jit.run("extend")
    assert "web-operator on web1: the host refused the longer time; the grant ends as before" in done.stderr
    assert (done.stdout, done.returncode) == ("", 5)


def test_past_the_maximum_what_the_role_wants_is_asked_for_like_for_a_request(agent: FakeAgent, jit: Jit) -> None:
    _past_the_maximum(agent, fake.waited(_EXTENDED), fake.waited(_EXTENDED, in_force=True))
    session = jit.in_terminal("extend")
    session.sees("past 2 h web-operator wants a reason (say why it takes longer)")
    session.sees("web-operator: run the web servers · 30 min (at most 2 h) · 1 approval by bob or carol")
    session.sees("Reason: ")
    session.types("the restore takes longer")
    session.sees("One-time code: ")
    session.types("123 456")
    session.sees(f"{EXTENSION}: web-operator on web1 for 30 min more")
    session.sees("bob or carol can approve (1 approval needed)")
    session.sees("now ends at")
    assert session.ends() == 0
    first, second = agent.asked("extend")
    assert (first["reason"], first["otp"]) == ("", "")
    assert (second["reason"], second["otp"], second["grant"]) == ("the restore takes longer", "123456", GRANT)


def test_flags_leave_nothing_to_ask(agent: FakeAgent, jit: Jit) -> None:
    _past_the_maximum(agent, fake.waited(_EXTENDED, in_force=True))
    agent.on("extend", {"ok": True, "request": fake.extension()})
    done = jit.run("extend", "-m", "restore", "-t", "INC-7", "--otp", "123 456")
    assert (done.returncode, len(agent.asked("extend"))) == (0, 1)
    [asked] = agent.asked("extend")
    assert (asked["reason"], asked["ticket"], asked["otp"]) == ("restore", "INC-7", "123456")


def test_without_a_terminal_what_is_missing_is_named_by_its_flag(agent: FakeAgent, jit: Jit) -> None:
    _past_the_maximum(agent)
    done = jit.run("extend")
    assert "past 2 h web-operator wants a reason" in done.stderr
    assert "add -m REASON and --otp CODE\n" in done.stderr
    assert (done.stdout, done.returncode, len(agent.asked("extend"))) == ("", 2, 1)


def test_a_wrong_code_may_be_typed_again(agent: FakeAgent, jit: Jit) -> None:
    _past_the_maximum(agent, fake.waited(_EXTENDED, in_force=True))
    wrong = fake.error("unauthenticated", "the code is wrong")
    agent.on("extend", _LACKS_CODE, wrong, {"ok": True, "request": fake.extension()})
    session = jit.in_terminal("extend", "-m", "restore")
    session.sees("One-time code: ")
    session.types("000000")
    session.sees("the code is wrong")
    session.sees("One-time code: ")
    session.types("123456")
    assert session.ends() == 0
    assert [asked["otp"] for asked in agent.asked("extend")] == ["", "000000", "123456"]


@pytest.mark.parametrize("key", ["c", "d", "m"], ids=["Ctrl-C", "EOF", "an empty line"])
def test_no_code_is_a_denial(agent: FakeAgent, jit: Jit, key: str) -> None:
    """S9."""
    _past_the_maximum(agent, refusal=_LACKS_CODE)
    session = jit.in_terminal("extend", "-m", "restore")
    session.sees("One-time code: ")
    session.presses(key)
    session.sees("nothing was asked for")
    assert session.ends() == (130 if key == "c" else 4)
    assert len(agent.asked("extend")) == 1


def test_a_wrong_code_given_as_a_flag_is_not_asked_again(agent: FakeAgent, jit: Jit) -> None:
    _past_the_maximum(agent, refusal=fake.error("unauthenticated", "the code is wrong"))
    done = jit.run("extend", "-m", "restore", "--otp", "000000")
    assert (done.stderr, done.returncode) == ("jit: the code is wrong\n", 4)
    assert len(agent.asked("extend")) == 1


def test_longer_than_the_role_allows_is_refused_without_a_question(agent: FakeAgent, jit: Jit) -> None:
    _past_the_maximum(agent, refusal=fake.error("invalid", "3 h is longer than the role allows"))
    session = jit.in_terminal("extend", "-d", "3h")
    session.sees("3h is longer than web-operator allows")
    session.sees("at most 2 h")
    assert session.ends() == 65


def test_a_role_that_never_extends_says_so(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(lives=[fake.live()]))
    agent.on("extend", fake.error("denied", "web-operator is never extended", "ask again with: jit sudo COMMAND"))
    done = jit.run("extend")
    assert done.stderr == "jit: web-operator is never extended\n  ask again with: jit sudo COMMAND\n"
    assert done.returncode == 5


def test_root_inside_the_grant_is_told_what_is_missing(agent: FakeAgent, jit: Jit) -> None:
    """REVIEW 14: it may extend the grant, and not look at roles."""
    _past_the_maximum(agent)
    agent.on("ls", fake.error("denied", "inside an elevated session only status, extend, drop and doctor work"))
    done = jit.run("extend")
    assert done.stderr == "jit: past 2 h web-operator wants a reason\n  say why it takes longer\n"
    assert done.returncode == 65


def test_ctrl_c_keeps_the_request(agent: FakeAgent, jit: Jit) -> None:
    _past_the_maximum(agent)
    agent.on("extend", {"ok": True, "request": fake.extension()})
    session = jit.in_terminal("extend", "-m", "restore", "--otp", "123456")
    session.sees("waiting for bob or carol")
    session.presses("c")
    session.sees(f"{EXTENSION} stays open until")
    session.sees(f"come back with: jit status -w {EXTENSION}")
    assert session.ends() == 130
    assert agent.asked("cancel") == []


@pytest.mark.parametrize("flag", ["--no-wait", "-n"])
def test_who_does_not_wait_is_told_how_to_come_back(agent: FakeAgent, jit: Jit, flag: str) -> None:
    _past_the_maximum(agent)
    agent.on("extend", {"ok": True, "request": fake.extension()})
    done = jit.run("extend", flag, "-o", "json")
    assert f"jit status -w {EXTENSION}" in done.stderr
    told = json.loads(done.stdout)
    assert (told["in_force"], told["request"]["state"], done.returncode) == (False, "pending", 3)
    assert agent.asked("wait") == []
    # As of `jit request`, the id alone is what a script gets.
    assert jit.run("extend", flag).stdout == f"{EXTENSION}\n"


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (
            fake.extension(state="denied", decisions=[fake.decision(approved=False, reason="use the night")]),
            f'jit: web-operator on web1, extension: denied by bob: "use the night" ({EXTENSION})',
        ),
        (
            fake.extension(state="approved", grant=fake.grant(state="ended", end_reason="expired")),
            f"jit: web-operator on web1, extension: the grant was over first (expired) ({EXTENSION})",
        ),
    ],
    ids=["denied", "too late"],
)
def test_an_extension_that_never_will_be_says_why(agent: FakeAgent, jit: Jit, outcome: fake.Object, says: str) -> None:
    _past_the_maximum(agent, fake.waited(outcome))
    agent.on("extend", {"ok": True, "request": fake.extension()})
    done = jit.run("extend", "-m", "restore", "--otp", "123456")
    assert says in done.stderr.splitlines()
    assert (done.stdout, done.returncode) == ("", 5)


def test_of_several_grants_one_must_be_named(agent: FakeAgent, jit: Jit) -> None:
    _at_once(agent)
    agent.on("status", fake.status(lives=[fake.live(), fake.live(grant=_OTHER, role="dba")]))
    unnamed = jit.run("extend")
    assert f"there are several grants: {GRANT}, {_OTHER}" in unnamed.stderr
    assert unnamed.returncode == 2
    assert jit.run("extend", "7f").returncode == 2
    assert jit.run("extend", "gnt-aaa").returncode == 6
    assert agent.asked("extend") == []
    assert jit.run("extend", "7fz").returncode == 0
    assert agent.asked("extend")[0]["grant"] == _OTHER


def test_without_a_grant_there_is_nothing_to_extend(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status())
    done = jit.run("extend")
    assert "no grant is in force here" in done.stderr
    assert done.returncode == 6
    agent.on("status", fake.status(enforcer_error="no such file"))
    assert jit.run("extend").returncode == 69


def test_a_duration_that_is_none_asks_for_nothing(agent: FakeAgent, jit: Jit) -> None:
    assert jit.run("extend", "-d", "soon").returncode == 65
    assert agent.received == []


def test_asking_again_comes_back_to_the_same_request(agent: FakeAgent, jit: Jit) -> None:
    _past_the_maximum(agent, fake.waited(_EXTENDED, in_force=True))
    agent.on("status", fake.status(lives=[fake.live()], requests=[fake.extension()]))
    done = jit.run("extend")
    assert f"you have asked for this before: {EXTENSION}" in done.stderr
    assert (done.returncode, agent.asked("extend")) == (0, [])


def test_how_far_past_the_maximum_it_goes_is_shown(agent: FakeAgent, jit: Jit) -> None:
    _past_the_maximum(agent)
    far = fake.extension(extends_to=4_000_000_000_000_000, past_max_s=7_200)
    agent.on("extend", {"ok": True, "request": far})
    agent.on("wait", [fake.waited(far), fake.waited(_EXTENDED, in_force=True)])
    done = jit.run("extend", "-m", "restore", "--otp", "123456")
    assert "for 30 min more, until 2096-10-02 07:06:40 UTC; past the role's maximum of 2 h\n" in done.stderr


def test_who_comes_back_waits_for_the_new_end(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(lives=[fake.live()], requests=[fake.extension()]))
    agent.on("wait", [fake.waited(fake.extension()), fake.waited(_EXTENDED, in_force=True)])
    for name in (EXTENSION, GRANT):
        done = jit.run("status", "-w", name)
        assert (done.returncode, "web-operator on web1 now ends at " in done.stderr) == (0, True)
    agent.on("status", fake.status(lives=[fake.live()], requests=[_EXTENDED]))
    assert jit.run("status", "-w", EXTENSION).returncode == 0
    agent.on("status", fake.status(lives=[fake.live()], requests=[fake.extension(state="denied")]))
    assert jit.run("status", "-w", EXTENSION).returncode == 5
