"""The pure parts of `jit`: durations, command lines, names, words."""

from __future__ import annotations

import json
import time
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_cli import VERSION, agent_client, completion, duration
from jit_cli.errors import EXIT_STATUS, Failure, Interrupted
from jit_cli.options import Option, Parsed, Verb, parse
from jit_cli.terminal import safe
from jit_cli.view import named
from jit_cli.words import all_of, any_of, plural

_ROOT = Path(__file__).parents[3]


def _verb(*, like_sudo: bool) -> Verb:
    options = (Option("u", "user", "USER"), Option("n", "quiet"), Option("E", "env", refused="no", optional_value=True))
    return Verb("x", usage="", summary="", examples=[], options=options, like_sudo=like_sudo)


def _parsed(*words: str, like_sudo: bool = False) -> tuple[dict[str, str], list[str], list[str] | None]:
    parsed = Parsed()
    parse(_verb(like_sudo=like_sudo), words, parsed)
    return parsed.values, parsed.words, parsed.after_dashes


def test_options_are_read_in_every_form_getopt_knows() -> None:
    for words in (["-nu", "bob"], ["-nubob"], ["-n", "--user=bob"], ["--quiet", "--user", "bob"]):
        assert _parsed(*words) == ({"quiet": "", "user": "bob"}, [], None)
    assert _parsed("--user=") == ({"user": ""}, [], None)


def test_sudo_stops_at_the_first_word_and_other_verbs_do_not() -> None:
    assert _parsed("a", "-n", like_sudo=True) == ({}, ["a", "-n"], None)
    assert _parsed("a", "-n") == ({"quiet": ""}, ["a"], None)
    assert _parsed("a", "--", "-n") == ({}, ["a"], ["-n"])
    assert _parsed("-") == ({}, ["-"], None)


@pytest.mark.parametrize("words", [["-x"], ["--x"], ["-u"], ["--user"], ["--quiet=1"], ["-E"], ["--env=A"], ["-nE"]])
def test_what_is_not_taken_is_a_usage_error(words: list[str]) -> None:
    with pytest.raises(Failure) as refusal:
        _parsed(*words)
    assert refusal.value.status == 2


@given(st.lists(st.text(max_size=8), max_size=8), st.booleans())
def test_any_command_line_is_parsed_or_refused(words: list[str], like_sudo: bool) -> None:
    # Anything but a `Failure` fails the test.
    with suppress(Failure):
        _parsed(*words, like_sudo=like_sudo)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1d1h1m1s", 90061)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert duration.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "m", "0m", "-5m", "30m1h", "1h1h", "1.5h", "٣m", "9" * 10 + "s", "400d", "1h "]
)
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(Failure) as refusal:
        duration.parse(text)
    assert refusal.value.status == 65


@pytest.mark.parametrize(
    ("seconds", "written", "briefly"),
    [
        (-5, "0 s", "0s"),
        (59, "59 s", "59s"),
        (90, "1 min 30 s", "90s"),
        (1800, "30 min", "30m"),
        (5400, "1 h 30 min", "90m"),
        (86400 * 2 + 3600, "2 d 1 h", "49h"),
        (86400 * 30, "30 d", "30d"),
    ],
)
def test_durations_are_written(seconds: int, written: str, briefly: str) -> None:
    assert (duration.words(seconds), duration.short(seconds)) == (written, briefly)


def test_an_instant_of_today_needs_no_date(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns() // 1000
    assert len(duration.instant(now)) < len(duration.instant(now + 3 * 86_400_000_000))
    assert duration.left(now - 1) == 0


def test_a_start_of_an_id_names_it_with_or_without_the_kind() -> None:
    for wanted in ("req-7f3a", "7f3a", "REQ-7", "r", "req-7f3a0000"):
        assert named("req-7f3a0000", wanted)
    for wanted in ("", "gnt-7f3a", "7f3b", "req-7f3a00000", "f3a"):
        assert not named("req-7f3a0000", wanted)


def test_lists_of_people_read_as_english() -> None:
    people = ["bob", "carol", "dave", "erin", "frank"]
    assert [any_of(people[:count]) for count in (0, 1, 2, 3, 5)] == [
        "nobody",
        "bob",
        "bob or carol",
        "bob, carol or dave",
        "bob, carol, dave or 2 others",
    ]
    assert (all_of(people[:1]), all_of(people[:3])) == ("bob", "bob, carol and dave")
    assert (plural(1, "process"), plural(2, "process"), plural(0, "approval")) == (
        "1 process",
        "2 processes",
        "0 approvals",
    )


@given(st.text())
def test_safe_text_is_one_visible_line_and_safe_is_idempotent(text: str) -> None:
    shown = safe(text)
    assert shown.isprintable()
    assert safe(shown) == shown


def test_safe_leaves_ordinary_text_of_any_script_alone() -> None:
    for text in ("deploy INC-7", "naïve café", "北京", "привет", "✔ ok"):
        assert safe(text) == text


@given(
    st.recursive(
        st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_is_sent_to_the_agent_is_json_on_one_ascii_line(value: object) -> None:
    line = agent_client.encode(value)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == value
    assert agent_client.decode(f'{{"x": {line}}}\n'.encode()) == {"x": value}


@given(st.binary())
def test_any_bytes_of_the_agent_are_an_object_or_an_error(line: bytes) -> None:
    with suppress(agent_client.AgentGone):
        assert isinstance(agent_client.decode(line), dict)


def test_text_that_is_not_unicode_is_not_sent() -> None:
    with pytest.raises(Failure) as refusal:
        agent_client.encode({"argv": ["\udcff"]})
    assert refusal.value.status == 65


def test_every_code_has_its_exit_status_and_an_unknown_one_is_a_plain_failure() -> None:
    spec = (_ROOT / "protos" / "SPEC.md").read_text()
    for code, status in EXIT_STATUS.items():
        assert f"`{code}` {status}" in spec
    assert Failure("something new", "").status == 1
    assert Interrupted("").status == 130


def test_a_completion_script_is_printed_as_installed(tmp_path: Path) -> None:
    place = tmp_path / completion.SCRIPTS["fish"].lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_text("complete -c jit\n")
    assert completion.script("fish", str(tmp_path)) == "complete -c jit\n"
    with pytest.raises(Failure) as refusal:
        completion.script("zsh", str(tmp_path))
    assert refusal.value.status == 6


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((_ROOT / "agent" / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
