"""Untrusted JSON of the agent, read field by field and type by type; another shape is an `AgentGone`."""

from __future__ import annotations

from typing import Any, TypeVar

from jit_cli.agent_client import AgentGone

T = TypeVar("T")
# The largest whole number every JSON reader agrees on; as µs it is the year 2255.
_LARGEST = 2**53


class Fields:
    """One JSON object."""

    def __init__(self, untrusted: object) -> None:
        if not isinstance(untrusted, dict):
            raise _strange("an object")
        self._untrusted: dict[str, Any] = untrusted

    def _field(self, name: str, kind: type[T]) -> T:
        value = self._untrusted.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _strange(name)
        return value

    def text(self, name: str) -> str:
        return self._field(name, str)

    def number(self, name: str) -> int:
        value = self._field(name, int)
        if abs(value) > _LARGEST:
            raise _strange(name)
        return value

    def flag(self, name: str) -> bool:
        return self._field(name, bool)

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._field(name, list)
        if not all(isinstance(value, str) for value in values):
            raise _strange(name)
        return tuple(values)

    def objects(self, name: str) -> list[Fields]:
        return [Fields(value) for value in self._field(name, list)]

    def object(self, name: str) -> Fields:
        return Fields(self._field(name, dict))

    def is_text(self, name: str) -> bool:
        return isinstance(self._untrusted.get(name), str)

    def is_object(self, name: str) -> bool:
        return isinstance(self._untrusted.get(name), dict)

    def is_null(self, name: str) -> bool:
        return self._untrusted.get(name) is None

    def maybe(self, name: str) -> Fields | None:
        return None if self.is_null(name) else self.object(name)


def _strange(what: str) -> AgentGone:
    return AgentGone(f"the jit agent's answer is not understood ({what})")
