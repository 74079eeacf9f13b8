"""The host's own limits, which no server can widen (SPEC 2.5, S11).  Unreadable or unclear: every grant is refused."""

import tomllib
from dataclasses import dataclass, fields

from jit_enforcer import trustedfile
from jit_enforcer.errors import BeyondCeiling
from jit_enforcer.grant import Grant
from jit_enforcer.paths import Paths


@dataclass(frozen=True, slots=True)
class Ceiling:
    """`run_as` holds account names, or `*` for any; the last two are one of `_CHOICES`, the default first."""

    max_duration_s: int = 86_400
    run_as: tuple[str, ...] = ("*",)
    allow_all: bool = True
    min_uid: int = 1000
    standing_sudo: str = "refuse"
    leftovers: str = "report"


_KEYS = {field.name for field in fields(Ceiling)}
_CHOICES = {"standing_sudo": ("refuse", "allow"), "leftovers": ("report", "kill")}


def load(paths: Paths) -> Ceiling:
    """Raises `Unsafe` if the file cannot be trusted, `BeyondCeiling` if it cannot be understood."""
    try:
        table = tomllib.loads(trustedfile.read(paths.ceiling, paths.owner).decode())
    except ValueError as e:
        raise BeyondCeiling(f"{paths.ceiling} is not TOML: {e}") from e
    if unknown := table.keys() - _KEYS:
        raise BeyondCeiling(f"{paths.ceiling} has an unknown key: {min(unknown)!r}")
    for key in ("max_duration_s", "min_uid"):
        if key in table and (type(table[key]) is not int or table[key] < 1):
            raise BeyondCeiling(f"{paths.ceiling}: {key} must be a whole number from 1")
    if "run_as" in table:
        names = table["run_as"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BeyondCeiling(f"{paths.ceiling}: run_as must be a list of names")
        table["run_as"] = tuple(names)
    if type(table.get("allow_all", True)) is not bool:
        raise BeyondCeiling(f"{paths.ceiling}: allow_all must be true or false")
    for key, choices in _CHOICES.items():
        if table.get(key, choices[0]) not in choices:
            raise BeyondCeiling(f'{paths.ceiling}: {key} must be "{choices[0]}" or "{choices[1]}"')
    return Ceiling(**table)


def check(grant: Grant, ceiling: Ceiling, wall_us: int) -> None:
    """Raise `BeyondCeiling` if the grant is more than this host allows."""
    longest = ceiling.max_duration_s
    if grant.until - wall_us > longest * 1_000_000 or grant.remaining_s > longest:
        raise BeyondCeiling(f"{grant.grant} is longer than this host's max_duration_s = {longest}")
    if "*" not in ceiling.run_as and grant.run_as_user not in ceiling.run_as:
        raise BeyondCeiling(f"{grant.grant} runs as {grant.run_as_user!r}, which is not in this host's run_as")
    if grant.commands == "ALL" and not ceiling.allow_all:
        raise BeyondCeiling(f"{grant.grant} is for ALL commands, and this host has allow_all = false")
    if grant.uid < ceiling.min_uid:
        raise BeyondCeiling(f"{grant.grant} is for uid {grant.uid}, below this host's min_uid = {ceiling.min_uid}")
