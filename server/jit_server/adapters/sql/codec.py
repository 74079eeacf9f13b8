"""Values as JSON text in a column, and back; canonical, so that equal values are equal text."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from jit_server.domain.ask import ALL, Ask, Command, Commands
from jit_server.domain.pattern import Pattern
from jit_server.domain.policy.circumstances import Login, LoginKind, address
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.report import ReportBody


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def labels(text: str) -> dict[str, str]:
    return dict(json.loads(text))


def details(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def dump_names(names: Iterable[str]) -> str:
    return dump(sorted(names))


def dump_map(mapping: Mapping[str, object]) -> str:
    return dump(dict(mapping))


def dump_login(login: Login) -> str:
    source = "" if login.source is None else str(login.source)
    return dump({"kind": login.kind.value, "source": source, "terminal": login.terminal})


def login(text: str) -> Login:
    fields = json.loads(text)
    source = address(fields["source"]) if fields["source"] else None
    return Login(LoginKind(fields["kind"]), source, fields["terminal"])


def dump_ask(ask: Ask) -> str:
    return dump(dataclasses.asdict(ask))


def ask(text: str) -> Ask:
    fields = json.loads(text)
    return Ask(**{**fields, "argv": tuple(fields["argv"])})


def dump_commands(commands: Commands) -> str:
    if commands == ALL:
        return dump(ALL)
    return dump([[command.path, _args(command), command.sha256] for command in commands])


def commands(text: str) -> Commands:
    value = json.loads(text)
    if value == ALL:
        return ALL
    return tuple(Command(path, _read_args(args), sha256) for path, args, sha256 in value)


def _args(command: Command) -> object:
    """A list of words, null for any, or the text of an expression."""
    return command.args.text if isinstance(command.args, Pattern) else command.args


def _read_args(value: list[str] | str | None) -> tuple[str, ...] | Pattern | None:
    match value:
        case None:
            return None
        case str():
            return Pattern(value)
        case words:
            return tuple(words)


def dump_files(files: Iterable[PolicyFile]) -> str:
    return dump([[file.name, file.text] for file in files])


def files(text: str) -> tuple[PolicyFile, ...]:
    return tuple(PolicyFile(name, content) for name, content in json.loads(text))


def dump_report(body: ReportBody) -> str:
    return dump(dataclasses.asdict(body))
