"""SPEC 9.5: a policy's own tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from jit_server.domain.ask import Ask, Command
from jit_server.domain.lock import LockKind
from jit_server.domain.policy.circumstances import Login, LoginKind
from jit_server.domain.policy.expectation import Expectation
from jit_server.domain.policy.model import Eligibility, Policy, Renewal, Role
from jit_server.domain.policy.rehearsal import rehearse
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import START, a_host, a_lock, a_policy, a_role, a_user, an_ask

ID = Command("/usr/bin/id", ())
ROLE = a_role(commands=(ID,), mfa=True, reason=True)
HOSTS = [a_host(), a_host("old", removed=True)]


def expecting(
    *,
    allow: bool = True,
    person: str = "alice",
    host: str = "web1",
    labels: Mapping[str, str] | None = None,
    ask: Ask | None = None,
    role: str = "",
    at: int = 0,
    duration_s: int = 0,
    because: str = "",
) -> Expectation:
    return Expectation(
        name="a test",
        person=person,
        host="" if labels else host,
        labels=labels or {},
        ask=ask,
        role=role,
        login=Login(LoginKind.SSH),
        allow=allow,
        at=at,
        duration_s=duration_s,
        because=because,
        file="p.yaml",
        line=7,
    )


def said(test: Expectation, *roles: Role, policy: Policy | None = None) -> str:
    (result,) = rehearse(replace(policy or a_policy(*roles or (ROLE,)), tests=(test,)), HOSTS, START)
    assert (result.file, result.line, result.name, result.passed) == ("p.yaml", 7, "a test", not result.message)
    return result.message


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (expecting(), expecting(person="bob")),
        (expecting(ask=an_ask("/usr/bin/id")), expecting(ask=an_ask("/usr/bin/id", "-u"))),
        (expecting(labels={"tier": "web"}), expecting(labels={"tier": "db"})),
        (expecting(duration_s=7_200), expecting(duration_s=7_201)),
        (expecting(role="web"), expecting(role="web", person="bob")),
        (expecting(ask=replace(an_ask(), run_as_user="www-data")), expecting(ask=replace(an_ask(), run_as_user="bin"))),
    ],
)
def test_what_is_allowed_and_what_is_not_are_told_apart(right: Expectation, wrong: Expectation) -> None:
    assert said(right) == ""
    assert said(replace(wrong, allow=False)) == ""
    assert said(wrong).startswith("expected allow, but ")
    assert said(replace(right, allow=False)) == "expected deny, but role web allows it"


def test_a_refusal_has_to_be_for_the_reason_that_was_expected() -> None:
    test = expecting(person="bob", role="web", allow=False)
    assert said(replace(test, because="not eligible")) == ""
    assert said(replace(test, because="hours")) == (
        "expected deny because 'hours', but it is because bob is not eligible for role web"
    )


def test_any_role_of_the_person_will_do_where_none_is_named() -> None:
    test = expecting(ask=an_ask("/usr/bin/id"))
    other = replace(a_role("other"), commands=(Command("/usr/bin/w", None),))
    assert said(test, other, ROLE) == ""
    assert "role other does not allow" in said(replace(test, role="other"), other, ROLE)
    assert "role other does not allow" in said(test, other)


def test_the_moment_is_the_tests_own() -> None:
    role = replace(ROLE, eligible=(replace(ROLE.eligible[0], since=START + 10, until=START + 20),))
    assert said(expecting(at=START + 10), role) == ""
    assert said(expecting(at=START + 20, allow=False, because="was eligible"), role) == ""
    assert said(expecting(allow=False, because="only from"), role) == ""


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (expecting(host="web9"), "the server knows no host web9: name one it knows, or give labels"),
        (expecting(host="old", allow=False), "the server knows no host old: name one it knows, or give labels"),
        (expecting(role="gone", allow=False), "there is no role gone"),
    ],
)
def test_a_test_of_what_is_not_there_fails_whatever_it_expects(test: Expectation, message: str) -> None:
    assert said(test) == message


def test_only_the_files_count_not_locks_renewals_or_who_has_an_account() -> None:
    """The same files pass on every server."""
    over = replace(ROLE, eligible=(Eligibility(ROLE.eligible[0].party, until=START - 1),))
    beside = replace(
        a_policy(ROLE),
        locks=(a_lock(a_user("carol"), kind=LockKind.USER, target="alice"),),
        renewals=(Renewal("web", "alice", START + 9, line_until=START - 1),),
    )
    assert said(expecting(), policy=beside) == ""
    assert said(expecting(allow=False), policy=replace(beside, roles={"web": over})) == ""
    assert (
        said(expecting(allow=False, because="nobody could"), replace(ROLE, approvers=a_role(approvers=()).approvers))
        == ""
    )


async def test_a_policy_whose_tests_fail_is_not_applied(world: CoreWorld) -> None:
    host = "web1"
    await world.host(host)
    fails, passes = (
        world.parser.learn(replace(a_policy(ROLE), tests=(expecting(allow=allow),))) for allow in (False, True)
    )
    for plan in (
        await world.services.policy_changes.apply(world.root, fails),
        await world.services.policy_changes.plan(world.root, fails),
    ):
        assert (plan.version, [test.message for test in plan.draft.failed_tests]) == (
            0,
            ["expected deny, but role web allows it"],
        )
    assert (await world.services.policy_changes.apply(world.root, passes)).version == 1
    for files, passed in ((fails, False), (passes, True), ((), True)):
        report = await world.services.policies.test(world.root, files)
        assert [result.passed for result in report.results] == [passed]
