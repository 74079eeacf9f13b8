"""The shapes of `when:`, and the conditions they say (SPEC 9.2).

`when:` is one mapping or a list of them; whatever is in them has to hold.  The reader validates `When` and gives what
comes of it to `conditions`; for a key that nobody knows `known_keys` says which there are.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, Tag, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from jit_server.adapters import cel
from jit_server.adapters.policy_yaml.labels import Labels
from jit_server.adapters.policy_yaml.values import LIST, MAPPING, TEXT, Shape, choice, one_of
from jit_server.domain.policy.arrival import LoginKinds, Source, Terminal
from jit_server.domain.policy.circumstances import LoginKind
from jit_server.domain.policy.conditions import AllOf, AnyOf, Condition, HostLabels, Live, OnCall
from jit_server.domain.policy.expression import Expression
from jit_server.domain.policy.hours import DAY_MINUTES, DAYS, Hours, Window
from jit_server.domain.policy.model import Selector

MAX_LIVE = 1_000
MAX_LISTED = 50
MAX_NETWORKS = 1_000
T = TypeVar("T")
_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2})", re.ASCII)
_ROTA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_DAY_NAMES = tuple(day.lower() for day in DAYS)
_LOGINS = tuple(kind.value for kind in LoginKind if kind is not LoginKind.UNKNOWN)


def _minutes(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    minutes = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else DAY_MINUTES + 1
    if minutes > DAY_MINUTES:
        raise ValueError(f'{str(text)[:40]!a} is no time of the day: write "08:00", and at most "24:00"')
    return minutes


def _days(text: str) -> frozenset[int]:
    if text == "daily":
        return frozenset(range(len(DAYS)))
    first, dash, last = text.partition("-")
    if first not in _DAY_NAMES or (dash and last not in _DAY_NAMES):
        raise ValueError(f"{text[:40]!a} is no day: write {', '.join(_DAY_NAMES)}, a range such as mon-fri, or daily")
    begin = _DAY_NAMES.index(first)
    length = (_DAY_NAMES.index(last) - begin) % len(DAYS) if dash else 0
    return frozenset((begin + offset) % len(DAYS) for offset in range(length + 1))


def _clock(text: str) -> str:
    _minutes(text)
    return text


def _day(text: str) -> str:
    _days(text)
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {text[:80]!a}{_meant(text[:80])}") from None
    return text


@functools.lru_cache(maxsize=256)
def _meant(zone: str) -> str:
    """What to write instead; remembered, for a file can hold one slip thousands of times."""
    close = difflib.get_close_matches(zone, _zones(), n=1)
    return f"; did you mean {close[0]}?" if close else ": write one such as Europe/Berlin, or UTC"


@functools.cache
def _zones() -> frozenset[str]:
    """All there are; to find them takes a walk over the disk."""
    return frozenset(available_timezones())


def _network(text: str) -> str:
    _as_network(text)
    return text


def _as_network(text: str) -> IPv4Network | IPv6Network:
    """Raises ValueError."""
    try:
        network = ip_network(text)
    except ValueError:
        pass
    else:
        return _unmapped(network)
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text[:80]!a} is no network: write one such as 10.0.0.0/8 or 2001:db8::/32") from None
    raise ValueError(f"{text} has bits set beyond its length: write {meant}")


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A network of IPv4 addresses written as IPv6 is the one of IPv4, for logins are told in IPv4."""
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def _rota(text: str) -> str:
    if not _ROTA.fullmatch(text):
        raise ValueError(f"{text[:80]!a} cannot be the name of a rota: use letters, digits and . _ -")
    return text


def _expression(text: str) -> str:
    try:
        cel.compiled(text)
    except cel.CelError as error:
        place = {"problem": str(error), "line": error.line, "column": error.column}
        raise PydanticCustomError("cel", "{problem}, at {line}:{column} of the expression", place) from None
    return text


