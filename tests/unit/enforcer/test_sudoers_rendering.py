"""What we write is what sudo's own parser reads, for every command we accept (S1, S12, SPEC 2.3)."""

import contextlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jit_enforcer import grant, parseback, sudoers
from jit_enforcer.accounts import RunAs
from jit_enforcer.errors import Malformed, Unsafe, Unsuitable
from jit_enforcer.paths import Paths
from jit_enforcer.recording import Recording, strictest
from unit.enforcer.conftest import NOW, SECOND, fields

ROOT = RunAs(0, None)
OUTPUT = Recording("output", required=False, subcommands=False, watch_s=0)
ALL_OF_IT = Recording("input", required=True, subcommands=True, watch_s=60)
LEVELS = [replace(OUTPUT, record="none"), replace(OUTPUT, record="events"), OUTPUT, ALL_OF_IT]
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
    found = [{"path": "/usr/bin/echo", "args": arguments}, {"path": "/usr/bin/id", "args": []}]
    check(parsed(commands=[one | {"sha256": ""} for one in found]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arguments=st.lists(
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20), min_size=1, max_size=4
    ).filter(lambda words: words != ['""'])
)
def test_any_arguments_we_accept_are_read_back_as_meant(arguments: list[str]) -> None:
    check(parsed(commands=[{"path": "/usr/bin/echo", "args": arguments, "sha256": ""}]))


@pytest.mark.parametrize(
    "command",
    [
        {"path": "usr/bin/id", "args": None, "sha256": ""},
        {"path": "/usr/bin/", "args": None, "sha256": ""},
        {"path": "/", "args": None, "sha256": ""},
        {"path": "/usr/../bin/id", "args": None, "sha256": ""},
        {"path": "//usr/bin/id", "args": None, "sha256": ""},
        {"path": "/usr/bin/i d", "args": None, "sha256": ""},
        {"path": "/usr/bin/*", "args": None, "sha256": ""},
        {"path": "/usr/bin/a,b", "args": None, "sha256": ""},
        {"path": "/usr/bin/a\\", "args": None, "sha256": ""},
        {"path": "/usr/bin/\u00e9", "args": None, "sha256": ""},
        {"path": "/usr/bin/sudoedit", "args": None, "sha256": ""},
        {"path": "/usr/bin/id", "args": [""], "sha256": ""},
        {"path": "/usr/bin/id", "args": ['""'], "sha256": ""},
        {"path": "/usr/bin/id", "args": ["a b"], "sha256": ""},
        {"path": "/usr/bin/id", "args": ["a\nb"], "sha256": ""},
        {"path": "/usr/bin/id", "args": ["a\u202eb"], "sha256": ""},
        {"path": "/usr/bin/id", "args": ["x" * 4097], "sha256": ""},
        {"path": "/usr/bin/id", "args": [1], "sha256": ""},
    ],
)
def test_a_command_that_cannot_be_written_without_doubt_is_refused(command: dict[str, Any]) -> None:
    parsed(commands=[{"path": "/usr/bin/id", "args": ["-u"], "sha256": ""}])
    with pytest.raises(Malformed):
        parsed(commands=[command])


def test_none_exact_and_any_arguments_are_three_different_things(tmp_path: Path) -> None:
    commands = [{"path": "/usr/bin/id", "args": arguments, "sha256": ""} for arguments in ([], ["-u"], None)]
    (spec,) = read_back(tmp_path / "rule", sudoers.rule(parsed(commands=commands), ROOT))["User_Specs"]
    shown = [command["command"] for command in spec["Cmnd_Specs"][0]["Commands"]]
    assert shown == ['/usr/bin/id ""', "/usr/bin/id -u", "/usr/bin/id"]


def test_sudo_never_says_yes_in_a_second_that_ends_after_the_grant() -> None:
    # sudo compares whole seconds, and lets the second NOTAFTER names pass to its end (seen on 1.9.13p3)
    assert sudoers.not_after(parsed(not_after=NOW + SECOND)) == "20270115080000Z"
    assert sudoers.not_after(parsed(not_after=NOW + SECOND + 999_999)) == "20270115080000Z"


@pytest.mark.parametrize("recording", LEVELS)
def test_the_defaults_are_the_strict_set(recording: Recording) -> None:
    text, meant = sudoers.defaults(4001, recording, ()), sudoers.expected_defaults(4001, recording, ())
    parseback.check_text(text, defaults=[meant], rules=[])
    with pytest.raises(Unsafe):
        parseback.check_text(text, defaults=[], rules=[])
    never = {"ignore_logfile_errors", "ignore_iolog_errors", "log_passwords"}
    assert {name for name in never if meant["Options"][name] is False} == never
    assert meant["Options"]["log_allowed"] is True


