"""`jit mfa`: the second factor, enrolled in a terminal and without one (S9)."""

from __future__ import annotations

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import FakeAgent
from jit_testing.jit_program import Jit


def test_a_second_factor_is_enrolled_in_the_terminal(agent: FakeAgent, jit: Jit) -> None:
    agent.on("mfa_begin", {"ok": True, "uri": "otpauth://totp/jit:alice?secret=X", "qr": ["█▀█"]})
    agent.on("mfa_confirm", fake.error("unauthenticated", "the code is wrong"), {"ok": True})
    session = jit.in_terminal("mfa", "enroll")
    session.sees("Enrolment token: ")
    session.types("tok-123")
    session.sees("█▀█")
    assert "tok-123" not in session.screen.before
    session.sees("otpauth://totp/jit:alice?secret=X")
    session.sees("Code it shows now: ")
    session.types("000000")
    session.sees("the code is wrong")
    session.sees("Code it shows now: ")
    session.types("123 456")
    session.sees("your second factor is enrolled")
    assert session.ends() == 0
    assert agent.asked("mfa_confirm") == [{"token": "tok-123", "otp": "000000"}, {"token": "tok-123", "otp": "123456"}]


@pytest.mark.parametrize(("key", "status"), [("d", 4), ("m", 4), ("c", 130)], ids=["EOF", "an empty line", "Ctrl-C"])
def test_without_a_code_nothing_is_enrolled(agent: FakeAgent, jit: Jit, key: str, status: int) -> None:
    agent.on("mfa_begin", {"ok": True, "uri": "otpauth://totp/x", "qr": []})
    session = jit.in_terminal("mfa", "enroll", "--token", "t")
    session.sees("Code it shows now: ")
    session.presses(key)
    assert session.ends() == status
    assert agent.asked("mfa_confirm") == []


def test_a_second_factor_is_enrolled_in_two_steps_without_a_terminal(agent: FakeAgent, jit: Jit) -> None:
    agent.on("mfa_begin", {"ok": True, "uri": "otpauth://totp/x", "qr": []})
    agent.on("mfa_confirm", {"ok": True})
    assert jit.run("mfa", "enroll").returncode == 2
    shown = jit.run("mfa", "enroll", "--token", "t")
    assert (shown.stdout, shown.returncode) == ("otpauth://totp/x\n", 3)
    assert jit.run("mfa", "enroll", "--token", "t", "--otp", "123456").returncode == 0
    assert jit.run("mfa", "remove").returncode == 2
    assert len(agent.asked("mfa_begin")) == 1
