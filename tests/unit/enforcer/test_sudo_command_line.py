"""sudo's command line read as sudo reads it, and the grant it belongs to (REVIEW 4, 9)."""

import json
from pathlib import Path
from typing import Any

import pytest

from jit_enforcer import gate, grant, sudoargs
from jit_enforcer.errors import NotAdmitted
from jit_enforcer.sudoargs import Ask
from unit.enforcer.conftest import NOW, SECOND, fields


def ask(*argv: str, user: str | None = None, group: str | None = None, shell: bool = False, login: bool = False) -> Ask:
    return Ask(user, group, shell, login, argv)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("sudo id", ask("id")),
        ("sudo -n id -u", ask("id", "-u")),
        ("sudo -- id", ask("id")),
        ("sudo -- A=b id", ask("A=b", "id")),
        ("sudo A=b id", ask("id")),
        ("sudo A=b -n C=d id", ask("id")),
        ("sudo /a=b x", ask("/a=b", "x")),
        ("sudo -u bob id", ask("id", user="bob")),
        ("sudo -ubob id", ask("id", user="bob")),
        ("sudo -nubob id", ask("id", user="bob")),
        ("sudo -nu bob id", ask("id", user="bob")),
        ("sudo -u bob -u carol id", ask("id", user="carol")),
        ("sudo --user=bob id", ask("id", user="bob")),
        ("sudo --user bob id", ask("id", user="bob")),
        ("sudo --us bob id", ask("id", user="bob")),
        ("sudo -u #1001 -g #4 id", ask("id", user="#1001", group="#4")),
        ("sudo -g adm id", ask("id", group="adm")),
        ("sudo --group=adm id", ask("id", group="adm")),
        ("sudo -s", ask(shell=True)),
        ("sudo -i", ask(login=True)),
        ("sudo --login -n", ask(login=True)),
        ("sudo -i id", ask("id", login=True)),
        ("sudo -sH ls -l", ask("ls", "-l", shell=True)),
        ("sudo -p x -C 5 -T 9 id", ask("id")),
        ("sudo -k id", ask("id")),
        ("sudo -", ask("-")),
        ("sudo -u bob -n -- -x", ask("-x", user="bob")),
        ("/usr/bin/sudo id", ask("id")),
        ("whatever id", ask("id")),
        ("sudo", ask()),
    ],
)
def test_a_command_line_is_read_as_sudo_reads_it(line: str, meant: Ask) -> None:
    assert sudoargs.parse(line.split()) == meant


@pytest.mark.parametrize(
    "line",
    [
        "sudoedit /etc/shadow",
        "/usr/bin/sudoedit x",
        "sudo -e /etc/shadow",
        "sudo -h web2 id",
        "sudo -hweb2 id",
        "sudo --host=web2 id",
        "sudo --host web2 id",
        "sudo -R / id",
        "sudo --chroot=/ id",
        "sudo -E id",
        "sudo -nE id",
        "sudo --preserve-env id",
        "sudo --preserve-env=A id",
        "sudo -D / id",
        "sudo -r r id",
        "sudo -t t id",
        "sudo -l",
        "sudo -v",
        "sudo -K",
        "sudo -V",
        "sudo -U bob id",
        "sudo -p -- ./a=b/tail /usr/bin/id",
        "sudo --prompt -- ./a=b/tail /usr/bin/id",
        "sudo -np -- id",
        "sudo -z id",
        "sudo --zap id",
        "sudo --pre id",
        "sudo -u",
        "sudo --user",
    ],
)
def test_what_no_grant_can_name_is_refused(line: str) -> None:
    with pytest.raises(NotAdmitted):
        sudoargs.parse(line.split())


def test_an_empty_command_line_is_refused() -> None:
    with pytest.raises(NotAdmitted):
        sudoargs.parse([])


def parsed(**changes: Any) -> grant.Grant:
    return grant.parse(json.dumps(fields(**changes)).encode())


ID_U = [{"path": "/usr/bin/id", "args": ["-u"], "sha256": ""}]


