"""S12: no text from outside reaches a terminal unescaped, whichever verb shows it."""

from __future__ import annotations

import pytest

from jit_testing import fake_agent as fake
from jit_testing import fake_sessions
from jit_testing.fake_agent import FakeAgent
from jit_testing.jit_program import Jit

# Set the clipboard, clear the screen, a C1 introducer, a reversed word, DEL, a new line, nothing at all.
_HOSTILE = "x\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202egnp\u200b\x7f\nroot"
_FORBIDDEN = set("\x1b\x07\x9b\u202e\u200b\x7f")


def _script(agent: FakeAgent) -> None:
    hostile_request = fake.request(
        role=_HOSTILE,
        host=_HOSTILE,
        reason=_HOSTILE,
        ticket=_HOSTILE,
        approvers=[_HOSTILE],
        ask=fake.ask("/usr/bin/id", _HOSTILE),
        decisions=[fake.decision(by=_HOSTILE, approved=False, reason=_HOSTILE)],
        state="denied",
        batch=[
            dict.fromkeys(("host", "request_id", "state", "grant_state", "why"), _HOSTILE),
            {"host": _HOSTILE, "request_id": "", "state": "", "grant_state": "", "why": _HOSTILE},
        ],
    )
    hostile_choice = fake.choice(
        role=_HOSTILE,
        description=_HOSTILE,
        approvers=[_HOSTILE],
        commands=[_HOSTILE],
        run_as_users=[_HOSTILE],
        reason=False,
        mfa=False,
        when=[_HOSTILE],
    )
    refusal = {"role": _HOSTILE, "why": _HOSTILE, "hint": _HOSTILE}
    agent.on("plan", fake.plan(hostile_choice, refusals=[refusal]))
    agent.on("ls", fake.plan(hostile_choice, refusals=[refusal]))
    agent.on("request", {"ok": True, "request": hostile_request})
    agent.on("wait", [fake.waited(hostile_request)])
    agent.on("status", fake.status(lives=[fake.live(role=_HOSTILE, commands=[])], requests=[hostile_request]))
    agent.on("cancel", fake.error("conflict", _HOSTILE, _HOSTILE))
    agent.on("drop", {"ok": True, "dropped": [fake.proof(grant=_HOSTILE)]})
    agent.on("doctor", {"ok": True, "checks": [{"name": _HOSTILE, "ok": False, "detail": _HOSTILE, "fix": _HOSTILE}]})
    hostile = dict.fromkeys(
        ("session_id", "grant_id", "role", "host", "run_as_user", "command", "cwd", "tty", "signal", "record",
         "recording", "incomplete", "order", "reject_reason"), _HOSTILE,
    )  # fmt: skip
    session = fake_sessions.session(**hostile, argv=["id", _HOSTILE], watchers=[_HOSTILE])
    ran = fake_sessions.subcommand(_HOSTILE, _HOSTILE, cwd=_HOSTILE, run_as_user=_HOSTILE, rejected=_HOSTILE)
    listed = fake_sessions.sessions(session, fake_sessions.session(state=_HOSTILE, argv=[], command=_HOSTILE))
    agent.on("log", {**fake_sessions.details(session, ran, environment=[_HOSTILE]), **listed})
    agent.on("mfa_begin", {"ok": True, "uri": _HOSTILE, "qr": ["█" + _HOSTILE]})
    entry: fake.Object = dict.fromkeys(("role", "kind", "state", "reason", "renewal_id"), _HOSTILE)
    entry |= {"since": 0, "until": 0, "renewed": True, "renewable_s": 1, "asked_at": 1, "decision": None}
    entry |= {"groups": [_HOSTILE], "approvers": [_HOSTILE]}
    agent.on("eligibilities", {"ok": True, "eligibilities": [entry], "renewals": [{**entry, "state": "pending"}]})
    agent.on("renew", {"ok": True, "renewal": entry})


