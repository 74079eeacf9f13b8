"""One entry of a file held against its shape, and what is wrong with it in words of the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pydantic
from pydantic import TypeAdapter

from jit_server.adapters.policy_yaml import when
from jit_server.adapters.policy_yaml.commands import CommandShape, RegexShape
from jit_server.adapters.policy_yaml.labels import NotShape
from jit_server.adapters.policy_yaml.people import ActiveShape, EligibleShape, PartyShape
from jit_server.adapters.policy_yaml.report import Place, Report
from jit_server.adapters.policy_yaml.role import ConcurrentShape, DurationShape, LeaseShape, MfaShape, TicketShape
from jit_server.adapters.policy_yaml.sections import LabelledShape
from jit_server.adapters.policy_yaml.source import UNREADABLE
from jit_server.adapters.policy_yaml.values import Shape

_INSIDE: Mapping[str, type[Shape]] = {
    "eligible": EligibleShape,
    "active": ActiveShape,
    "approvers": PartyShape,
    "duration": DurationShape,
    "mfa": MfaShape,
    "ticket": TicketShape,
    "concurrent": ConcurrentShape,
    "offline": LeaseShape,
    "commands": CommandShape,
    "args": RegexShape,
    "on": LabelledShape,
}
"""What is inside of a key, for suggestions; of a role's keys, and of the other entries' where they are called so."""

_MESSAGES = {
    "string_type": "must be a text; put it in quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "too_long": "must have at most {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be true, or be left out",
}


def validated(report: Report, adapter: TypeAdapter[Any], place: Place, value: object, known: Iterable[str]) -> Any:
    """The value in its shape; None, and everything that is wrong with it in the report, if it has not got it.

    `known` are the keys of the entry as such.
    """
    try:
        return adapter.validate_python(value, strict=True)
    except pydantic.ValidationError as error:
        for one in error.errors(include_url=False):
            if one["input"] is not UNREADABLE:
                _tell(report, place, one, known)
        return None


def _tell(report: Report, place: Place, error: Any, known: Iterable[str]) -> None:
    # A tag of a union is no part of the file.
    path = tuple(part for part in error["loc"] if not (isinstance(part, str) and part.startswith("(")))
    if error["type"] == "extra_forbidden":
        report.error(place.at(*path), report.unknown("key", str(path[-1]), _keys(path[:-1], known)), key=True)
    elif error["type"] == "missing":
        report.error(place.at(*path[:-1]), f"{path[-1]} is missing", key=True)
    else:
        what = ".".join(part for part in path if isinstance(part, str))
        report.error(place.at(*path), f"{what}: {_message(error)}" if what else _message(error))


def _keys(path: tuple[str | int, ...], known: Iterable[str]) -> Iterable[str]:
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return known
    if names[0] == "when" and "hosts" not in names:
        return when.known_keys(path)
    return keys_of(_INSIDE.get(names[-1], NotShape))


def keys_of(shape: type[Shape]) -> tuple[str, ...]:
    """The keys of a mapping of this shape, as they are written."""
    return tuple(field.alias or name for name, field in shape.model_fields.items())


def _message(error: Any) -> str:
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "too_short":
        least = error["ctx"]["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} entries"
    if error["type"] in _MESSAGES:
        return _MESSAGES[error["type"]].format_map(error.get("ctx", {}))
    text = str(error["msg"])
    return text[:1].lower() + text[1:]