_DAY = f"({'|'.join(_DAY_NAMES)})"
Clock = Annotated[str, AfterValidator(_clock), WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK.pattern}$"})]
Day = Annotated[str, AfterValidator(_day), WithJsonSchema({"type": "string", "pattern": f"^(daily|{_DAY}(-{_DAY})?)$"})]
Zone = Annotated[str, AfterValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]})]
Network = Annotated[str, AfterValidator(_network), WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8"]})]
LoginName = Annotated[str, *choice(*_LOGINS)]
RotaName = Annotated[str, AfterValidator(_rota), WithJsonSchema({"type": "string", "pattern": f"^{_ROTA.pattern}$"})]
CelText = Annotated[str, AfterValidator(_expression), WithJsonSchema({"type": "string", "maxLength": cel.MAX_LENGTH})]

_LISTS = "must be a text, or a list of texts"


class WindowShape(Shape):
    """On these days, from when to when; one that ends before it begins goes on over midnight."""

    days: Annotated[
        Annotated[Day, Tag(TEXT)] | Annotated[list[Day], Field(min_length=1, max_length=7), Tag(LIST)], one_of(_LISTS)
    ] = "daily"
    begin: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    zone: Zone

    @model_validator(mode="after")
    def _lasts(self) -> WindowShape:
        if self.begin in {self.end, "24:00"}:
            raise ValueError('it has no length: for the whole day write from "00:00" to "24:00"')
        return self

    def as_window(self) -> Window:
        days = frozenset(number for day in _listed(self.days) for number in _days(day))
        return Window(days, _minutes(self.begin), _minutes(self.end), ZoneInfo(self.zone))


class ConditionShape(Shape):
    """One mapping of `when:`; all of its keys have to hold."""

    hours: (
        Annotated[
            Annotated[WindowShape, Tag(MAPPING)]
            | Annotated[list[WindowShape], Field(min_length=1, max_length=MAX_LISTED), Tag(LIST)],
            one_of("must be a mapping such as {days: mon-fri, from: ..., to: ..., zone: ...}, or a list of such"),
        ]
        | None
    ) = None
    source: (
        Annotated[
            Annotated[Network, Tag(TEXT)]
            | Annotated[list[Network], Field(min_length=1, max_length=MAX_NETWORKS), Tag(LIST)],
            one_of(_LISTS),
        ]
        | None
    ) = None
    login: (
        Annotated[
            Annotated[LoginName, Tag(TEXT)]
            | Annotated[list[LoginName], Field(min_length=1, max_length=MAX_LISTED), Tag(LIST)],
            one_of(_LISTS),
        ]
        | None
    ) = None
    terminal: Literal[True] | None = None
    hosts: Labels | None = None
    live: Annotated[int, Field(ge=1, le=MAX_LIVE)] | None = None
    on_call: (
        Annotated[
            Annotated[RotaName, Tag(TEXT)]
            | Annotated[list[RotaName], Field(min_length=1, max_length=MAX_LISTED), Tag(LIST)],
            one_of(_LISTS),
        ]
        | None
    ) = None
    any: Annotated[list[ConditionShape], Field(min_length=2, max_length=MAX_LISTED)] | None = None
    cel: CelText | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ConditionShape:
        if not self.model_fields_set:
            raise ValueError(f"it is empty: write one or more of {', '.join(ConditionShape.model_fields)}")
        # `source:` with nothing behind it is a condition that somebody forgot to write, not one that is always met.
        if empty := [name for name in self.model_fields_set if getattr(self, name) is None]:
            raise ValueError(f"{', '.join(sorted(empty))} says nothing")
        return self

    def conditions(self) -> Iterator[Condition]:
        """One for each key."""
        if self.hours is not None:
            yield Hours(tuple(window.as_window() for window in _listed(self.hours)))
        if self.source is not None:
            yield Source(tuple(map(_as_network, _listed(self.source))))
        if self.login is not None:
            yield LoginKinds(tuple(map(LoginKind, _listed(self.login))))
        if self.terminal is not None:
            yield Terminal()
        if self.hosts is not None:
            yield HostLabels(Selector(self.hosts))
        if self.live is not None:
            yield Live(self.live)
        if self.on_call is not None:
            yield OnCall(tuple(_listed(self.on_call)))
        if self.any is not None:
            yield AnyOf(tuple(map(_one, self.any)))
        if self.cel is not None:
            yield Expression(self.cel, cel.compiled(self.cel))


When = Annotated[
    Annotated[ConditionShape, Tag(MAPPING)]
    | Annotated[list[ConditionShape], Field(min_length=1, max_length=MAX_LISTED), Tag(LIST)],
    one_of("must be a mapping such as {source: 10.0.0.0/8}, or a list of such"),
]
"""The value of `when:`."""


def conditions(shapes: ConditionShape | Sequence[ConditionShape]) -> tuple[Condition, ...]:
    """What a role's `when:` says, all of which has to hold."""
    return tuple(condition for shape in _listed(shapes) for condition in shape.conditions())


def known_keys(path: Sequence[str | int]) -> Iterable[str]:
    """The keys there are at this path, which begins with `when`."""
    names = [part for part in path if isinstance(part, str)]
    if names[-1:] == ["hours"]:
        return ("days", "from", "to", "zone")
    return ConditionShape.model_fields


def _listed(value: T | Sequence[T]) -> Sequence[T]:
    """One thing stands for a list of one."""
    return value if isinstance(value, list) else [value]  # type: ignore[list-item]


def _one(shape: ConditionShape) -> Condition:
    found = tuple(shape.conditions())
    return found[0] if len(found) == 1 else AllOf(found)
