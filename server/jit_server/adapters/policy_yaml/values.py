"""The small values of a policy file: names, spans of time, dates, labels, one-line texts.

Values are never coerced: `yes` is not true, and 5 is not "5".  Each type says in `WithJsonSchema` what it takes, for
the published schema (`schema`), which must never be narrower than what is read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, WithJsonSchema

from jit_server.domain.ask import ALL
from jit_server.domain.identity import check_host_name, check_labels, check_user_name
from jit_server.errors import Invalid

DAY_S = 86_400
_UNITS = {"d": DAY_S, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?=.)(?:([0-9]{1,5})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s)?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}\$?", re.ASCII)
_RULE = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 2000, 2199
MAX_LINE = 200

TEXT, LIST, MAPPING, FLAG = "(text)", "(list)", "(mapping)", "(flag)"
"""Tags of what stands in a file; brackets tell them from keys in the location of an error."""


class Shape(BaseModel):
    """A mapping with these keys and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def kind_of(value: object) -> str | None:
    """The tag of a value as it stands in the file."""
    match value:
        case bool():
            return FLAG
        case str():
            return TEXT
        case list():
            return LIST
        case dict():
            return MAPPING
        case _:
            return None


def one_of(otherwise: str, kind: Callable[[Any], str | None] = kind_of) -> Discriminator:
    """Tell the members of a union apart by their tags, and say `otherwise` of what is none of them."""
    return Discriminator(kind, custom_error_type="shape", custom_error_message=otherwise)


def plainly(check: Callable[[str], object]) -> Callable[[str], str]:
    """A validator out of a check of the domain, whose errors are of another family."""

    def validator(text: str) -> str:
        try:
            check(text)
        except Invalid as error:
            raise ValueError(f"{error}; {error.hint}" if error.hint else str(error)) from None
        return text

    return validator


def written(pattern: str, **more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", **more})


def choice(*words: str) -> Any:
    """What follows a text that has to be one of these words."""

    def validator(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text[:40]!a} is unknown: write {', '.join(words[:-1])} or {words[-1]}")
        return text

    return AfterValidator(validator), WithJsonSchema({"enum": list(words)})


def exactly(word: str, otherwise: str) -> Any:
    """What follows a text that has to be this word; `otherwise` says what else there could be."""

    def validator(text: str) -> str:
        if text != word:
            raise ValueError(otherwise)
        return text

    return AfterValidator(validator), WithJsonSchema({"const": word})


def name_of_thing(text: str) -> str:
    """A name of a role, group, selector, bundle or flow; raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:80]!a} cannot be a name: use letters, digits and . _ -, and begin with one of the first two"
        )
    return text


def _account(text: str) -> str:
    # No `#uid`, no `ALL`, no alias: a host must find exactly one account by this name.
    if not _ACCOUNT.fullmatch(text) or text == ALL:
        raise ValueError(f"{text[:80]!a} is not the name of an account")
    return text


def _rule(text: str) -> str:
    if not _RULE.fullmatch(text):
        raise ValueError(f"{text[:80]!a} is not the name of a rule of the lint, such as root-without-mfa")
    return text


def duration(text: object) -> int:
    """Seconds, at least one; raises ValueError."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    seconds = sum(int(n) * unit for n, unit in zip(match.groups(), _UNITS.values(), strict=True) if n) if match else 0
    if seconds < 1:
        raise ValueError(f"{str(text)[:40]!a} is not a duration: write 30m, 2h or 1h30m")
    return seconds


def duration_between(least: int, most: int, complaint: str) -> Any:
    """What follows a number of seconds that has to be within these."""

    def validator(text: object) -> int:
        seconds = duration(text)
        if not least <= seconds <= most:
            raise ValueError(complaint)
        return seconds

    return BeforeValidator(validator), _DURATION_SCHEMA


def _line(text: str) -> str:
    if len(text) > MAX_LINE or not text.isprintable():
        raise ValueError(f"must be one line of at most {MAX_LINE} printable characters")
    return text


def _said(text: str) -> str:
    if not _line(text).strip():
        raise ValueError("must say something")
    return text


def _labels(labels: dict[str, str]) -> dict[str, str]:
    plainly(lambda _: check_labels(labels))("")
    return labels


def _moment(text: object, *, whole_day: bool) -> int:
    """µs UTC; `whole_day`: of a date its end, not its begin."""
    if isinstance(text, str) and (_DATE.fullmatch(text) or _INSTANT.fullmatch(text)):
        try:
            dated = len(text) == len("2027-03-31")
            at = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) if dated else _instant(text)
        except (ValueError, OverflowError):
            raise ValueError(f"{text!a} is not in the calendar") from None
        if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
            raise ValueError(f"{text!a} is not between the years {_FIRST_YEAR} and {_LAST_YEAR}")
        seconds = int(at.timestamp()) + (DAY_S if dated and whole_day else 0)
        return seconds * 1_000_000
    raise ValueError(f"{str(text)[:40]!a} is not a date: write 2027-03-31, or with a zone 2027-03-31T18:00:00+02:00")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _at(text: object) -> int:
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        raise ValueError(f"{str(text)[:40]!a} is not an instant: write it with a zone, as 2027-03-31T18:00:00+02:00")
    return _moment(text, whole_day=False)


_DURATION_SCHEMA = written(
    r"(?=.)([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?", examples=["30m", "2h", "1h30m"]
)
_MOMENT_SCHEMA = written(f"({_DATE.pattern}|{_INSTANT.pattern})", examples=["2027-03-31", "2027-03-31T18:00:00+02:00"])

Name = Annotated[str, AfterValidator(name_of_thing), written(_NAME.pattern)]
PersonName = Annotated[str, AfterValidator(plainly(check_user_name)), written("[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}")]
HostName = Annotated[str, AfterValidator(plainly(check_host_name)), written("[a-z0-9.-]{1,253}")]
Account = Annotated[str, AfterValidator(_account), written(f"(?!ALL$){_ACCOUNT.pattern}")]
RuleName = Annotated[str, AfterValidator(_rule), written(_RULE.pattern)]
Line = Annotated[str, AfterValidator(_line), WithJsonSchema({"type": "string", "maxLength": MAX_LINE})]
Said = Annotated[str, AfterValidator(_said), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_LINE})]
Duration = Annotated[int, BeforeValidator(duration), _DURATION_SCHEMA]
Since = Annotated[int, BeforeValidator(lambda text: _moment(text, whole_day=False)), _MOMENT_SCHEMA]
Until = Annotated[int, BeforeValidator(lambda text: _moment(text, whole_day=True)), _MOMENT_SCHEMA]
Instant = Annotated[int, BeforeValidator(_at), written(_INSTANT.pattern)]
LabelText = Annotated[str, written("[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")]
Labels = Annotated[dict[LabelText, LabelText], AfterValidator(_labels)]
