"""Ids, names, asks, quoting and the bytes of a grant."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit_server.domain import ids, shell
from jit_server.domain.ask import ALL, Ask, Command, check_ask
from jit_server.domain.grant import MAX_ENVELOPE, Record, message, remaining_s, too_large
from jit_server.domain.identity import (
    LocalUser,
    check_boot_id,
    check_host_name,
    check_labels,
    check_local_user,
    check_user_name,
)
from jit_server.domain.ids import Kind
from jit_server.domain.mfa import counted, is_code
from jit_server.domain.pattern import Pattern
from jit_server.domain.request import check_reason, check_ticket
from jit_server.errors import Invalid, LimitExceeded
from jit_testing.server_fakes import BOOT, SECOND, START, a_grant, a_host, a_request, a_user


@given(st.binary(min_size=10, max_size=10), st.sampled_from(Kind))
def test_an_id_is_its_kind_and_eighty_bits(random: bytes, kind: Kind) -> None:
    made = ids.new_id(kind, lambda size: random[:size])
    assert ids.is_id(kind, made)
    value = 0
    for char in made.partition("-")[2]:
        value = value * 32 + ids.ALPHABET.index(char)
    assert value.to_bytes(10, "big") == random


def test_people_may_type_the_beginning_of_an_id_with_or_without_its_kind() -> None:
    assert ids.id_prefix(Kind.REQUEST, "req-7f3a") == "req-7f3a"
    assert ids.id_prefix(Kind.REQUEST, "7F3A") == "req-7f3a"
    for bad in ("", "req-", "gnt-7f3a", "7f3", "req-7f3", "7f%", "req-7f3a7f3a7f3a7f3a7", "7f3i", "7f3a\n", "٧"):
        with pytest.raises(Invalid):
            ids.id_prefix(Kind.REQUEST, bad)


@pytest.mark.parametrize("name", ["alice", "a", "alice.smith@example.org", "_svc", "A" * 64])
def test_plain_names_can_be_peoples(name: str) -> None:
    assert check_user_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a\n", "ALL#", "%wheel", "аlice", "a" * 65, "a\x1b[0m", "a,b", "a:b"]
)
def test_names_that_could_be_misread_cannot(name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_user_name(name)
    assert str(refusal.value).isascii()
    assert "\x1b" not in str(refusal.value)


def test_host_names_labels_boot_ids_and_local_users_are_bounded() -> None:
    assert check_host_name("web1.example.org") == "web1.example.org"
    assert check_labels({"tier": "web", "site/rack": "a.1"}) == {"tier": "web", "site/rack": "a.1"}
    assert check_boot_id(BOOT) == BOOT
    assert check_local_user(LocalUser(1, "x")) == LocalUser(1, "x")
    for host in ("", "Web1", "-web", "web_1", "web..1", "a" * 64, "web1\n", ".".join(["a" * 60] * 5)):
        with pytest.raises(Invalid):
            check_host_name(host)
    for labels in ({"": "x"}, {"x": ""}, {"a b": "c"}, {"a": "é"}, {str(n): "x" for n in range(65)}):
        with pytest.raises(Invalid):
            check_labels(labels)
    for boot in ("", BOOT.upper(), BOOT + "\n"):
        with pytest.raises(Invalid):
            check_boot_id(boot)
    for user in (LocalUser(0, "root"), LocalUser(2**32 - 1, "x"), LocalUser(1001, ""), LocalUser(1001, "x" * 257)):
        with pytest.raises(Invalid):
            check_local_user(user)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_a_quoted_command_line_is_read_back_exactly_and_shows_nothing_hidden(words: list[str]) -> None:
    """S12: what an approver reads is what runs."""
    line = shell.join(words)
    assert line.isprintable()
    if "$'" not in line:
        assert shlex.split(line) == words


@pytest.mark.parametrize(
    "words",
    [
        ["echo", "a b", "it's", "$HOME", "", "*"],
        ["printf", "\x1b]52;c;x\x07", "line\nbreak", "\u202eright-to-left\u2066", "zero\u200bwidth", "tab\t'\\"],
        ["\U000e0001tag", "é", "日本", "\x7f"],
    ],
)
def test_bash_reads_a_quoted_command_line_back_exactly(words: list[str]) -> None:
    script = f"printf '%s\\0' {shell.join(words)}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    )
    assert done.stdout.decode().split("\0")[:-1] == words


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (Ask(("/bin/x",) * 1_001), LimitExceeded),
        (Ask(("/bin/x", "y" * 65_536)), LimitExceeded),
        (Ask(("/bin/x", "a\0b")), Invalid),
        (Ask(("id",)), Invalid),
        (Ask(("/bin/x",), run_as_user=""), Invalid),
        (Ask(("/bin/x",), run_as_user="ro\not"), Invalid),
        (Ask(("/bin/x",), run_as_group="g" * 257), Invalid),
        (Ask((), shell=True, login=True), Invalid),
        (Ask((), exact=True), Invalid),
        (Ask((), shell=True, exact=True), Invalid),
    ],
)
def test_an_ask_that_cannot_be_is_refused(ask: Ask, error: type[Invalid]) -> None:
    with pytest.raises(error):
        check_ask(ask)


def test_an_ask_within_the_limits_is_taken() -> None:
    for ask in (Ask(()), Ask(("/bin/x",) * 1_000), Ask(("/bin/x", "é b\n")), Ask(("/bin/x", "-y"), exact=True)):
        assert check_ask(ask) == ask


def test_reasons_and_tickets_over_the_limit_are_refused_never_cut() -> None:
    assert check_reason("x" * 1_000) == "x" * 1_000
    assert check_ticket("x" * 200) == "x" * 200
    with pytest.raises(LimitExceeded, match="1000"):
        check_reason("x" * 1_001)
    with pytest.raises(LimitExceeded, match="200"):
        check_ticket("x" * 201)


@pytest.mark.parametrize(
    "text", ["١٢٣٤٥٦", "１２３４５６", "12345", "1234567", "12345a", " 12345", "123456\n", "-12345", ""]
)
def test_a_code_is_six_ascii_digits(text: str) -> None:
    assert is_code("012345")
    assert not is_code(text)


def test_failures_count_for_fifteen_minutes() -> None:
    quarter = 15 * 60 * SECOND
    assert counted([START, START + 1], START + quarter) == 1
    assert counted([START, START + 1], START + quarter - 1) == 2


def test_the_message_of_a_grant_has_exactly_the_keys_of_the_specification() -> None:
    """SPEC 2.1, 2.2."""
    stop = Command("/usr/bin/systemctl", Pattern("^stop [a-z]+$"), "ab" * 32)
    commands = (Command("/usr/bin/id", ()), Command("/usr/bin/journalctl", None), stop)
    grant = a_grant(a_request(a_user("alice"), a_host()), commands=commands)
    made = message(grant, revision=3, boot_id=BOOT, now=START + 1)
    assert made[:14] == b"\x00\x0cjit grant v1"
    assert json.loads(made[14:]) == {
        "grant": grant.grant_id,
        "revision": 3,
        "host": grant.host_id,
        "boot": BOOT,
        "uid": 1001,
        "user": "alice",
        "run_as_user": "root",
        "run_as_group": "",
        "commands": [
            {"path": "/usr/bin/id", "args": [], "sha256": ""},
            {"path": "/usr/bin/journalctl", "args": None, "sha256": ""},
            {"path": "/usr/bin/systemctl", "args": {"regex": "^stop [a-z]+$"}, "sha256": "ab" * 32},
        ],
        "directory": "",
        "environment": [],
        "shell": False,
        "record": "events",
        "required": True,
        "subcommands": False,
        "watch_s": 0,
        "role": "web",
        "not_before": START,
        "not_after": START + 600 * SECOND,
        "until": START + 600 * SECOND,
        "once": False,
        "session": 0,
        "remaining_s": 600,
    }
    placed = replace(grant, directory="/srv/app", environment=("TERM_PROGRAM", "LINES", "LINES"))
    payload = json.loads(message(placed, revision=1, boot_id=BOOT, now=START)[14:])
    assert (payload["directory"], payload["environment"]) == ("/srv/app", ["LINES", "TERM_PROGRAM"])
    watched = replace(grant, record=Record.INPUT, required=False, subcommands=True, watch_s=60)
    payload = json.loads(message(watched, revision=1, boot_id=BOOT, now=START)[14:])
    assert (payload["record"], payload["required"], payload["subcommands"], payload["watch_s"]) == (
        "input", False, True, 60,
    )  # fmt: skip
    bound = replace(grant, once=True, session=7, lease_s=60)
    payload = json.loads(message(bound, revision=1, boot_id=BOOT, now=START + 30 * SECOND)[14:])
    assert (payload["once"], payload["session"]) == (True, 7)
    assert (payload["not_after"], payload["until"]) == (START + 90 * SECOND, START + 600 * SECOND)
    assert payload["remaining_s"] == 60
    assert (
        json.loads(message(replace(grant, commands=ALL), revision=1, boot_id=BOOT, now=START)[14:])["commands"] == "ALL"
    )


def test_the_largest_grant_the_policy_lets_through_fits_an_envelope() -> None:
    """SPEC 2.1: key id and signature take 72 of its 32,768 bytes."""
    six = (Command("/bin/x", ("y" * 4_040,)),) * 6
    assert too_large(six) is None
    assert too_large((*six, six[0])) is not None
    assert too_large(six, "/" + "d" * 1_000) is not None
    assert too_large(ALL, "/srv", [f"V{n}" for n in range(64)]) is None
    assert too_large(ALL, "/srv", [f"V{n}" for n in range(65)]) is not None
    name = "\U0001f600" * 256
    grant = replace(
        a_grant(a_request(a_user(), a_host()), commands=six),
        local_user=LocalUser(2**32 - 2, name),
        run_as_user=name,
        run_as_group=name,
        role="\U0001f600" * 128,
    )
    assert len(message(grant, revision=2**31, boot_id=BOOT, now=START)) + 72 <= MAX_ENVELOPE


def test_the_seconds_left_are_rounded_up() -> None:
    assert remaining_s(START + 1, START) == 1
    assert remaining_s(START + SECOND, START) == 1
    assert remaining_s(START + SECOND + 1, START) == 2
