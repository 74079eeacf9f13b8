"""`jit log`: what I ran with sudo, and what was recorded of it (SPEC 4.2, 8)."""

from __future__ import annotations

import json

import pytest

from jit_testing import fake_agent as fake
from jit_testing import fake_sessions
from jit_testing.fake_agent import FakeAgent
from jit_testing.fake_sessions import SESSION
from jit_testing.jit_program import Jit

OTHER = "ses-8f3a000000000000"


def columns(shown: str) -> list[list[str]]:
    """The cells of a table; two blanks or more stand between them."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in shown.splitlines()]


def rows(shown: str) -> dict[str, str]:
    return {name.strip(): text for name, _, text in (row.partition(": ") for row in shown.splitlines())}


def test_log_lists_my_sessions_newest_first(agent: FakeAgent, jit: Jit) -> None:
    failed = fake_sessions.session(
        session_id=OTHER, exit_value=3, argv=["/usr/bin/id", "a b"], recording="none", host="db1"
    )
    agent.on("log", fake_sessions.sessions(fake_sessions.session(), failed))
    done = jit.run("log")
    heading, first, second = columns(done.stdout)
    assert heading == ["SESSION", "STARTED", "LASTED", "HOST", "ROLE", "EXIT", "RECORDED", "COMMAND"]
    assert first[0] == SESSION
    assert first[2:] == ["1.9 s", "web1", "web-operator", "0", "4.0 KiB", "/usr/bin/systemctl restart nginx"]
    assert second[3:] == ["db1", "web-operator", "3", "no", "/usr/bin/id 'a b'"]
    assert (done.stderr, done.returncode) == ("", 0)
    assert agent.asked("log") == [{"session": "", "limit": 20}]


@pytest.mark.parametrize(
    ("changes", "lasted", "end", "recorded"),
    [
        ({"state": "running", "ended_at": 0, "recording": "arriving"}, "1 min", "running", "arriving"),
        ({"state": "frozen", "ended_at": 0, "recording": "arriving"}, "1 min", "frozen", "arriving"),
        ({"state": "waiting", "started_at": 0, "ended_at": 0, "recording": "none"}, "–", "waiting", "–"),
        ({"signal": "KILL"}, "1.9 s", "KILL", "4.0 KiB"),
        ({"state": "lost", "recording": "incomplete", "run_time_us": 0}, "2.0 s", "lost", "incomplete"),
        ({"state": "rejected", "started_at": 0, "recording": "none"}, "–", "rejected", "–"),
        ({"recording": "deleted", "run_time_us": 3_700_000_000}, "1 h 1 min", "0", "deleted"),
    ],
    ids=lambda value: value["state"] if isinstance(value, dict) and "state" in value else None,
)
def test_log_says_how_each_session_ended_and_what_there_is_of_it(
    agent: FakeAgent, jit: Jit, changes: fake.Object, lasted: str, end: str, recorded: str
) -> None:
    agent.on("log", fake_sessions.sessions(fake_sessions.session(**changes)))
    shown = columns(jit.run("log").stdout)[1]
    assert (shown[2], shown[5], shown[6]) == (lasted, end, recorded)


def test_a_long_command_line_is_cut_in_the_list_and_whole_alone(agent: FakeAgent, jit: Jit) -> None:
    long = fake_sessions.session(argv=["/usr/bin/echo", "x" * 300])
    agent.on("log", fake_sessions.sessions(long))
    shown = columns(jit.run("log").stdout)[1][-1]
    assert (len(shown), shown[-1]) == (60, "…")
    agent.on("log", fake_sessions.details(long))
    assert "x" * 300 in jit.run("log", SESSION).stdout


def test_log_shows_more_when_asked_and_says_that_there_is_more(agent: FakeAgent, jit: Jit) -> None:
    agent.on("log", fake_sessions.sessions(fake_sessions.session(), truncated=True))
    done = jit.run("log", "-n", "1")
    assert agent.asked("log") == [{"session": "", "limit": 1}]
    assert done.stderr == "there are older ones; `jit log -n 5` shows more\n"
    assert jit.run("log").stderr == "there are older ones; an answer holds no more than these 1\n"
    agent.on("log", fake_sessions.sessions(fake_sessions.session()))
    assert jit.run("log", "-n1").stderr == ""


@pytest.mark.parametrize("number", ["0", "1001", "-1", "many", "1e3", "٣", ""])
def test_a_number_of_sessions_that_is_none_is_refused(agent: FakeAgent, jit: Jit, number: str) -> None:
    agent.on("log", fake_sessions.sessions(fake_sessions.session()))
    done = jit.run("log", f"--number={number}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"jit: -n takes a number from 1 to 1000, not {number!r}\n"
    assert agent.asked("log") == []
    assert jit.run("log", "--number=1000").returncode == 0


def test_without_sessions_log_says_so(agent: FakeAgent, jit: Jit) -> None:
    agent.on("log", fake_sessions.sessions())
    done = jit.run("log")
    assert (done.stdout, done.returncode) == ("You have run nothing with sudo that was recorded.\n", 0)


def test_one_session_is_shown_in_full_with_the_programs_it_started(agent: FakeAgent, jit: Jit) -> None:
    session = fake_sessions.session(cwd="/srv", watchers=["carol"], order="frozen by carol: wait", incomplete="")
    start = session["started_at"]
    agent.on(
        "log",
        fake_sessions.details(
            session,
            fake_sessions.subcommand("/bin/sh", "-c", "exit 1", at=start + 1_000_000, cwd="/srv"),
            fake_sessions.subcommand("/usr/bin/id", at=start + 65_000_000, run_as_user="www-data", cwd="/tmp"),
            fake_sessions.subcommand("/bin/bash", at=start + 66_000_000, cwd="/srv", rejected="command not allowed"),
            environment=["TERM=xterm", "LANG=C.UTF-8"],
        ),
    )
    done = jit.run("log", "7f3a")
    assert agent.asked("log") == [{"session": "7f3a", "limit": 0}]
    shown = done.stdout.splitlines()
    assert shown[0] == "○ web-operator on web1 as root: ended"
    facts = rows(done.stdout)
    assert (facts["Session"], facts["Grant"]) == (SESSION, fake.GRANT)
    assert (facts["Command"], facts["Directory"]) == ("/usr/bin/systemctl restart nginx", "/srv")
    assert (facts["Terminal"], facts["Lasted"], facts["Exit"]) == ("/dev/pts/3, 80×24", "1.9 s", "0")
    assert (facts["Watched"], facts["Ordered"]) == ("by carol", "frozen by carol: wait")
    assert facts["Recording"] == "also what was written; whole (4.0 KiB written, 1.0 KiB stored)"
    assert [line.strip() for line in shown if "Environment" in line] == [
        "Environment: TERM=xterm",
        "Environment: LANG=C.UTF-8",
    ]
    assert [line.strip() for line in shown[-4:]] == [
        "Ran: /usr/bin/systemctl restart nginx",
        "├─ +0:01 /bin/sh -c 'exit 1'",
        "├─ +1:05 /usr/bin/id (as www-data, in /tmp)",
        "└─ +1:06 /bin/bash (refused: command not allowed)",
    ]


def test_a_session_with_more_programs_than_are_listed_says_so(agent: FakeAgent, jit: Jit) -> None:
    agent.on(
        "log", fake_sessions.details(fake_sessions.session(), fake_sessions.subcommand("/usr/bin/id"), truncated=True)
    )
    shown = jit.run("log", SESSION, LC_ALL="C").stdout.splitlines()
    assert shown[-2].strip().startswith("|- +0:01 /usr/bin/id")
    assert shown[-1].strip() == "`- ... and more, which are not listed"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recording": "none", "record": "none"}, "that it began and ended; nothing else was recorded"),
        (
            {"recording": "none", "record": "events"},
            "command line, directory, terminal and exit; nothing else was recorded",
        ),
        (
            {"recording": "incomplete", "incomplete": "the disk was full", "stored_bytes": 0},
            "also what was written; incomplete: the disk was full (4.0 KiB written)",
        ),
        (
            {"record": "input", "input_bytes": 3_000_000_000, "recording": "arriving"},
            "also what was written and typed; arriving (4.0 KiB written, 2.8 GiB read, 1.0 KiB stored)",
        ),
        ({"recording": "deleted", "output_bytes": 0, "stored_bytes": 0}, "also what was written; deleted"),
    ],
    ids=["none", "events", "incomplete", "input", "deleted"],
)
def test_what_was_kept_of_a_session_is_said_in_words(
    agent: FakeAgent, jit: Jit, changes: fake.Object, said: str
) -> None:
    agent.on("log", fake_sessions.details(fake_sessions.session(**changes)))
    assert rows(jit.run("log", SESSION).stdout)["Recording"] == said


def test_a_refused_sudo_says_why(agent: FakeAgent, jit: Jit) -> None:
    refused = fake_sessions.session(
        state="rejected", started_at=0, ended_at=0, role="", standing=True, reject_reason="nothing can be recorded",
        run_as_user="", recording="none", command="", argv=[],
    )  # fmt: skip
    agent.on("log", fake_sessions.details(refused))
    shown = jit.run("log", SESSION).stdout
    assert shown.startswith("○ a rule of the host's own on web1 as an account that is not known: rejected\n")
    facts = rows(shown)
    assert (facts["Refused"], facts["Command"]) == ("nothing can be recorded", "not kept")
    assert "Exit" not in facts
    assert "Recording" not in facts


def test_programs_get_json_with_the_fields_as_the_agent_names_them(agent: FakeAgent, jit: Jit) -> None:
    one, other = fake_sessions.session(), fake_sessions.session(session_id=OTHER)
    agent.on("log", fake_sessions.sessions(one, other, truncated=True))
    assert json.loads(jit.run("log", "-o", "json").stdout) == {"sessions": [one, other], "truncated": True}
    assert jit.run("log", "-o", "name").stdout == f"{SESSION}\n{OTHER}\n"
    ran = fake_sessions.subcommand("/usr/bin/id")
    agent.on("log", fake_sessions.details(one, ran, environment=["TERM=vt100"]))
    assert json.loads(jit.run("log", SESSION, "-o", "json").stdout) == {
        "session": one, "environment": ["TERM=vt100"], "commands": [ran], "truncated": False,
    }  # fmt: skip
    assert jit.run("log", SESSION, "-o", "name").stdout == f"{SESSION}\n"


def test_a_session_that_is_not_mine_is_not_found(agent: FakeAgent, jit: Jit) -> None:
    agent.on("log", fake.error("not_found", "you have no session ses-1", "see: jit log"))
    done = jit.run("log", "ses-1")
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == "jit: you have no session ses-1\n  see: jit log\n"


@pytest.mark.parametrize("words", [["a", "b"], ["a", "-n", "3"], ["-o", "yaml"], [""], [" "]], ids=repr)
def test_what_log_does_not_take_is_refused_before_anybody_is_asked(
    agent: FakeAgent, jit: Jit, words: list[str]
) -> None:
    assert jit.run("log", *words).returncode == 2
    assert agent.received == []


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": True},
        fake_sessions.sessions({**fake_sessions.session(), "argv": "id"}),
        fake_sessions.sessions({**fake_sessions.session(), "started_at": True}),
        fake_sessions.sessions({**fake_sessions.session(), "output_bytes": 2**60}),
        {**fake_sessions.sessions(), "sessions": [7]},
    ],
    ids=["nothing", "argv", "time", "size", "no session"],
)
def test_an_answer_of_another_shape_is_one_line(agent: FakeAgent, jit: Jit, answer: fake.Object) -> None:
    agent.on("log", answer)
    done = jit.run("log")
    assert done.returncode == 69
    assert done.stderr.startswith("jit: the jit agent's answer is not understood")
    assert "Traceback" not in done.stderr
