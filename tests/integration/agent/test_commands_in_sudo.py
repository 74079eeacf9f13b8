"""What our rule of a command lets through is what the real sudo of this machine lets through by it (SPEC 2.3, 9.3).

Each rule is made as in life: the server's signed JSON, read by the enforcer, written by it into sudoers, and compared
by it with what sudo's parser reads.  Then `sudo -l -U nobody` is asked for each command line, in a mount namespace of
its own in which /etc/sudoers is a file of the test, so nothing of the machine is changed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jit_enforcer import grant as enforced
from jit_enforcer import parseback, sudoers
from jit_enforcer.accounts import RunAs
from jit_server.domain.ask import Command, Commands, admits, command_problem
from jit_server.domain.grant import DOMAIN_TAG, message
from jit_server.domain.identity import LocalUser
from jit_server.domain.pattern import Pattern, problem
from jit_testing.server_fakes import a_grant, a_host, a_request, a_user

NOBODY = LocalUser(65_534, "nobody")
YEAR_9998 = 253_370_764_800_000_000
ECHO = "/usr/bin/echo"
SERVICES = Pattern(r"^(start|stop|restart) [a-z0-9@_-]+(\.service)?$")
LOGS = Pattern(r"^/var/log/[a-z0-9_-][a-z0-9_.-]*$")


@pytest.fixture(autouse=True)
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.fail("these tests ask sudo about another user in a mount namespace, and need root for it")


def rule(commands: Commands, *, directory: str = "") -> str:
    """The text in sudoers; the enforcer has compared it with what sudo's parser makes of it."""
    host = a_host("web1")
    request = replace(a_request(a_user("alice"), host), local_user=NOBODY)
    grant = replace(a_grant(request, commands=commands), not_after=YEAR_9998, directory=directory)
    signed = message(grant, revision=1, boot_id="8267f942-9f41-46c3-b228-af21deaa6931", now=YEAR_9998 - 60_000_000)
    read = enforced.parse(signed[2 + len(DOMAIN_TAG) :])
    text = sudoers.rule(read, RunAs(0, None))
    parseback.check_text(text, defaults=[], rules=[sudoers.expected_rule(read, RunAs(0, None))])
    return text


