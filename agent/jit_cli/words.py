"""Small pieces of English."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMED = 4


def any_of(names: Sequence[str]) -> str:
    """`bob`, `bob or carol`, `bob, carol or dave`, and the rest counted."""
    if not names:
        return "nobody"
    shown = list(names)
    if len(shown) > _NAMED:
        shown = [*shown[: _NAMED - 1], f"{len(names) - _NAMED + 1} others"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def all_of(names: Sequence[str]) -> str:
    """`bob`, `bob and carol`, `bob, carol and dave`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nobody"


def plural(count: int, noun: str) -> str:
    """`1 approval`, `2 approvals`, `3 processes`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith('s') else 's'}"
