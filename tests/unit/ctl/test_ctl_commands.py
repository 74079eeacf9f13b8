"""The command tree: help everywhere, a man page that knows all of it, quick starts, statuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from jit_ctl.errors import EXIT_STATUS, CtlError
from jit_ctl.main import cli, run
from jit_ctl.trust import address, parse_fingerprint
from jit_server.domain.alert import AlertKind

ROOT = Path(__file__).parents[3]
MAN_PAGE = (ROOT / "packaging/man/jitctl.1.scd").read_text()


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*path, name))


TREE = dict(walk(cli))
LEAVES = {path: command for path, command in TREE.items() if not isinstance(command, click.Group)}


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path, "--help"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"Usage: {' '.join(('jitctl', *path))} ")
    assert told.err == ""


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_explains_itself(path: tuple[str, ...]) -> None:
    for parameter in LEAVES[path].params:
        assert not isinstance(parameter, click.Option) or parameter.help


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_the_man_page_names_every_command_and_option(path: tuple[str, ...]) -> None:
    words = " ".join(("jitctl", *path))
    # A command with options ends the bold words; a plain one closes with the star.
    assert re.search(rf"\*{words}\*", MAN_PAGE) or re.search(rf"\*{words}(?=\s)", MAN_PAGE)
    for parameter in LEAVES[path].params:
        if isinstance(parameter, click.Option):
            for name in parameter.opts:
                assert f"*{name}*" in MAN_PAGE, name


def test_the_man_page_names_no_option_that_does_not_exist() -> None:
    known = {name for command in LEAVES.values() for parameter in command.params for name in parameter.opts}
    assert set(re.findall(r"\*(--?[a-z-]+)\*", MAN_PAGE)) <= known | {"-h", "--help", "-", "--"}


def test_the_man_page_gives_every_exit_status() -> None:
    section = MAN_PAGE.partition("# EXIT STATUS")[2].partition("# ENV")[0]
    assert {int(number) for number in re.findall(r"\*(\d+)\*", section)} == {0, 130, *EXIT_STATUS.values()}


def test_the_man_page_explains_every_kind_of_alert() -> None:
    section = MAN_PAGE.partition("# ALERTS")[2].partition("# ADMIN")[0]
    assert re.findall(r"\*([a-z_]+)\*:", section) == list(AlertKind)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_that_prints_takes_the_common_options(path: tuple[str, ...]) -> None:
    names = {name for parameter in LEAVES[path].params for name in parameter.opts}
    if path != ("completion",):
        assert {"-o", "--no-header", "-q", "--utc"} <= names


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["requests"], ["requests", "nonsense"], ["requests", "ls", "--nonsense"], ["requests", "show"]],
)
def test_wrong_usage_is_status_2_and_one_line_with_a_hint(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr()
    first, hint = told.err.splitlines()
    assert first.startswith("jitctl: ")
    assert hint.startswith("hint: see 'jitctl")
    assert told.out == ""


def test_usage_errors_are_json_when_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["requests", "show", "-o", "json"]) == 2
    assert capsys.readouterr().err.startswith('{"error": {"code": "usage"')


def test_an_unknown_code_word_is_a_plain_failure() -> None:
    assert CtlError("brand_new", "x").exit_status == 1


@pytest.mark.parametrize(
    ("text", "meant"),
    [("jit.example.org", "jit.example.org:7444"), ("10.0.0.1:99", "10.0.0.1:99"), ("[::1]", "[::1]:7444")],
)
def test_an_address_gets_the_bootstrap_port(text: str, meant: str) -> None:
    assert address(text) == meant


@pytest.mark.parametrize(
    "text", ["", ":", "a b", "host:0", "host:65536", "host:x", "::1", "unix:/tmp/x", "a/b", "dns:///x"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(CtlError) as refused:
        address(text)
    assert refused.value.code == "usage"


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:12", "md5:" + "0" * 64, "0" * 64, "sha256:" + "g" * 64])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(CtlError):
        parse_fingerprint(text)


def program(*arguments: str, code: str = "from jit_ctl.main import main; main()") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ,
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_JITCTL_COMPLETE" in capsys.readouterr().out


def test_the_bash_script_completes_verbs() -> None:
    script = program("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    code = (
        "import os; os.environ.update(_JITCTL_COMPLETE='bash_complete', COMP_WORDS='jitctl requests a', COMP_CWORD='2')"
    )
    assert program(code=f"{code}\nfrom jit_ctl.main import main; main()").stdout == "plain,approve\n"


def test_help_and_a_missing_login_load_neither_grpc_nor_cryptography_nor_rich() -> None:
    code = (
        "import sys; from jit_ctl.main import run; run(['requests', 'ls', '--help'])\n"
        "print([name for name in ('grpc', 'cryptography', 'rich', 'google.protobuf', 'segno') if name in sys.modules])"
    )
    assert program(code=code).stdout.endswith("[]\n")


@pytest.mark.parametrize("arguments", [["completion", "zsh"], ["--help"], ["version"], ["version", "-o", "json"]])
def test_a_reader_that_went_away_is_no_traceback(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        told = subprocess.run(
            [sys.executable, "-m", "jit_ctl", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert (told.returncode, told.stderr) == (1, b"")


def test_a_bug_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: 1 / 0)
    assert run(["version"]) == 1
    told = capsys.readouterr()
    assert told.err == "jitctl: ZeroDivisionError: division by zero\nhint: please report this\n"
