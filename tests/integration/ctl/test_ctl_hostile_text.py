"""S12: whatever others wrote, a terminal shows it and does not obey it; JSON keeps it exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pexpect
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from jit_protos.v1 import admin_pb2, audit_pb2, people_pb2, policy_pb2, sessions_pb2
from jit_testing.ctl_certificates import Authority
from jit_testing.ctl_values import request
from jit_testing.fake_ctl_server import FakeServer
from jit_testing.fake_ctl_state import TOKEN

HOSTILE = (
    "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x1b\\\x9b31m\x00\x7f\r\n\t\u202eevil\u2066\u200b\u200d\ufeff\u2028"
    "\u3164\ufe0f\U000e0041[bold red]markup[/bold red][link=x]:boom:[/nope]%s{0}$(id)`id`'\"\\"
)
COMMANDS = [
    "requests ls --all",
    "requests show x",
    "requests approve x",
    "requests deny x -m no",
    "requests cancel x",
    "grants ls --all",
    "grants show x",
    "grants revoke x -m no",
    "grants drop x",
    "sessions ls",
    "sessions show x",
    "sessions freeze x -m no",
    "sessions thaw x -m no",
    "sessions kill x -y -m no",
    "sessions verify x",
    "lock user x -m no",
    "unlock x -m no",
    "locks ls --all",
    "alerts",
    "hosts ls",
    "hosts rm x -y",
    "hosts enroll-token x",
    "users ls",
    "users add x",
    "users disable x",
    "users mfa-reset x -y",
    "policy lint FILE -v",
    "policy test FILE -v",
    "policy plan FILE",
    "policy apply FILE -y",
    "policy rollback 1 -y",
    "policy diff FILE",
    "policy show",
    "policy history",
    "policy changes --all",
    "policy change show x --diff",
    "policy change approve x",
    "policy change reject x -m no",
    "policy explain x x /bin/x",
    "policy who-can",
    "policy what-can x",
    "policy test-command x /bin/x",
    "policy suggest x",
    "eligibility ls",
    "eligibility renewals --all",
    "eligibility renew x -m no",
    "eligibility approve x",
    "eligibility deny x -m no",
    "audit ls",
    "audit tail",
    "whoami",
]


def hostile(kind: Descriptor, *around: Descriptor) -> Any:
    """A message with every text hostile, every number and choice 1, every list of one, and none inside its own kind."""
    message = GetMessageClass(kind)()
    for field in kind.fields:
        if field.message_type in {kind, *around}:
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            getattr(message, field.name)[HOSTILE] = HOSTILE
        elif field.message_type:
            part = hostile(field.message_type, kind, *around)
            target = getattr(message, field.name)
            target.append(part) if field.is_repeated else target.CopyFrom(part)
        else:
            value: Any = HOSTILE if field.type == FieldDescriptor.TYPE_STRING else 1
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    return message


class Liar(FakeServer):
    """Logs people in, and answers everything else with hostile texts."""


def _unary(answer: Descriptor) -> Callable[..., Any]:
    return lambda self, message, context: hostile(answer)


def _stream(answer: Descriptor) -> Callable[..., Iterator[Any]]:
    return lambda self, message, context: iter([hostile(answer)])


for service in (
    people_pb2.DESCRIPTOR.services_by_name["PeopleService"],
    admin_pb2.DESCRIPTOR.services_by_name["AdminService"],
    audit_pb2.DESCRIPTOR.services_by_name["AuditService"],
    policy_pb2.DESCRIPTOR.services_by_name["PolicyService"],
    sessions_pb2.DESCRIPTOR.services_by_name["SessionService"],
):
    for method in service.methods:
        setattr(Liar, method.name, (_stream if method.server_streaming else _unary)(method.output_type))


@pytest.fixture
def liar(authority: Authority, jitctl: Any) -> Iterator[Liar]:
    with Liar(authority) as server:
        assert jitctl.login(server).status == 0
        yield server


def assert_harmless(text: str) -> None:
    """Only what can be seen, apart from the line breaks and tabs that are ours."""
    odd = {character for character in text if character not in "\n\r\t" and not character.isprintable()}
    assert odd == set()
    assert not set("\u3164\ufe0f") & set(text)


def words(command: str, folder: Path) -> list[str]:
    file = folder / "policy.yaml"
    file.write_text("version: 1\n")
    return [str(file) if word == "FILE" else word for word in command.split()]


@pytest.mark.parametrize("command", COMMANDS)
def test_on_a_terminal_nothing_hostile_arrives(liar: Liar, on_terminal: Any, tmp_path: Path, command: str) -> None:
    child = on_terminal(*words(command, tmp_path), columns=400)
    child.expect(pexpect.EOF)
    assert_harmless(child.before)
    assert "Traceback" not in child.before


@pytest.mark.parametrize("command", ["requests watch", "alerts -w"])
def test_watching_on_a_terminal_shows_it_harmless_too(liar: Liar, on_terminal: Any, command: str) -> None:
    child = on_terminal(*command.split(), term="xterm", columns=400)
    child.expect_exact("; Ctrl-C leaves")
    # What the live table needs itself: move, erase the line, colour, hide the cursor.  None of it is in HOSTILE.
    shown = re.sub(r"\x1b\[(?:[0-9]*A|2K|[0-9;]*m|\?25[lh])", "", child.before)
    assert "]52;c;ZXZpbA==" in shown
    assert_harmless(shown)


@pytest.mark.parametrize("command", COMMANDS)
def test_into_a_pipe_nothing_hostile_arrives_and_an_item_stays_one_line(
    liar: Liar, jitctl: Any, tmp_path: Path, command: str
) -> None:
    told = jitctl(*words(command, tmp_path))
    assert_harmless(told.err)
    if command in {"policy show", "policy suggest x"}:
        assert HOSTILE.replace("\r\n", "\n") in told.out.replace("\r\n", "\n")  # a file is given as it is
        return
    assert_harmless(told.out)
    if command.endswith(("ls", "ls --all", "tail", "alerts")):
        header, line = told.out.splitlines()
        assert header.count("\t") == line.count("\t")


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_printable_ascii_and_exact(liar: Liar, jitctl: Any, tmp_path: Path, command: str) -> None:
    form = "jsonl" if command == "audit tail" else "json"
    told = jitctl(*words(command, tmp_path), "-o", form)
    assert told.out.isascii()
    assert_harmless(told.out)
    assert HOSTILE in _texts(json.loads(told.out))


def _texts(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(_texts, [*value.keys(), *value.values()]))
    if isinstance(value, list):
        return set().union(*map(_texts, value))
    return {value} if isinstance(value, str) else set()


@pytest.mark.parametrize(
    "command",
    [
        *("requests ls", "grants ls", "sessions ls", "locks ls", "alerts", "hosts ls", "users ls", "audit ls"),
        *("policy history", "policy who-can", "policy changes --all", "eligibility ls", "eligibility renewals --all"),
    ],
)
def test_names_are_harmless_too(liar: Liar, jitctl: Any, command: str) -> None:
    assert_harmless(jitctl(*command.split(), "-o", "name").out)


def test_markup_is_shown_as_it_was_written(alice: Any, server: FakeServer, on_terminal: Any) -> None:
    made = request(1, reason=" [bold red]now[/bold red] :boom: [/nope]")
    server.put(made)
    child = on_terminal("requests", "ls", term="xterm-256color")
    child.expect_exact("[bold red]now[/bold red] :boom: [/nope]")


def test_an_error_with_hostile_text_is_one_harmless_line(alice: Any, server: FakeServer) -> None:
    server.failure = (grpc.StatusCode.UNKNOWN, HOSTILE.replace("\x00", ""), "denied", HOSTILE)
    for form in ("table", "json"):
        told = alice("requests", "ls", "-o", form)
        assert (told.status, told.out) == (5, "")
        assert_harmless(told.err)
        assert told.err.count("\n") == (2 if form == "table" else 1)
    assert told.error["hint"] == HOSTILE


def test_hostile_arguments_come_back_harmless(jitctl: Any) -> None:
    for arguments in (
        [HOSTILE],
        ["requests", HOSTILE],
        ["requests", "ls", f"--{HOSTILE}"],
        ["login", "--server", HOSTILE],
    ):
        told = jitctl(*arguments)
        assert (told.status, told.out) == (2, "")
        assert_harmless(told.err)


def test_two_commands_that_differ_look_different(alice: Any, server: FakeServer) -> None:
    """An escape character and the letters of its escape must not be taken for each other by an approver."""
    lines = set()
    for number, argument in enumerate(["\x1b", r"\x1b", "a b", "a\\ b", "'a", "", "\u202e", r"\u202e"]):
        made = request(number)
        made.ask.argv[:] = ["/bin/echo", argument]
        server.put(made)
        lines.add(alice("requests", "ls", "--no-header", "-n", "1").out.split("\t")[4])
    assert len(lines) == 8


def test_an_offer_of_a_second_factor_is_harmless(
    jitctl: Any, server: FakeServer, on_terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jitctl.login(server)
    offer = people_pb2.DESCRIPTOR.services_by_name["Access"].methods_by_name["BeginTotp"].output_type
    monkeypatch.setattr(FakeServer, "BeginTotp", _unary(offer))
    child = on_terminal("mfa", "enroll", "--token", TOKEN)
    child.expect_exact("type the code")
    assert_harmless(child.before)
