"""Expressions, digests, directory and variables of a grant: read strictly, and never widened on the way to sudo."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jit_enforcer import applying, commands, ending, gate, grant, parseback, sudoers
from jit_enforcer.accounts import RunAs
from jit_enforcer.errors import Malformed, NotAdmitted, Unsafe
from jit_enforcer.host import Host
from jit_enforcer.recording import Recording, environment
from jit_enforcer.sudoargs import Ask
from unit.enforcer.conftest import SECOND, AtTheGate, Signer, fields

ROOT = RunAs(0, None)
EVENTS = Recording("events", required=False, subcommands=False, watch_s=0)
DIGEST = "0a" * 32
SERVICES = {"path": "/usr/bin/systemctl", "args": {"regex": "^(start|stop) [a-z0-9@-]+$"}, "sha256": ""}
PINNED = {"path": "/opt/x", "args": None, "sha256": DIGEST}
ONE, OTHER = "gnt-0000000000000001", "gnt-0000000000000002"


def parsed(**changes: Any) -> grant.Grant:
    return grant.parse(json.dumps(fields(**changes)).encode())


def check(found: grant.Grant) -> None:
    parseback.check_text(sudoers.rule(found, ROOT), defaults=[], rules=[sudoers.expected_rule(found, ROOT)])


@pytest.mark.parametrize(
    "command",
    [
        SERVICES | {"args": "x"},
        SERVICES | {"args": {}},
        SERVICES | {"args": {"regex": None}},
        SERVICES | {"args": {"regex": "^a$", "more": "x"}},
        SERVICES | {"args": {"regex": "a"}},
        SERVICES | {"args": {"regex": "^.*$"}},
        SERVICES | {"args": {"regex": "^a$, /bin/sh"}},
        SERVICES | {"args": {"regex": "^a\n$"}},
        SERVICES | {"args": {"regex": "^[^a]$"}},
        PINNED | {"sha256": "0A" * 32},
        PINNED | {"sha256": "0a" * 31},
        PINNED | {"sha256": f"{DIGEST} /bin/sh, /x"},
        PINNED | {"sha256": None},
        {"path": "/opt/x", "args": None},
        PINNED | {"more": 1},
    ],
)
def test_a_command_that_is_not_exactly_of_the_table_is_refused(command: dict[str, Any]) -> None:
    parsed(commands=[SERVICES, PINNED])
    with pytest.raises(Malformed):
        parsed(commands=[command])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("directory", None),
        ("directory", "srv"),
        ("directory", "//"),
        ("directory", "*"),
        ("directory", "~"),
        ("directory", "/srv/"),
        ("directory", "/srv/../etc"),
        ("directory", "/srv/a b"),
        ("directory", "/srv NOPASSWD: ALL"),
        ("directory", "/" + "d" * 4_096),
        ("environment", None),
        ("environment", "LINES"),
        ("environment", ["*"]),
        ("environment", ["LC_*"]),
        ("environment", ["A=B"]),
        ("environment", ['A" !env_reset, env_keep+="B']),
        ("environment", ["1A"]),
        ("environment", ["B", "A"]),
        ("environment", ["A", "A"]),
        ("environment", [1]),
        ("environment", [""]),
        ("environment", [f"V{n:02}" for n in range(65)]),
    ],
)
def test_a_directory_or_variable_that_could_say_more_is_refused(key: str, value: object) -> None:
    parsed(directory="/srv/app@1", environment=["COLUMNS", "LINES"])
    with pytest.raises(Malformed):
        parsed(**{key: value})


def test_expression_digest_and_directory_are_written_and_read_back_as_meant() -> None:
    found = parsed(commands=[SERVICES, PINNED, PINNED | {"args": []}], directory="/srv/app@1")
    text = sudoers.rule(found, ROOT)
    assert " CWD=/srv/app@1 NOTAFTER=" in text
    assert "/usr/bin/systemctl ^(start|stop) [a-z0-9@-]+$, " in text
    assert text.endswith(f'sha256:{DIGEST} /opt/x, sha256:{DIGEST} /opt/x ""\n')
    check(found)
    check(parsed(directory="/srv"))
    check(parsed(directory="/"))
    for other in (
        replace(found, directory="/srv"),
        replace(found, directory=""),
        parsed(commands=[SERVICES, PINNED | {"sha256": "1b" * 32}, PINNED | {"args": []}], directory="/srv/app@1"),
        parsed(commands=[SERVICES, PINNED | {"sha256": ""}, PINNED | {"args": []}], directory="/srv/app@1"),
    ):
        with pytest.raises(Unsafe):
            parseback.check_text(text, defaults=[], rules=[sudoers.expected_rule(other, ROOT)])


EXPRESSIONS = st.lists(
    st.sampled_from([*"ab0 :=,/!\"'~&;<>@%-_`", r"\#", r"\\", r"\$", r"\^", "[a-c]+", "[0-9,:=-]{2}", "(a|b c)?"]),
    min_size=1, max_size=8,
).map(lambda parts: f"^{''.join(parts)}$")  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS)
def test_every_expression_reaches_sudo_unchanged(text: str) -> None:
    check(parsed(commands=[SERVICES | {"args": {"regex": text}}, PINNED]))


def test_variables_are_added_to_those_that_are_kept_and_only_these() -> None:
    for names in ((), ("LINES",), ("COLUMNS", "LINES")):
        text, meant = sudoers.defaults(4001, EVENTS, names), sudoers.expected_defaults(4001, EVENTS, names)
        parseback.check_text(text, defaults=[meant], rules=[])
        for other in (("LINES", "PAGER"), ("PAGER",)):
            with pytest.raises(Unsafe):
                wrong = sudoers.expected_defaults(4001, EVENTS, other)
                parseback.check_text(text, defaults=[wrong], rules=[])
    replacing = sudoers.defaults(4001, EVENTS, ("LINES",)).replace("env_keep+=", "env_keep=")
    with pytest.raises(Unsafe):
        parseback.check_text(replacing, defaults=[sudoers.expected_defaults(4001, EVENTS, ("LINES",))], rules=[])


def test_of_several_grants_only_what_all_of_them_pass_is_passed() -> None:
    one, other = parsed(environment=["COLUMNS", "LINES"]), parsed(environment=["LINES", "PAGER"])
    assert environment([]) == ()
    assert environment([one]) == ("COLUMNS", "LINES")
    assert environment([one, other]) == ("LINES",)
    assert environment([one, other, parsed()]) == ()


def kept(host: Host) -> str:
    text = (host.paths.dropins / "uid-4001").read_text()
    return text.partition("env_keep+=")[2].partition('"')[2].partition('"')[0]


def test_a_second_grant_narrows_the_variables_before_its_rule_stands_and_its_end_gives_them_back(
    host: Host, signer: Signer
) -> None:
    applying.apply(host, signer.grant(grant=ONE, environment=["COLUMNS", "LINES"]))
    assert kept(host) == "COLUMNS LINES"
    second = applying.apply(host, signer.grant(grant=OTHER, environment=["LINES"]))
    assert kept(host) == "LINES"
    ending.end(host, [second], "revoked")
    assert kept(host) == "COLUMNS LINES"


def test_a_host_with_rules_for_a_directory_of_its_own_still_takes_grants(host: Host, signer: Signer) -> None:
    """cvtsudoers below 1.9.16 writes these two options as no JSON."""
    rules = "bob ALL=(root) CWD=/srv CHROOT=/mnt NOPASSWD: /usr/bin/id\n"
    host.paths.sudoers.write_text(rules + host.paths.sudoers.read_text())
    entry = applying.apply(host, signer.grant(commands=[SERVICES], directory="/srv"))
    assert "CWD=/srv " in (host.paths.dropins / ONE).read_text()
    assert entry.state == "live"


@pytest.mark.parametrize(
    ("line", "covered"),
    [
        ("sudo systemctl stop nginx", True),
        ("sudo /usr/bin/systemctl start a@b-1", True),
        ("sudo systemctl stop", False),
        ("sudo systemctl reload nginx", False),
        ("sudo systemctl stop nginx sshd", False),
        ("sudo /opt/x anything", True),
    ],
)
def test_the_gate_matches_arguments_as_sudo_does(
    host: Host, signer: Signer, at_the_gate: AtTheGate, line: str, *, covered: bool
) -> None:
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    applying.apply(host, signer.grant(commands=[SERVICES, PINNED]))
    if covered:
        assert at_the_gate(line) == ONE
    else:
        with pytest.raises(NotAdmitted):
            at_the_gate(line)
    assert at_the_gate("sudo -u bob who") is None


@pytest.mark.usefixtures("people")
def test_an_argument_with_a_blank_is_not_what_the_grant_is_for(tmp_path: Path) -> None:
    found = parsed(commands=[SERVICES])

    def chosen(*words: str) -> grant.Grant | None:
        return gate.choose(Ask(None, None, shell=False, login=False, argv=words), [found], process=tmp_path)

    assert chosen("systemctl", "stop", "nginx") is found
    assert chosen("systemctl", "stop nginx") is None
    assert chosen("systemctl", "stop", "nginx", "") is None
    assert chosen("systemctl", "stop", "é") is None


def test_the_hosts_own_rules_wait_while_a_grant_passes_variables(
    host: Host, signer: Signer, at_the_gate: AtTheGate
) -> None:
    """The variables are kept for the person as a whole, so a standing rule would be widened (S1)."""
    host.paths.ceiling.write_text('standing_sudo = "allow"')
    passing = applying.apply(host, signer.grant(commands=[SERVICES], environment=["LINES"]))
    with pytest.raises(NotAdmitted, match="variables of yours"):
        at_the_gate("sudo -u bob who")
    applying.apply(host, signer.grant(grant=OTHER, commands=[SERVICES]))
    with pytest.raises(NotAdmitted, match="variables of yours"):
        at_the_gate("sudo -u bob who")
    ending.end(host, [passing], "dropped")
    assert at_the_gate("sudo -u bob who", started_us=host.clock.boot_us() + SECOND) is None


def test_a_status_shows_commands_as_they_were_signed(host: Host, signer: Signer) -> None:
    applying.apply(host, signer.grant(commands=[SERVICES, PINNED]))
    status = commands.parse(b'{"op": "status"}')
    assert status is not None
    (live,) = json.loads(json.dumps(status(host)))["live"]
    assert live["commands"] == [SERVICES, PINNED]
