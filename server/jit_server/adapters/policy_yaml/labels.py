"""Hosts as a policy file names them: all, a selector by its name, or labels (SPEC 9.1)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, Tag
from pydantic_core import CoreSchema, core_schema

from jit_server.adapters.policy_yaml.values import LIST, MAPPING, TEXT, LabelText, Name, Shape, one_of, plainly
from jit_server.domain.identity import check_labels
from jit_server.domain.policy.model import LabelTest

ALL_HOSTS = "all"
MAX_LABELS = 64

_Values = Annotated[list[LabelText], Field(min_length=1, max_length=MAX_LABELS), Tag(LIST)]


class NotShape(Shape):
    """None of these values."""

    values: Annotated[
        Annotated[LabelText, Tag(TEXT)] | _Values, one_of("must be a text, or a list of texts; put it in quotes")
    ] = Field(alias="not")


def _test(written: str | list[str] | NotShape) -> LabelTest:
    negated = isinstance(written, NotShape)
    values = written.values if isinstance(written, NotShape) else written
    return LabelTest(frozenset([values] if isinstance(values, str) else values), negated)


def _plain(labels: dict[str, LabelTest]) -> dict[str, LabelTest]:
    for key, test in labels.items():
        for value in sorted(test.values):
            plainly(lambda _, label={key: value}: check_labels(label))("")  # type: ignore[misc]
    return labels


_Written = Annotated[
    Annotated[LabelText, Tag(TEXT)] | _Values | Annotated[NotShape, Tag(MAPPING)],
    one_of("must be a text, a list of texts, or {not: [...]}; put numbers, true and false in quotes"),
]


class _AsTest:
    """What is written for a label's values, as the test it stands for."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_test, handler.generate_schema(_Written))


Labels = Annotated[
    dict[LabelText, Annotated[LabelTest, _AsTest]], Field(min_length=1, max_length=MAX_LABELS), AfterValidator(_plain)
]
"""`{tier: web, stage: [dev, test], zone: {not: [dmz]}}`"""

Hosts = Annotated[
    Annotated[Name, Tag(TEXT)] | Annotated[Labels, Tag(MAPPING)],
    one_of("must be `all`, the name of a selector, or labels such as {tier: web}"),
]
