"""JSON without its freedoms: no duplicate keys, no floats, no NaN, UTF-8 only (SPEC 2.2)."""

import json
from typing import Any, NoReturn

from jit_enforcer.errors import Malformed


def _number(text: str) -> NoReturn:
    raise Malformed(f"JSON with a number that is no integer: {text[:40]}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("JSON with a key that comes twice")
    return found


def parse_object(untrusted: bytes) -> dict[str, Any]:
    """The one JSON object in these bytes.  Raises `Malformed`."""
    try:
        value = json.loads(
            untrusted.decode("utf-8"), object_pairs_hook=_once, parse_float=_number, parse_constant=_number
        )
    except (ValueError, RecursionError) as e:
        raise Malformed("not JSON") from e
    if not isinstance(value, dict):
        raise Malformed("JSON, but not an object")
    return value
