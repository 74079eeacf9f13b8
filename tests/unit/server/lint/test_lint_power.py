"""Roles that give root: what should stand in the way of it, each flaw beside its mended twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jit_server.domain.ask import ALL, Command
from jit_server.domain.grant import Record
from jit_server.domain.policy.model import ChangeControl, Concurrency
from jit_testing.lint_values import RESTART, for_a_time, found, good_policy, good_role, rules

HOUR = 3_600
VI = Command("/usr/bin/vi", ("/etc/hosts",))


def test_a_role_without_a_flaw_is_not_spoken_of() -> None:
    assert rules(good_role()) == []
    assert rules(good_role(commands=ALL)) == []


@pytest.mark.parametrize(
    ("wrong", "mended", "rule"),
    [
        ({"mfa": False}, {}, "root-without-mfa"),
        ({"mfa_age_s": 2 * HOUR}, {"mfa_age_s": 900}, "old-code"),
        ({"approvals": 0, "flow": "nobody"}, {}, "root-without-approval"),
        ({"max_s": 5 * HOUR}, {"max_s": 4 * HOUR}, "long-root"),
        ({"required": False}, {}, "root-unrecorded"),
        ({"record": Record.NONE}, {"record": Record.EVENTS}, "root-unrecorded"),
        ({"max_s": 13 * HOUR}, {"max_s": 3 * HOUR}, "long-duration"),
        ({"max_s": 25 * HOUR}, {"max_s": 3 * HOUR}, "long-duration"),
        ({"lease_s": 1_800}, {"lease_s": 300}, "long-lease"),
        ({"lease_s": 7_200}, {"lease_s": 300}, "useless-lease"),
        ({"eligible": (for_a_time("alice", active=True),)}, {"eligible": (for_a_time("alice"),)}, "standing-root"),
    ],
)
def test_all_of_root_needs_something_in_its_way(wrong: dict[str, Any], mended: dict[str, Any], rule: str) -> None:
    assert rules(good_role(commands=ALL, **wrong)) == [rule]
    assert rules(good_role(commands=ALL, **mended)) == []


def test_what_is_as_good_as_root_counts_as_root() -> None:
    plain = good_role(mfa=False)
    assert rules(plain) == []
    assert "root-without-mfa" in rules(replace(plain, commands=(RESTART, VI)))
    assert "root-without-mfa" not in rules(replace(plain, commands=(VI,), run_as_users=("www-data",)))
    assert rules(replace(plain, commands=ALL, run_as_users=("www-data",), run_as_groups=("docker",))) == [
        "root-without-mfa"
    ]
    assert rules(replace(plain, commands=ALL, run_as_users=("www-data",), run_as_groups=("adm",))) == []


def test_the_message_names_the_command_by_which_it_is_root() -> None:
    messages = [one.message for one in found(good_role(commands=(VI,), mfa=False)) if one.rule == "root-without-mfa"]
    assert messages == [
        "role web gives /usr/bin/vi /etc/hosts, which lets out to a shell of root, without a second factor"
    ]


def test_a_finding_leads_to_the_key_it_is_about() -> None:
    (one,) = found(good_role(commands=ALL, mfa=False))
    assert (one.role, one.path, one.fix) == ("web", ("roles", "web", "mfa"), "mfa: true")


def test_changes_of_a_policy_that_gives_root_need_a_second_person() -> None:
    alone = replace(good_policy(good_role()), changes=ChangeControl())
    assert rules(policy=alone) == ["changes-without-approval"]
    harmless = good_role(run_as_users=("www-data",))
    assert rules(policy=replace(good_policy(harmless), changes=ChangeControl())) == []


def test_many_hosts_at_once_are_seen_by_somebody_else() -> None:
    assert rules(good_role(max_hosts=11, approvals=0, flow="none")) == ["many-hosts-without-approval"]
    assert rules(good_role(max_hosts=10, approvals=0, flow="none")) == []
    assert rules(good_role(max_hosts=11)) == []


def test_more_hosts_than_grants_may_live_is_told() -> None:
    assert rules(good_role(max_hosts=3, concurrent=Concurrency(person=2))) == ["useless-max-hosts"]
    assert rules(good_role(max_hosts=3, concurrent=Concurrency(everybody=2))) == ["useless-max-hosts"]
    assert rules(good_role(max_hosts=3, concurrent=Concurrency(person=3))) == []
