"""`jit drop`: a grant is given back, and called gone only when it is (SPEC 4)."""

from __future__ import annotations

import json

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import GRANT, REQUEST, FakeAgent
from jit_testing.jit_program import Jit

_OTHER = "gnt-7fzz000000000000"


def test_the_only_grant_is_given_back_without_naming_it(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(lives=[fake.live()], server_error="down"))
    agent.on("drop", {"ok": True, "dropped": [fake.proof(killed=2)]})
    done = jit.run("drop")
    assert (done.stdout, done.returncode) == (f"✔ {GRANT} (web-operator) is given back, 2 processes ended\n", 0)
    assert agent.asked("drop") == [{"grant": GRANT}]


def test_what_had_left_a_grant_is_named_when_it_is_given_back(agent: FakeAgent, jit: Jit) -> None:
    leftovers = [{"pid": 77, "command": "sleep\x1b[2J 9", "killed": False}, {"pid": 78, "command": "x", "killed": True}]
    agent.on("status", fake.status(lives=[fake.live()]))
    agent.on("drop", {"ok": True, "dropped": [fake.proof(leftovers=leftovers)]})
    done = jit.run("drop")
    assert done.stderr.splitlines() == [
        "  it had left the grant and is still running: process 77, sleep\\x1b[2J 9",
        "  it had left the grant and is ended: process 78, x",
    ]
    assert done.returncode == 0
    [dropped] = json.loads(jit.run("drop", "-o", "json").stdout)["dropped"]
    assert (dropped["grant"], len(dropped["leftovers"])) == (GRANT, 2)
    assert jit.run("drop", "--all", "-o", "name").stdout == f"{GRANT}\n"


def test_of_several_grants_one_must_be_named(agent: FakeAgent, jit: Jit) -> None:
    request = fake.approved()
    agent.on("status", fake.status(lives=[fake.live(), fake.live(grant=_OTHER, role="dba")], requests=[request]))
    agent.on("drop", {"ok": True, "dropped": [fake.proof()]})
    done = jit.run("drop")
    assert f"there are several grants: {GRANT}, {_OTHER}" in done.stderr
    assert (done.returncode, agent.asked("drop")) == (2, [])
    assert jit.run("drop", "7f").returncode == 2
    assert jit.run("drop", "gnt-aaa").returncode == 6
    assert agent.asked("drop") == []
    jit.run("drop", "7fz")
    jit.run("drop", REQUEST)
    jit.run("drop", "--all")
    assert [asked["grant"] for asked in agent.asked("drop")] == [_OTHER, GRANT, ""]


def test_nothing_to_give_back_is_no_error(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status())
    agent.on("drop", {"ok": True, "dropped": []})
    for words in (["drop"], ["drop", "--all"]):
        done = jit.run(*words)
        assert (done.stderr, done.returncode) == ("nothing to give back: no grant is in force here\n", 0)


@pytest.mark.parametrize("lacks", ["scope_empty", "rule_removed"])
def test_a_grant_that_left_something_behind_is_not_called_gone(agent: FakeAgent, jit: Jit, lacks: str) -> None:
    agent.on("status", fake.status(lives=[fake.live()]))
    agent.on("drop", {"ok": True, "dropped": [fake.proof(**{lacks: False})]})
    done = jit.run("drop")
    assert f"{GRANT} is not fully gone yet" in done.stderr
    assert (done.stdout, done.returncode) == ("", 69)
