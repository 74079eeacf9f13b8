"""One verb on several ids: each is tried, each failure is told, the first one decides the status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import click

from .errors import CtlError
from .options import ErrorStyle
from .output import Format, Output, tell

T = TypeVar("T")


def each(
    refs: Sequence[str],
    act: Callable[[str], T],
    out: Output,
    name: Callable[[T], str],
    people: Callable[[T], Iterable[str]],
) -> None:
    """Do `act` on each ref and print what came of it, in their order.

    With `-o json` the successes are one list.  Ends with the status of the
    first failure when there was one; the others are done all the same.
    """
    context = click.get_current_context()
    style = context.find_object(ErrorStyle) or ErrorStyle()
    done: list[T] = []
    first: CtlError | None = None
    for ref in dict.fromkeys(refs):
        try:
            value = act(ref)
        except CtlError as error:
            tell(CtlError(error.code, f"{ref}: {error.message}", error.hint), as_json=style.json)
            first = first or error
            continue
        done.append(value)
        if out.format is not Format.JSON:
            out.item(value, name, people)
    if out.format is Format.JSON:
        out.items(done, (), name, "")
    if first is not None:
        context.exit(first.exit_status)
