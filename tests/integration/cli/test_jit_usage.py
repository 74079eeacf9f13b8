"""Command lines that `jit` refuses, and what it says instead of hanging or breaking."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import FakeAgent, HangUp, Raw
from jit_testing.jit_program import Jit

_VERBS = ["sudo", "request", "status", "ls", "extend", "drop", "cancel", "mfa", "doctor", "completion"]


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_has_help_and_needs_nothing_for_it(jit: Jit, verb: str) -> None:
    shown = jit.run(verb, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    for part in (f"Usage: jit {verb}", "Examples:", "Options:", "Exit status:"):
        assert part in shown.stdout
    assert jit.run(verb, "-h").stdout == jit.run("help", verb).stdout == shown.stdout


def test_the_overview_names_every_verb(jit: Jit) -> None:
    shown = jit.run("--help").stdout
    assert [verb for verb in [*_VERBS, "help", "version"] if f"\n  {verb} " not in shown] == []


def test_an_unknown_verb_is_guessed(jit: Jit) -> None:
    done = jit.run("stauts")
    assert (done.stderr, done.returncode) == ("jit: unknown verb 'stauts'\n  did you mean status?\n", 2)
    assert jit.run("xyzzy").stderr == "jit: unknown verb 'xyzzy'\n  see `jit help`\n"
    assert jit.run().returncode == 2


def test_an_unknown_option_is_guessed(jit: Jit) -> None:
    done = jit.run("status", "--promt")
    assert (done.stderr, done.returncode) == ("jit: unknown option --promt\n  did you mean --prompt?\n", 2)


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (["-E", "id"], "environment can change what an approved command does"),
        (["--preserve-env=PATH", "id"], "environment can change what an approved command does"),
        (["-nE", "id"], "environment can change what an approved command does"),
        (["-D", "/tmp", "id"], "approvers see a command, not a directory"),
        (["--chdir=/tmp", "id"], "approvers see a command, not a directory"),
        (["-l"], "`jit ls`"),
        (["-v"], "`jit status`"),
        (["-k"], "`jit drop`"),
        (["LD_PRELOAD=/x", "id"], "LD_PRELOAD=… before the command is not taken"),
        (["-S", "id"], "never needs your password"),
        (["--exact", "-i"], "--exact does not go with a shell"),
        (["-i", "-s"], "exclude each other"),
        ([], "no command was given"),
        (["-u"], "needs a value"),
        (["-u", "no-such-account", "id"], "no account 'no-such-account'"),
        (["-u", "#99999999999999", "id"], "no account '#99999999999999'"),
        (["-g", "no-such-group", "id"], "no group 'no-such-group'"),
        (["no-such-command"], "no-such-command: command not found"),
        (["/usr"], "/usr: is a directory"),
        (["./no-such-command"], "./no-such-command: command not found"),
        (["-d", "30", "id"], "'30' is not a duration"),
        (["--exit-codes=loud", "id"], "unknown value 'loud'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_sudo_would_take_and_jit_does_not_is_refused_with_the_reason(
    agent: FakeAgent, jit: Jit, words: list[str], because: str
) -> None:
    agent.on("plan", fake.plan(fake.choice(reason=False, mfa=False)))
    agent.on("status", fake.status())
    done = jit.run("sudo", *words)
    assert because in done.stderr
    assert (done.stdout, done.returncode) == ("", 1)
    assert agent.asked("request") == []


def test_options_after_the_command_belong_to_the_command(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.plan(live=fake.live()))
    assert jit.run("sudo", "env", "-E", "A=b", "--help").stdout == "sudo <--> </usr/bin/env> <-E> <A=b> <--help>\n"


def test_a_relative_path_is_made_absolute(agent: FakeAgent, jit: Jit) -> None:
    agent.on("plan", fake.plan(live=fake.live()))
    deep = "../" * 20
    assert jit.run("sudo", f"{deep}usr/bin/../bin/id").stdout == "sudo <--> </usr/bin/id>\n"


def test_the_callers_path_does_not_choose_the_command(agent: FakeAgent, jit: Jit, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\n")
    (tmp_path / "id").chmod(0o755)
    agent.on("plan", fake.plan(live=fake.live()))
    path = f"{tmp_path}:{jit.environment['PATH']}"
    assert jit.run("sudo", "id", PATH=path).stdout == "sudo <--> </usr/bin/id>\n"


@pytest.mark.parametrize("words", [["sudo", "--exit-codes=extended", "id"], ["status"], ["ls"], ["extend"], ["drop"]])
def test_without_an_agent_the_way_on_is_shown(jit: Jit, words: list[str]) -> None:
    done = jit.run(*words)
    first, second = done.stderr.splitlines()
    assert first.startswith("jit: the jit agent does not answer on ")
    assert "systemctl status jit-agent.socket" in second
    assert "jit doctor" in second
    assert (done.stdout, done.returncode) == ("", 69)


@pytest.mark.parametrize(
    "answer",
    [
        HangUp(),
        Raw(b"\n"),
        Raw(b"null\n"),
        Raw(b'{"ok": true, "live": NaN}\n'),
        Raw(b'{"ok": true}{"ok": true}\n'),
        Raw(b'{"ok": false, "error": "no"}\n'),
        Raw(b"\xff\xfe\n"),
        Raw(b"[" * 200_000 + b"\n"),
        Raw(b"x" * 1_100_000 + b"\n"),
        {"ok": True},
        {"ok": True, "host": 1, "server": [], "live": {}, "requests": None},
        fake.status(lives=[fake.live(not_after=10**30)]),
        fake.status(requests=[fake.request(grant=7)]),
    ],
    ids=lambda answer: repr(answer)[:40],
)
def test_a_broken_agent_is_an_error_and_never_a_traceback(agent: FakeAgent, jit: Jit, answer: fake.Line) -> None:
    agent.on("status", answer)
    done = jit.run("status")
    assert done.stderr.startswith("jit: the jit agent")
    assert (done.stdout, done.returncode, len(done.stderr.splitlines())) == ("", 69, 2)


def test_a_command_line_that_is_not_text_is_not_asked_for(agent: FakeAgent, jit: Jit) -> None:
    done = subprocess.run(
        [*jit.command, "sudo", "id", b"\xff"],
        env=jit.environment,
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    assert b"is not valid UTF-8" in done.stderr
    assert (done.returncode, agent.received) == (1, [])


def test_a_command_line_over_the_limit_names_the_limit(agent: FakeAgent, jit: Jit) -> None:
    done = jit.run("sudo", "--exit-codes=extended", "id", "x" * 70_000)
    assert "the limit is 65536" in done.stderr
    assert (done.returncode, agent.received) == (65, [])


def test_a_reader_that_leaves_is_no_error_on_the_terminal(agent: FakeAgent, jit: Jit) -> None:
    agent.on("ls", fake.plan(*[fake.choice(role=f"role-{number}") for number in range(500)]))
    line = " ".join(jit.command)
    done = subprocess.run(
        ["/bin/bash", "-c", f"{line} ls -o name | true"], env=jit.environment, capture_output=True, check=False
    )
    assert done.stderr == b""


def test_completion_says_what_is_not_installed(jit: Jit) -> None:
    done = jit.run("completion", "tcsh")
    assert (done.stderr, done.returncode) == ("jit: unknown shell 'tcsh'\n  say bash, zsh or fish\n", 2)


def test_the_version_is_printed(jit: Jit) -> None:
    assert jit.run("version").stdout == jit.run("--version").stdout == "jit 0.1.0\n"
