"""Values as JSON text in a column, and back; canonical, so that equal values are equal text."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from jit_server.domain.ask import ALL, Ask, Command, Commands
from jit_server.domain.policy import PolicyFile
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


def dump_ask(ask: Ask) -> str:
    return dump(dataclasses.asdict(ask))


def ask(text: str) -> Ask:
    fields = json.loads(text)
    return Ask(**{**fields, "argv": tuple(fields["argv"])})


def dump_commands(commands: Commands) -> str:
    if commands == ALL:
        return dump(ALL)
    return dump([[command.path, command.args] for command in commands])


def commands(text: str) -> Commands:
    value = json.loads(text)
    if value == ALL:
        return ALL
    return tuple(Command(path, None if args is None else tuple(args)) for path, args in value)


def dump_files(files: Iterable[PolicyFile]) -> str:
    return dump([[file.name, file.text] for file in files])


def files(text: str) -> tuple[PolicyFile, ...]:
    return tuple(PolicyFile(name, content) for name, content in json.loads(text))


def dump_report(body: ReportBody) -> str:
    return dump(dataclasses.asdict(body))
