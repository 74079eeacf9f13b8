"""What a change of the policy does, in words: nobody is miscounted, nothing is cut without a word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jit_ctl import describe_policy
from jit_ctl.model import Decision
from jit_ctl.policy_model import (
    EndingGrant,
    Finding,
    PolicyChange,
    PolicyPlan,
    PolicyReport,
    PolicyVersion,
    ReachChange,
    TestResult,
)

AT = datetime(2026, 11, 23, tzinfo=UTC)
NOTHING = PolicyPlan(
    current_version=4,
    version=0,
    report=PolicyReport((), ()),
    failed_tests=(),
    changes_anything=True,
    roles=(),
    reach=(),
    grants=(),
    requests=(),
    change=None,
    needs_approval="",
    reach_count=0,
    grants_count=0,
    requests_count=0,
)
MANY = ReachChange(
    gained=True,
    run_as="root",
    everything=True,
    people_count=3,
    people=("dan", "eve", "fay"),
    hosts_count=12,
    hosts=tuple(f"web{number}" for number in range(12)),
    roles=("web-admin",),
)
ONE = replace(MANY, people_count=1, people=("carol",), hosts_count=1, hosts=("db1",), roles=("db-admin",))
CHANGE = PolicyChange(
    change_id="chg-0000000000000001",
    state="pending",
    proposed_by="bob",
    proposed_at=AT,
    reason="CHG-12",
    base_version=4,
    approvals_needed=2,
    approvers=("carol", "dave"),
    decisions=(Decision("carol", True, "", AT),),
    plan=None,
    files=(),
    version=0,
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (MANY, "+3 people can become root on 12 hosts, by web-admin"),
        (replace(MANY, gained=False), "-3 people can no longer become root on 12 hosts, by web-admin"),
        (replace(MANY, everything=False, roles=()), "+3 people can run commands as root on 12 hosts"),
        (ONE, "+carol gains db-admin: can become root on db1"),
        (replace(ONE, gained=False), "-carol loses db-admin: can no longer become root on db1"),
        (replace(ONE, roles=()), "+carol can become root on db1"),
        # The server counts what it does not name.
        (replace(ONE, people=(), hosts=()), "+1 people can become root on 1 host, by db-admin"),
    ],
)
def test_a_change_of_reach_is_one_sentence(change: ReachChange, words: str) -> None:
    assert describe_policy.reach(change) == words


def test_names_beyond_a_dozen_are_counted() -> None:
    shown = [f"p{number}" for number in range(20)]
    assert describe_policy.names(shown[:12], 12).endswith("p11")
    assert describe_policy.names(shown, 150).endswith("p11 and 138 more")


def test_what_the_server_does_not_list_is_counted_too() -> None:
    grant = EndingGrant("gnt-1", "carol", "db1", "db-admin", "gone")
    lines = list(
        describe_policy.plan(
            replace(NOTHING, reach=(ONE,), reach_count=3, grants=(grant,), grants_count=1500), verbose=False
        )
    )
    assert "and 2 more such changes" in lines
    assert "1500 live grants will end" in lines
    assert "and 1499 more grants" in lines


def test_a_plan_that_is_impossible_promises_nothing() -> None:
    wrong = PolicyReport((Finding("p.yaml", 3, 5, "error", "no", "", ""),), ())
    assert list(describe_policy.plan(replace(NOTHING, report=wrong, reach=(ONE,)), verbose=False)) == [
        "p.yaml:3:5: error: no"
    ]
    failed = replace(NOTHING, failed_tests=(TestResult("p.yaml", 9, "t", False, "no"),), reach=(ONE,))
    assert list(describe_policy.plan(failed, verbose=False)) == ["p.yaml:9: FAILED: t: no"]
    assert describe_policy.outcome(replace(failed, report=wrong)) == "1 error, 1 test failed; nothing was changed"


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (replace(NOTHING, version=5), "policy version 5 is in force, 0 grants ended"),
        (
            replace(NOTHING, version=5, grants_count=1, requests_count=2),
            "policy version 5 is in force, 1 grant ended, 2 requests cancelled",
        ),
        (replace(NOTHING, changes_anything=False), "nothing changes: policy version 4 says the same"),
        (replace(NOTHING, change=CHANGE), "proposed as chg-0000000000000001, waits for 1 of carol, dave"),
    ],
)
def test_the_outcome_says_what_is_in_force_now(done: PolicyPlan, words: str) -> None:
    assert describe_policy.outcome(done) == words


@pytest.mark.parametrize(
    ("state", "version", "words"),
    [
        ("pending", 0, "waits for 1 of carol, dave"),
        ("applied", 5, "applied as version 5"),
        ("overtaken", 0, "overtaken"),
    ],
)
def test_a_change_says_where_it_stands(state: str, version: int, words: str) -> None:
    assert describe_policy.standing(replace(CHANGE, state=state, version=version)) == words


def test_a_version_says_why_it_is_there() -> None:
    version = PolicyVersion(5, "bob", AT, (), "INC-7", 3, "")
    assert describe_policy.origin(version) == "version 3 again: INC-7"
    assert describe_policy.origin(replace(version, rolled_back_to=0)) == "INC-7"
    assert describe_policy.origin(replace(version, reason="")) == "version 3 again"


def test_a_finding_about_the_whole_policy_has_no_line() -> None:
    whole = Finding("", 0, 0, "warning", "nobody can approve", "approvers", "name somebody")
    assert describe_policy.finding(whole) == "policy: warning: nobody can approve; name somebody [approvers]"
