"""`jit doctor`: what is wrong on this host, also without the agent."""

from __future__ import annotations

import json

from jit_testing.fake_agent import FakeAgent
from jit_testing.jit_program import Jit


def test_doctor_shows_the_mend_of_what_is_wrong_and_only_of_that(agent: FakeAgent, jit: Jit) -> None:
    good = {"name": "clock", "ok": True, "detail": "0.1 s apart", "fix": "set it"}
    bad = {"name": "server", "ok": False, "detail": "unreachable since 14:02", "fix": "check the network"}
    agent.on("doctor", {"ok": True, "checks": [good, bad]})
    done = jit.run("doctor")
    assert done.stdout == "✔ clock: 0.1 s apart\n✘ server: unreachable since 14:02\n    mend: check the network\n"
    assert done.returncode == 1
    assert json.loads(jit.run("doctor", "-o", "json").stdout) == {"checks": [good, bad]}
    agent.on("doctor", {"ok": True, "checks": [good]})
    assert jit.run("doctor").returncode == 0


def test_doctor_looks_by_itself_when_the_agent_is_down(jit: Jit) -> None:
    done = jit.run("doctor")
    assert done.stdout.startswith("✘ agent: the jit agent does not answer on ")
    assert "\n    mend: as root: systemctl restart jit-agent.socket jit-agent.service\n" in done.stdout
    for name in ("jit-agent.socket", "jit-enforcer.service", "enrolment", "include line", "sudo"):
        assert f" {name}: " in done.stdout
    assert (done.stderr, done.returncode) == ("", 1)