def asked(tmp_path: Path, text: str, lines: Iterable[Sequence[str]]) -> list[bool]:
    """What sudo says to each command line."""
    file = tmp_path / "sudoers"
    file.write_text(text)
    file.chmod(0o440)
    questions = [f"/usr/bin/sudo -n -l -U nobody -- {shlex.join(line)} >/dev/null 2>&1; echo $?" for line in lines]
    script = "\n".join([f"mount --bind {shlex.quote(str(file))} /etc/sudoers", *questions])
    done = subprocess.run(
        ["/usr/bin/unshare", "--mount", "--propagation=private", "/bin/sh", "-ec", f"set +e\n{script}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answers = done.stdout.split()
    assert len(answers) == len(questions), done.stderr
    assert set(answers) <= {"0", "1"}
    return [answer == "0" for answer in answers]


def line(*words: str) -> tuple[str, ...]:
    return (ECHO, *words)


@pytest.mark.parametrize(
    ("command", "through", "refused"),
    [
        (Command(ECHO, ()), [line()], [line("a"), line('""'), line("a", "b")]),
        (Command(ECHO, None), [line(), line("a"), line("*", "#", ",")], [("/usr/bin/id",)]),
        (Command(ECHO, ("a#b", "c,d", "e:f=g", "\\", "*?[x]!^")), [line("a#b", "c,d", "e:f=g", "\\", "*?[x]!^")],
         [line("a#b", "c,d", "e:f=g", "\\", "zy[x]!^"), line("a"), line("a#b", "c", "d", "e:f=g", "\\", "*?[x]!^")]),
        (Command(ECHO, SERVICES), [line("restart", "nginx"), line("stop", "a@b.service")],
         [line(), line("restart"), line("reload", "nginx"), line("restart", "nginx", "sshd"), line("restart", "../x"),
          line("restart", "nginxAservice"), line("x", "restart", "nginx")]),
        (Command(ECHO, Pattern(r"^\#\$\\ :=,\"a\^\*$".replace('\\"', '"'))), [line("#$\\", ':=,"a^*')],
         [line("#$\\"), line("x")]),
        (Command(ECHO, Pattern(r"^a{2,255}( b){0,3}$")), [line("aa"), line("aaa", "b", "b", "b")],
         [line("a"), line("aa", "b", "b", "b", "b"), line("a" * 256)]),
    ],
)  # fmt: skip
def test_sudo_takes_a_command_for_what_it_says(
    tmp_path: Path, command: Command, through: list[tuple[str, ...]], refused: list[tuple[str, ...]]
) -> None:
    expected = [True] * len(through) + [False] * len(refused)
    assert [command.admits(asks) for asks in (*through, *refused)] == expected
    assert asked(tmp_path, rule((command,)), [*through, *refused]) == expected


# G4 of what is known of sudoers: `*` in arguments matches slashes and blanks.
CLIMBING = ("/usr/bin/cat", "/var/log/../../etc/shadow")
SECOND_FILE = ("/usr/bin/cat", "/var/log/x", "/etc/shadow")


def test_what_a_wildcard_lets_through_an_expression_does_not(tmp_path: Path) -> None:
    meant = ("/usr/bin/cat", "/var/log/dpkg.log")
    wildcard = "#65534 ALL=(#0) NOPASSWD:NOSETENV: /usr/bin/cat /var/log/*\n"
    assert asked(tmp_path, wildcard, [meant, CLIMBING, SECOND_FILE]) == [True, True, True]
    ours = Command("/usr/bin/cat", LOGS)
    assert asked(tmp_path, rule((ours,)), [meant, CLIMBING, SECOND_FILE]) == [True, False, False]
    assert [ours.admits(asks) for asks in (meant, CLIMBING, SECOND_FILE)] == [True, False, False]


def test_an_argument_with_a_blank_is_two_to_sudo_and_lets_nothing_through_here(tmp_path: Path) -> None:
    for command in (Command(ECHO, ("restart", "nginx")), Command(ECHO, SERVICES)):
        assert asked(tmp_path, rule((command,)), [line("restart nginx")]) == [True]
        assert not command.admits(line("restart nginx"))


def test_a_pinned_file_is_refused_once_it_has_changed(tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/usr/bin/echo", program)
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    commands = (Command(str(program), ("a",), digest), Command(str(program), SERVICES, digest))
    lines = [(str(program), "a"), (str(program), "restart", "nginx"), (str(program), "b")]
    assert asked(tmp_path, rule(commands), lines) == [True, True, False]
    with program.open("ab") as file:
        file.write(b"\0")
    assert asked(tmp_path, rule(commands), lines) == [False, False, False]
    other = (replace(commands[0], sha256=hashlib.sha256(program.read_bytes()).hexdigest()),)
    assert asked(tmp_path, rule((*commands, *other)), lines) == [True, False, False]


def test_a_rule_with_a_directory_is_read_back_as_meant_and_binds_nothing_else(tmp_path: Path) -> None:
    text = rule((Command(ECHO, ("a",)), Command("/usr/bin/id", None)), directory="/srv/app@1")
    assert " CWD=/srv/app@1 " in text
    assert asked(tmp_path, text, [line("a"), line("b"), ("/usr/bin/id", "-u")]) == [True, False, True]


WORDS = st.text("ab01.-_/=:,#*?[]!^\\$\"'+{}()|@", min_size=1, max_size=5)
ATOMS = st.sampled_from(
    ["a", "b", "0", r"\.", r"\#", r"\$", r"\*", "[a-c]", "[0-9_-]", "[ab.]", ":", "=", ",", "/", " "]
)
TIMES = st.sampled_from(["", "", "?", "*", "+", "{2}", "{1,2}"])
PARTS = st.tuples(st.one_of(ATOMS, st.tuples(ATOMS, ATOMS).map(lambda two: f"({two[0]}|{two[1]})")), TIMES)
EXPRESSIONS = st.lists(PARTS.map("".join), min_size=1, max_size=5).map(lambda parts: f"^{''.join(parts)}$")
COMMANDS = st.one_of(
    st.lists(WORDS, max_size=3).map(lambda words: Command(ECHO, tuple(words))),
    EXPRESSIONS.filter(lambda text: problem(text) is None).map(lambda text: Command(ECHO, Pattern(text))),
).filter(lambda command: command_problem(command) is None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=st.lists(COMMANDS, min_size=1, max_size=3).map(tuple), data=st.data())
def test_any_command_is_to_sudo_what_it_is_to_us(
    tmp_path: Path, commands: tuple[Command, ...], data: st.DataObject
) -> None:
    lines = [line(*words) for words in data.draw(st.lists(st.lists(WORDS, max_size=3), min_size=3, max_size=6))]
    for command in commands:
        if isinstance(command.args, Pattern):
            near = st.from_regex(f"\\A{command.args.text[1:-1]}\\Z", fullmatch=True)
            lines += [line(*data.draw(near).split(" ")) for _ in range(3)]
        elif command.args is not None:
            lines += [line(*command.args), line(*command.args, "a"), line(*command.args[:-1])]
    lines = [asks for asks in lines if all(asks)]
    assert asked(tmp_path, rule(commands), lines) == [admits(commands, asks) for asks in lines]
