"""What we write is what sudo's own parser reads, for every command we accept (S1, S12, SPEC 2.3)."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jit_enforcer import grant, parseback, sudoers
from jit_enforcer.accounts import RunAs
from jit_enforcer.errors import Malformed, Unsafe, Unsuitable
from jit_enforcer.paths import Paths
from unit.enforcer.conftest import NOW, SECOND, fields

ROOT = RunAs(0, None)
HOSTILE_NAMES = [
    *("a b", "x,bob", "%ops", "%sudo", "#0", "#1002", "ALL", "BOBS", "a\\b", "DOM\\carl", 'o"q', "a=b", "a!b", "!bob"),
    *("+netg", "-rf", "root ALL", "a(b", "*", "al*ce", "[ab]ob", "a#b", "a%b", "@include", "Ünï", "ümläut", "%:ops"),
    *("%#1004", "a~b", "a/b", "../x", "$(id)", "a;b", "a'b", "bob)", "NOPASSWD", "user@corp.example", "x\\"),
    *("Defaults", "a.b", "a^b", "^a.*$", "Defaults:ALL !authenticate", "`id`"),
]
HOSTILE_ARGUMENTS = [
    *("a,b", "a:b", "a=b", "a#b", "#", "\\", "a\\", "\\\\", "\\,", "*", "a*b", "?", "[a-z]", "!x", "x!", '"', '"a"'),
    *("'a'", "^a$", "^.*$", "^", "$", "$(id)", "`id`", ";", "&&", "|", ">x", "ALL", "NOPASSWD:", "(root)", "{a,b}"),
    *("~", "%h", "%%", "@include", "@includedir", "/tmp/../etc/shadow", "-", "--", "-u#-1", "=", ":", ","),
]


def parsed(**changes: Any) -> grant.Grant:
    return grant.parse(json.dumps(fields(**changes)).encode())


def read_back(path: Path, text: str) -> Any:
    path.write_text(text)
    shown = subprocess.run(["/usr/bin/cvtsudoers", "-f", "json", path], check=True, capture_output=True)
    return json.loads(shown.stdout)


def check(found: grant.Grant, run_as: RunAs = ROOT) -> None:
    parseback.check_text(sudoers.rule(found, run_as), defaults=[], rules=[sudoers.expected_rule(found, run_as)])


def test_the_rule_of_all_commands_is_for_one_uid_and_keeps_the_environment_closed(tmp_path: Path) -> None:
    (spec,) = read_back(tmp_path / "rule", sudoers.rule(parsed(), ROOT))["User_Specs"]
    assert spec["User_List"] == [{"userid": 4001}]
    (commands,) = spec["Cmnd_Specs"]
    assert commands["runasusers"] == [{"userid": 0}]
    assert commands["Commands"] == [{"command": "ALL"}]
    assert {"setenv": False} in commands["Options"]
    assert {"log_output": True} in commands["Options"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_no_name_gets_into_the_rule(tmp_path: Path, name: str) -> None:
    hostile = parsed(user=name, run_as_user=name, run_as_group=name, role=name)
    text = sudoers.rule(hostile, RunAs(33, 44))
    assert text == sudoers.rule(parsed(), RunAs(33, 44))
    (spec,) = read_back(tmp_path / "rule", text)["User_Specs"]
    assert spec["User_List"] == [{"userid": 4001}]


@pytest.mark.parametrize("argument", HOSTILE_ARGUMENTS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_hostile_argument_stays_one_argument(argument: str, shape: tuple[int, int]) -> None:
    arguments = ["x"] * shape[0] + [argument] + ["y"] * shape[1]
    found = parsed(commands=[{"path": "/usr/bin/echo", "args": arguments}, {"path": "/usr/bin/id", "args": []}])
    check(found)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arguments=st.lists(
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20), min_size=1, max_size=4
    ).filter(lambda words: words != ['""'])
)
def test_any_arguments_we_accept_are_read_back_as_meant(arguments: list[str]) -> None:
    check(parsed(commands=[{"path": "/usr/bin/echo", "args": arguments}]))


@pytest.mark.parametrize(
    "command",
    [
        {"path": "usr/bin/id", "args": None},
        {"path": "/usr/bin/", "args": None},
        {"path": "/", "args": None},
        {"path": "/usr/../bin/id", "args": None},
        {"path": "//usr/bin/id", "args": None},
        {"path": "/usr/bin/i d", "args": None},
        {"path": "/usr/bin/*", "args": None},
        {"path": "/usr/bin/a,b", "args": None},
        {"path": "/usr/bin/a\\", "args": None},
        {"path": "/usr/bin/\u00e9", "args": None},
        {"path": "/usr/bin/sudoedit", "args": None},
        {"path": "/usr/bin/id", "args": [""]},
        {"path": "/usr/bin/id", "args": ['""']},
        {"path": "/usr/bin/id", "args": ["a b"]},
        {"path": "/usr/bin/id", "args": ["a\nb"]},
        {"path": "/usr/bin/id", "args": ["a\u202eb"]},
        {"path": "/usr/bin/id", "args": ["x" * 4097]},
        {"path": "/usr/bin/id", "args": [1]},
    ],
)
def test_a_command_that_cannot_be_written_without_doubt_is_refused(command: dict[str, Any]) -> None:
    parsed(commands=[{"path": "/usr/bin/id", "args": ["-u"]}])
    with pytest.raises(Malformed):
        parsed(commands=[command])


def test_none_exact_and_any_arguments_are_three_different_things(tmp_path: Path) -> None:
    commands = [{"path": "/usr/bin/id", "args": arguments} for arguments in ([], ["-u"], None)]
    (spec,) = read_back(tmp_path / "rule", sudoers.rule(parsed(commands=commands), ROOT))["User_Specs"]
    shown = [command["command"] for command in spec["Cmnd_Specs"][0]["Commands"]]
    assert shown == ['/usr/bin/id ""', "/usr/bin/id -u", "/usr/bin/id"]


def test_sudo_never_says_yes_in_a_second_that_ends_after_the_grant() -> None:
    # sudo compares whole seconds, and lets the second NOTAFTER names pass to its end (seen on 1.9.13p3)
    assert sudoers.not_after(parsed(not_after=NOW + SECOND)) == "20270115080000Z"
    assert sudoers.not_after(parsed(not_after=NOW + SECOND + 999_999)) == "20270115080000Z"


@pytest.mark.parametrize("record_input", [False, True])
def test_the_defaults_are_the_strict_set(record_input: bool) -> None:
    text, meant = (
        sudoers.defaults(4001, record_input=record_input),
        sudoers.expected_defaults(4001, record_input=record_input),
    )
    parseback.check_text(text, defaults=[meant], rules=[])
    with pytest.raises(Unsafe):
        parseback.check_text(text, defaults=[], rules=[])
    assert meant["Options"]["ignore_logfile_errors"] is False
    assert meant["Options"].get("log_passwords", False) is False


def test_only_a_role_that_records_input_gets_it() -> None:
    assert "LOG_INPUT" in sudoers.rule(parsed(record="input"), ROOT)
    assert "LOG_INPUT" not in sudoers.rule(parsed(record="output"), ROOT)
    check(parsed(record="input", commands="ALL"), RunAs(33, 4))


def test_a_text_that_says_more_or_nothing_or_nonsense_is_refused() -> None:
    found = parsed()
    check(found)
    text = sudoers.rule(found, ROOT)
    others = text.replace("4001", "4002")
    for wrong in (text + "bob ALL=ALL\n", others, "", "nonsense\n", "Defaults !log_output\n" + text):
        with pytest.raises(Unsafe):
            parseback.check_text(wrong, defaults=[], rules=[sudoers.expected_rule(found, ROOT)])


@pytest.mark.parametrize(
    ("before", "after", "holds"),
    [
        ("Defaults env_reset\nDefaults ignore_logfile_errors\n", "", True),
        ("Defaults:bob !log_output\nDefaults@web !log_output\n", "", True),
        ("", "Defaults ignore_logfile_errors\n", False),
        ("", "bob ALL=ALL\n", False),
        ("Defaults!/usr/bin/id !log_output\n", "", False),
        ("Defaults>root !log_output\n", "", False),
        ("Defaults:bob log_servers+=192.0.2.1\n", "", False),
    ],
)
def test_ours_must_be_the_last_word(paths: Paths, before: str, after: str, holds: bool) -> None:
    found, path = parsed(), paths.sudoers
    ours = sudoers.defaults(4001, record_input=False) + sudoers.rule(found, ROOT)
    path.write_text(f"{before}root ALL=(ALL) ALL\n{ours}{after}")

    def check_whole() -> None:
        parseback.check_whole(
            paths,
            defaults=[sudoers.expected_defaults(4001, record_input=False)],
            rules=[sudoers.expected_rule(found, ROOT)],
            run_as_names={"root"},
            run_as_uids={0},
        )

    if holds:
        check_whole()
    else:
        with pytest.raises(Unsuitable):
            check_whole()
