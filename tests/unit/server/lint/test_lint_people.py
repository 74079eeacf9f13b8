"""Who approves, who is eligible, and who uses it: each flaw beside its mended twin."""

from __future__ import annotations

from dataclasses import replace

from jit_server.domain.policy.lint import Usage
from jit_server.domain.policy.model import Eligibility, Party, Renewal, Role
from jit_testing.lint_values import DAY, PEOPLE, for_a_time, found, good_policy, good_role, rules
from jit_testing.server_fakes import START, a_user


def party(*people: str) -> Party:
    return Party(people=frozenset(people))


def test_approvers_who_cannot_approve_are_told_with_the_cause() -> None:
    role = good_role(approvers=party("carol", "mallory"), approvals=2)
    (one,) = found(role)
    assert one.rule == "no-approver"
    assert one.message == "role web needs 2 approvals, and only carol could give one: mallory is unknown"
    disabled = {**PEOPLE, "carol": replace(PEOPLE["carol"], disabled=True)}
    (one,) = found(replace(role, approvers=party("carol"), approvals=1), people=disabled)
    assert "nobody could give one: carol is disabled" in one.message
    service = {**PEOPLE, "backup": replace(a_user("backup"), service=True)}
    assert rules(replace(role, approvers=party("backup"), approvals=1), people=service) == ["no-approver"]
    assert rules(replace(role, approvers=party("carol", "dave"))) == []


def test_whoever_could_only_approve_themselves_is_told() -> None:
    alone = good_role(eligible=(for_a_time("alice", "carol"),), approvers=party("carol"))
    (one,) = found(alone)
    assert (one.rule, "request of carol" in one.message) == ("own-approver", True)
    assert rules(replace(alone, approvers=party("carol", "dave"))) == []


def test_a_group_of_approvers_with_only_the_requester_in_it_is_told() -> None:
    role = good_role(eligible=(for_a_time("alice"),), approvers=Party(groups=frozenset({"leads"})))
    assert rules(policy=good_policy(role, leads=["alice"])) == ["own-approver"]
    assert rules(policy=good_policy(role, leads=[])) == ["no-approver"]
    assert rules(policy=good_policy(role, leads=["alice", "carol"])) == []


def test_the_approvers_of_a_flow_are_told_of_at_the_flow() -> None:
    (one,) = found(good_role(approvers=party("mallory"), flow="leads"))
    assert (one.role, one.path) == ("web", ("flows", "leads", "approvers"))


def test_approvers_without_a_second_factor_cannot_log_in() -> None:
    bare = {**PEOPLE, **{name: replace(PEOPLE[name], mfa_enrolled=False) for name in ("carol", "dave")}}
    assert rules(good_role(), people=bare) == ["approvers-without-mfa"]
    assert rules(good_role(), people={**bare, "dave": PEOPLE["dave"]}) == []


def test_a_watched_session_needs_somebody_else_to_watch() -> None:
    watched = good_role(watch_s=60, approvals=0, approvers=party("alice"), eligible=(for_a_time("alice"),))
    assert rules(watched) == ["unwatchable"]
    assert rules(replace(watched, approvers=party())) == ["unwatchable"]
    assert rules(replace(watched, approvers=party("alice", "carol"))) == []


def test_approvers_who_are_never_asked_are_told() -> None:
    assert rules(good_role(approvals=0)) == ["needless-approvers"]
    assert rules(good_role(approvals=0, approvers=party())) == []


def test_eligibilities_should_end_and_within_a_year() -> None:
    role = good_role()
    assert rules(replace(role, eligible=(Eligibility(party("alice")),))) == ["permanent-eligibility"]
    assert rules(replace(role, eligible=(for_a_time("alice", until=START + 400 * DAY),))) == ["far-eligibility"]
    assert rules(replace(role, eligible=(for_a_time("alice", until=START + 366 * DAY),))) == []


def test_a_line_is_pointed_at_among_those_of_its_kind() -> None:
    role = good_role(
        run_as_users=("www-data",),
        eligible=(for_a_time("alice"), for_a_time("bob", active=True), Eligibility(party("bob"))),
    )
    (one,) = found(role)
    assert one.path == ("roles", "web", "eligible", 1, "permanent")


def test_an_ended_line_is_told_unless_it_was_renewed() -> None:
    role = good_role(eligible=(for_a_time("alice"), for_a_time("bob", until=START - DAY)))
    assert rules(role) == ["eligibility-over"]
    renewal = Renewal("web", PEOPLE["bob"].user_id, START + DAY, START - DAY)
    assert rules(policy=replace(good_policy(role), renewals=(renewal,))) == []


def test_roles_for_nobody_and_no_roles_are_told() -> None:
    assert rules(good_role(eligible=())) == ["nobody-eligible"]
    nobody = replace(good_role(), eligible=(replace(for_a_time(), party=Party(groups=frozenset({"ops"}))),))
    assert rules(policy=good_policy(nobody, ops=[])) == ["nobody-eligible"]
    assert rules(policy=good_policy(nobody, ops=["alice"])) == []
    assert rules(policy=good_policy()) == ["no-roles"]


def test_renewal_needs_an_end() -> None:
    permanent = good_role(eligible=(Eligibility(party("alice")),), renew_s=86_400)
    assert "useless-renewal" in rules(permanent)
    assert rules(good_role(renew_s=86_400)) == []


def test_a_service_can_only_use_what_is_active() -> None:
    people = {**PEOPLE, "backup": replace(a_user("backup"), service=True)}
    role = good_role(eligible=(for_a_time("alice", "backup"),), run_as_users=("www-data",))
    assert rules(role, people=people) == ["service-not-active"]
    active = for_a_time("backup", active=True, reason="nightly")
    assert rules(replace(role, eligible=(for_a_time("alice"), active)), people=people) == []


def used(*names: str, at: int = START - DAY) -> Usage:
    """The role was there 90 days ago; these people were granted it then."""
    return Usage({("web", PEOPLE[name].user_id): at for name in names}, good_policy(long_since()))


def long_since() -> Role:
    return good_role(eligible=(for_a_time("alice", "bob", since=START - 200 * DAY),))


def test_a_role_nobody_used_in_90_days_is_told_once_it_is_that_old() -> None:
    assert rules(good_role(), usage=used()) == ["unused-role"]
    assert rules(good_role(), usage=used("alice", "bob", at=START - 91 * DAY)) == ["unused-role"]
    assert rules(good_role(), usage=Usage()) == []
    assert rules(good_role("new"), usage=used()) == []
    assert rules(good_role(), usage=used("alice", "bob")) == []


def test_people_who_never_use_what_others_use_are_named() -> None:
    (one,) = found(good_role(), usage=used("alice"))
    assert one.rule == "unused-eligibility"
    assert one.message == "role web: not used in 90 days by bob, of 2 who were eligible all along"
    later = good_role(eligible=(for_a_time("alice", "carol"),), approvers=party("dave"))
    assert rules(later, usage=used("alice")) == []