@pytest.mark.parametrize(
    ("changes", "asked", "covered"),
    [
        ({}, ask("id"), True),
        ({}, ask("id", user="root"), True),
        ({}, ask("id", user="#0"), True),
        ({}, ask("id", user="bob"), False),
        ({}, ask("id", user="nobody-here"), False),
        ({}, ask("id", group="adm"), False),
        ({}, ask("id", user="root", group="adm"), False),
        ({"run_as_group": "adm"}, ask("id", user="root", group="adm"), True),
        ({"run_as_group": "adm"}, ask("id", user="root", group="#4"), True),
        ({"run_as_group": "adm"}, ask("id"), False),
        ({"run_as_group": "adm"}, ask("id", group="adm"), False),
        ({"run_as_user": "alice", "run_as_group": "adm"}, ask("id", group="adm"), True),
        ({"run_as_user": "postgres"}, ask("id"), False),
        ({"run_as_user": "postgres"}, ask("id", user="postgres"), True),
        ({}, ask(shell=True), False),
        ({}, ask(login=True), False),
        ({"shell": True}, ask(shell=True), True),
        ({"shell": True}, ask(login=True), True),
        ({"commands": ID_U}, ask("id", "-u"), True),
        ({"commands": ID_U}, ask("/usr/bin/id", "-u"), True),
        ({"commands": ID_U}, ask("id"), False),
        ({"commands": ID_U}, ask("id", "-u", "-n"), False),
        ({"commands": ID_U}, ask("id", "-u", shell=True), False),
        ({"commands": ID_U}, ask("/tmp/id", "-u"), False),
        ({"commands": [{"path": "/usr/bin/id", "args": None, "sha256": ""}]}, ask("id", "-G", "bob"), True),
    ],
)
@pytest.mark.usefixtures("people")
def test_a_grant_covers_what_it_names_and_nothing_else(
    tmp_path: Path, changes: dict[str, Any], asked: Ask, covered: bool
) -> None:
    assert (gate.choose(asked, [parsed(**changes)], process=tmp_path) is not None) is covered


@pytest.mark.parametrize(
    ("changes", "asked", "possible"),
    [
        ({}, ask("id"), True),
        ({}, ask("id", user="bob"), False),
        ({}, ask("id", user="root", group="root"), True),
        ({}, ask("id", group="adm"), False),
        ({}, ask(shell=True), True),
        ({"commands": ID_U}, ask("id", "-G"), True),
        ({"commands": ID_U}, ask("/tmp/x/id"), True),
        ({"commands": ID_U}, ask("id", "-u", user="root", group="root"), True),
        ({"commands": ID_U}, ask("who"), False),
        ({"commands": ID_U}, ask("who", login=True), True),
    ],
)
@pytest.mark.usefixtures("people")
def test_what_sudo_could_read_into_a_rule_is_more_than_a_grant_covers(
    changes: dict[str, Any], asked: Ask, possible: bool
) -> None:
    assert gate.could_match(asked, parsed(**changes)) is possible


@pytest.mark.usefixtures("people")
def test_the_same_program_under_another_path_is_covered(tmp_path: Path) -> None:
    (tmp_path / "root/usr/bin").mkdir(parents=True)
    (tmp_path / "root/usr/bin/id").touch()
    (tmp_path / "root/bin").symlink_to("usr/bin")
    (tmp_path / "root/home").mkdir()
    (tmp_path / "root/home/id").touch()
    (tmp_path / "cwd").symlink_to("root/usr")
    found = parsed(commands=ID_U)
    for path, covered in {"/bin/id": True, "//bin/id": True, "bin/id": True, "/home/id": False, "./id": False}.items():
        assert (gate.choose(ask(path, "-u"), [found], process=tmp_path) is found) is covered, path


@pytest.mark.usefixtures("people")
def test_of_several_the_strictest_recording_wins_and_then_the_latest_end(tmp_path: Path) -> None:
    lax = parsed(record="none", not_after=NOW + 9000 * SECOND)
    early = parsed(record="output", not_after=NOW + 100 * SECOND)
    late = parsed(record="output", not_after=NOW + 200 * SECOND)
    assert gate.choose(ask("id"), [lax, late, early], process=tmp_path) is late
    assert gate.choose(ask("id"), [], process=tmp_path) is None


def held(grant_id: str, sha256: str, **changes: Any) -> grant.Grant:
    return parsed(grant=grant_id, commands=[{"path": "/opt/deploy", "args": None, "sha256": sha256}], **changes)


@pytest.mark.usefixtures("people")
def test_a_grant_that_takes_any_content_goes_before_one_that_is_held_to_a_digest(tmp_path: Path) -> None:
    """Only sudo sees what the file holds: by the rule of the pinned one it may not have gone."""
    pinned = held("gnt-0000000000000001", "0a" * 32)
    free = held("gnt-0000000000000002", "", once=True)
    asked = ask("/opt/deploy", "--now")
    assert gate.choose(asked, [pinned, free], process=tmp_path) == free
    assert gate.choose(asked, [pinned], process=tmp_path) == pinned
    assert not gate.is_doubtful(free, asked, [pinned, free])
    assert not gate.is_doubtful(pinned, asked, [pinned])
    assert not gate.is_doubtful(pinned, asked, [pinned, held("gnt-0000000000000003", "0a" * 32)])
    assert gate.is_doubtful(pinned, asked, [pinned, free])
    assert gate.is_doubtful(pinned, asked, [pinned, held("gnt-0000000000000003", "1b" * 32)])
    assert not gate.is_doubtful(pinned, asked, [pinned, parsed(commands=ID_U)])
