"""One rule that an ask was held against, and what came of it: the unit of every explanation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """`rule` is the key of the policy file it comes from, or `person`, `host`, `lock`; `why` says what was found.

    `hint` says what would make it pass; empty where nothing would, and where it passed.
    """

    rule: str
    passed: bool
    why: str
    hint: str = ""