@pytest.mark.parametrize(
    "words",
    [
        ["sudo", "id"],
        ["sudo", "-i"],
        ["request", _HOSTILE],
        ["request", "another"],
        ["status"],
        ["status", "--all", "-o", "json"],
        ["status", "-o", "name"],
        ["status", "--prompt"],
        ["status", _HOSTILE],
        ["ls"],
        ["ls", "-o", "name"],
        ["ls", "-o", "json"],
        ["ls", "--all"],
        ["ls", "--all", "-o", "name"],
        ["ls", "--all", "-o", "json"],
        ["can-i", "id"],
        ["can-i", "id", _HOSTILE],
        ["request", _HOSTILE, "--dry-run"],
        ["request", _HOSTILE, "--hosts", _HOSTILE, "-n"],
        ["renew", _HOSTILE, "-m", _HOSTILE],
        ["renew", _HOSTILE, "-m", "x", "-o", "json"],
        ["drop"],
        ["drop", _HOSTILE],
        ["cancel", "req-1"],
        ["doctor"],
        ["doctor", "-o", "json"],
        ["log"],
        ["log", "-o", "name"],
        ["log", "-o", "json"],
        ["log", "ses-1"],
        ["log", "ses-1", "-o", "json"],
        ["log", "-n", _HOSTILE],
        ["mfa", "enroll", "--token", "t"],
        [_HOSTILE],
        ["sudo", "-u", _HOSTILE, "id"],
        ["sudo", _HOSTILE],
        ["status", f"--{_HOSTILE}"],
    ],
    ids=lambda words: " ".join(words).replace(_HOSTILE, "HOSTILE").replace(f"--{_HOSTILE}", "--HOSTILE"),
)
def test_hostile_text_is_shown_and_not_obeyed(agent: FakeAgent, jit: Jit, words: list[str]) -> None:
    _script(agent)
    done = jit.run(*words)
    assert not _FORBIDDEN & set(done.stdout + done.stderr)
    assert "\nroot" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_hidden_becomes_visible(agent: FakeAgent, jit: Jit) -> None:
    _script(agent)
    assert r"x\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202egnp\u200b\x7f\x0aroot" in jit.run("status").stdout


def test_the_waiting_line_on_a_terminal_holds_no_escape_of_others(agent: FakeAgent, jit: Jit) -> None:
    _script(agent)
    pending = fake.request(approvers=["b\x1b]0;pwned\x07ob"])
    agent.on("plan", fake.plan(fake.choice(reason=False, mfa=False)))
    agent.on("status", fake.status())
    agent.on("request", {"ok": True, "request": pending})
    agent.on("wait", [fake.waited(pending)])
    session = jit.in_terminal("sudo", "id", COLUMNS="100")
    session.sees(r"waiting for b\x1b]0;pwned\x07ob")
    assert "\x1b]0;" not in session.screen.before
    session.presses("c")
    assert session.ends() == 130


def test_colours_are_for_terminals_that_want_them(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(lives=[fake.live()]))
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        session = jit.in_terminal("status", **environment)
        session.sees("web-operator")
        assert ("\x1b[" in session.screen.before) is coloured
        assert session.ends() == 0
    assert "\x1b" not in jit.run("status", TERM="xterm").stdout


def test_a_terminal_that_is_dumb_gets_lines_and_no_spinner(agent: FakeAgent, jit: Jit) -> None:
    pending = fake.request()
    agent.on("plan", fake.plan(fake.choice(reason=False, mfa=False)))
    agent.on("status", fake.status())
    agent.on("request", {"ok": True, "request": pending})
    agent.on("wait", [fake.waited(pending), {}, fake.waited(fake.approved(), in_force=True)])
    session = jit.in_terminal("sudo", "id", TERM="dumb")
    session.sees("sudo <-->")
    assert "\x1b" not in session.screen.before
    assert session.ends() == 7


def test_a_qr_code_is_only_blocks(agent: FakeAgent, jit: Jit) -> None:
    agent.on("mfa_begin", {"ok": True, "uri": "otpauth://totp/x", "qr": ["█▀▄ █", "▄▄▄▄▄"]})
    assert "█▀▄ █\n▄▄▄▄▄\n" in jit.run("mfa", "enroll", "--token", "t").stdout
    agent.on("mfa_begin", {"ok": True, "uri": "otpauth://totp/x", "qr": ["█▀▄ █", "▄\x1b[2J"]})
    assert jit.run("mfa", "enroll", "--token", "t").stdout == "otpauth://totp/x\n"


def test_symbols_have_a_plain_form_in_the_c_locale(agent: FakeAgent, jit: Jit) -> None:
    agent.on("doctor", {"ok": True, "checks": [{"name": "clock", "ok": True, "detail": "", "fix": ""}]})
    assert jit.run("doctor").stdout == "✔ clock\n"
    assert jit.run("doctor", LC_ALL="C").stdout == "+ clock\n"