@pytest.mark.parametrize(
    ("recording", "options"),
    [
        (replace(OUTPUT, record="none"), (False, True, False, False, "10")),
        (replace(OUTPUT, record="events", required=True), (False, True, False, False, "10")),
        (OUTPUT, (True, True, False, False, "10")),
        (replace(OUTPUT, record="input"), (True, True, True, False, "10")),
        (replace(OUTPUT, record="events", subcommands=True), (False, True, False, True, "10")),
        (replace(OUTPUT, watch_s=1), (True, True, False, False, "300")),
    ],
)
def test_what_is_recorded_stands_in_the_defaults(recording: Recording, options: tuple[bool | str, ...]) -> None:
    found = sudoers.settings(recording, ())
    names = ("log_output", "log_stderr", "log_input", "log_subcmds", "log_server_timeout")
    assert tuple(found[name] for name in names) == options
    assert list(found).index("log_output") < list(found).index("log_stderr")


def test_a_rule_says_nothing_of_what_is_recorded() -> None:
    rules = {sudoers.rule(parsed(record=record), ROOT) for record in grant.RECORDINGS}
    assert len(rules) == 1
    assert "LOG_" not in rules.pop()


def test_of_several_grants_the_strictest_of_each_applies() -> None:
    assert strictest([]) == Recording("none", required=False, subcommands=False, watch_s=0)
    grants = [parsed(record="events", watch_s=600), parsed(record="output", required=True), parsed(record="none")]
    assert strictest(grants) == Recording("output", required=True, subcommands=False, watch_s=600)
    grants.append(parsed(record="input", subcommands=True, watch_s=60))
    assert strictest(reversed(grants)) == ALL_OF_IT


def test_a_text_that_says_more_or_nothing_or_nonsense_is_refused() -> None:
    found = parsed()
    check(found)
    text = sudoers.rule(found, ROOT)
    others = text.replace("4001", "4002")
    for wrong in (text + "bob ALL=ALL\n", others, "", "nonsense\n", "Defaults !log_output\n" + text):
        with pytest.raises(Unsafe):
            parseback.check_text(wrong, defaults=[], rules=[sudoers.expected_rule(found, ROOT)])


def check_whole(paths: Paths, text: str, **recordings: Recording) -> None:
    """Whether ours, for alice and whoever else has a level, hold in this configuration; `{}` is where ours stand."""
    found = parsed()
    people = {"alice": 4001, "bob": 4002}
    ours = "".join(sudoers.defaults(people[name], level, ()) for name, level in recordings.items())
    paths.sudoers.write_text(text.format(f"root ALL=(ALL) ALL\n{ours}{sudoers.rule(found, ROOT)}"))
    parseback.check_whole(
        paths,
        defaults=[sudoers.expected_defaults(people[name], level, ()) for name, level in recordings.items()],
        rules=[sudoers.expected_rule(found, ROOT)],
        run_as_names={"root", "bob"},
        run_as_uids={0, 4002},
    )


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Defaults env_reset\nDefaults ignore_logfile_errors\n{}", True),
        ("Defaults:carol !log_output\nDefaults@web !log_output\n{}", True),
        ("{}Defaults ignore_logfile_errors\n", False),
        ("{}bob ALL=ALL\n", False),
        ("Defaults!/usr/bin/id !log_output\n{}", False),
        ("Defaults!/usr/bin/id !log_ttyout\n{}", False),
        ("Defaults!/usr/bin/id !log_stderr\n{}", False),
        ("Defaults>root !log_output\n{}", False),
        ("Defaults>root log_passwords\n{}", False),
        ("Defaults>root log_server_timeout=100\n{}", False),
        ("Defaults:carol log_servers+=192.0.2.1\n{}", False),
    ],
)
def test_ours_must_be_the_last_word(paths: Paths, text: str, holds: bool) -> None:
    for recording in LEVELS:
        with contextlib.nullcontext() if holds else pytest.raises(Unsuitable):
            check_whole(paths, text, alice=recording)


@pytest.mark.parametrize(
    ("option", "needs"),
    [
        ("!log_input", replace(OUTPUT, record="input")),
        ("!log_ttyin", replace(OUTPUT, record="input")),
        ("!log_subcmds", replace(OUTPUT, subcommands=True)),
    ],
)
def test_what_only_some_grants_need_may_be_taken_away_as_long_as_none_of_them_lives(
    paths: Paths, option: str, needs: Recording
) -> None:
    text = f"Defaults!/usr/bin/id {option}\n{{}}"
    check_whole(paths, text, alice=OUTPUT)
    with pytest.raises(Unsuitable, match=option[1:]):
        check_whole(paths, text, alice=OUTPUT, bob=needs)


def test_that_the_host_records_more_than_a_grant_needs_is_its_own_matter(paths: Paths) -> None:
    check_whole(paths, "Defaults!/usr/bin/id log_input, log_output, log_subcmds\n{}", alice=LEVELS[0])


def test_a_person_whose_own_grant_records_less_may_be_run_as(paths: Paths) -> None:
    """cvtsudoers shows `Defaults:#4002` of ours as it would show `Defaults>#4002` of another's."""
    check_whole(paths, "{}", alice=ALL_OF_IT, bob=LEVELS[0])
