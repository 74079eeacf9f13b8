"""The host's own limits bind whatever the server signs (SPEC 2.5, S11)."""

import json
from typing import Any

import pytest

from jit_enforcer import ceiling, grant
from jit_enforcer.errors import BeyondCeiling, Denied
from jit_enforcer.paths import Paths
from unit.enforcer.conftest import NOW, SECOND, fields


@pytest.mark.parametrize(
    ("toml", "inside", "beyond"),
    [
        ("max_duration_s = 3600", {}, {"not_after": NOW + 3601 * SECOND}),
        ("max_duration_s = 3600", {}, {"remaining_s": 3601}),
        (
            "max_duration_s = 3600",
            {"not_after": NOW + 60 * SECOND, "until": NOW + 3600 * SECOND},
            {"until": NOW + 3601 * SECOND},
        ),
        ("", {"not_after": NOW + 86400 * SECOND, "remaining_s": 86400}, {"remaining_s": 86401}),
        ('run_as = ["postgres"]', {"run_as_user": "postgres"}, {"run_as_user": "root"}),
        ("run_as = []\nmin_uid = 1", None, {"run_as_user": "postgres"}),
        ("allow_all = false", {"commands": [{"path": "/usr/bin/id", "args": None, "sha256": ""}]}, {"commands": "ALL"}),
        ("", {"uid": 1000}, {"uid": 999}),
        ("min_uid = 500", {"uid": 500}, {"uid": 499}),
    ],
)
def test_each_limit_lets_through_what_is_inside_and_nothing_beyond(
    paths: Paths, toml: str, inside: dict[str, Any] | None, beyond: dict[str, Any]
) -> None:
    paths.ceiling.write_text(toml)
    limits = ceiling.load(paths)
    if inside is not None:
        ceiling.check(grant.parse(json.dumps(fields(**inside)).encode()), limits, NOW)
    with pytest.raises(BeyondCeiling):
        ceiling.check(grant.parse(json.dumps(fields(**beyond)).encode()), limits, NOW)


@pytest.mark.parametrize(
    "toml",
    [
        "max_duration = 3600",
        "max_duration_s = true",
        "max_duration_s = 0",
        'max_duration_s = "1h"',
        "allow_all = 1",
        'run_as = "root"',
        "run_as = [1]",
        'standing_sudo = "maybe"',
        'leftovers = "keep"',
        'leftovers = ["kill"]',
        "not toml",
        "\x00",
    ],
)
def test_a_ceiling_that_cannot_be_understood_refuses_everything(paths: Paths, toml: str) -> None:
    paths.ceiling.write_text(toml)
    with pytest.raises(BeyondCeiling):
        ceiling.load(paths)


def test_leftovers_are_killed_only_where_the_host_says_so(paths: Paths) -> None:
    assert ceiling.load(paths).leftovers == "report"
    paths.ceiling.write_text('leftovers = "kill"')
    assert ceiling.load(paths).leftovers == "kill"


def test_a_missing_ceiling_and_one_others_may_write_refuse_everything(paths: Paths) -> None:
    paths.ceiling.chmod(0o666)
    with pytest.raises(Denied):
        ceiling.load(paths)
    paths.ceiling.unlink()
    with pytest.raises(Denied):
        ceiling.load(paths)
