"""Hosts and labels, conditions that exclude each other, roles that another one makes needless, and unused names."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest

from jit_server.domain.ask import ALL, Command
from jit_server.domain.policy.arrival import LoginKinds, Source
from jit_server.domain.policy.circumstances import LoginKind
from jit_server.domain.policy.conditions import AllOf, AnyOf, Condition, HostLabels, Live
from jit_server.domain.policy.finding import Severity
from jit_server.domain.policy.hours import Hours, Window
from jit_server.domain.policy.model import Eligibility, LabelTest, Party, Selector
from jit_testing.lint_values import HOSTS, RESTART, for_a_time, found, good_policy, good_role, rules
from jit_testing.server_fakes import START, a_host, labelled

STATUS = Command("/usr/bin/systemctl", ("status", "nginx.service"))
BERLIN, LONDON = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/London")


def hours(days: set[int], begin: int, end: int, zone: ZoneInfo = BERLIN) -> Hours:
    return Hours((Window(frozenset(days), begin * 60, end * 60, zone),))


def source(*networks: str) -> Source:
    return Source(tuple(map(ip_network, networks)))


def test_a_slip_in_a_label_is_told_with_what_was_meant() -> None:
    (one,) = [one for one in found(good_role(hosts=labelled(teir="web"))) if one.role]
    assert (one.rule, one.path) == ("unknown-label", ("roles", "web", "hosts", "teir"))
    assert one.message == "no host has the label teir; did you mean tier?"
    (one,) = [one for one in found(good_role(hosts=labelled(tier="web", stage="prd"))) if one.role]
    assert one.message == "no host has stage=prd; did you mean prod?"
    assert rules(good_role(hosts=labelled(tier="web"))) == []


def test_a_value_that_is_kept_out_need_not_exist() -> None:
    selector = Selector({"tier": LabelTest(frozenset({"dmz"}), negated=True)})
    assert rules(good_role(hosts=selector)) == []


def test_labels_in_conditions_are_looked_at_too() -> None:
    assert rules(good_role(when=(AnyOf((Live(1), HostLabels(labelled(stage="prdo")))),))) == ["unknown-label"]
    assert rules(good_role(when=(AnyOf((Live(1), HostLabels(labelled(stage="prod")))),))) == []


def test_a_role_without_hosts_and_hosts_without_a_role_are_told() -> None:
    hosts = (*HOSTS, a_host("db1", tier="db", stage="prod"))
    (one,) = found(good_role(), hosts=hosts)
    assert (one.rule, one.message) == ("unreached-hosts", "no role reaches db1")
    both = Selector({"tier": LabelTest(frozenset({"db"})), "stage": LabelTest(frozenset({"test"}))})
    assert rules(good_role(hosts=both), hosts=hosts) == ["no-host", "unreached-hosts"]
    assert rules(good_role(hosts=Selector({}, all_hosts=True)), hosts=hosts) == []
    assert rules(good_role(hosts=both), hosts=()) == []


@pytest.mark.parametrize(
    ("conditions", "possible"),
    [
        ((hours({0, 1}, 8, 18), hours({5, 6}, 8, 18)), False),
        ((hours({0, 1}, 8, 18), hours({1, 2}, 8, 18)), True),
        ((hours({0}, 8, 12), hours({0}, 12, 18)), False),
        ((hours({0}, 8, 12), hours({0}, 10, 11, LONDON)), True),
        ((hours({0}, 8, 12), hours({0}, 11, 12, LONDON)), False),
        ((source("10.0.0.0/8"), source("192.168.0.0/16")), False),
        ((source("10.0.0.0/8"), source("10.1.0.0/16", "192.168.0.0/16")), True),
        ((source("10.0.0.0/8"), source("2001:db8::/32")), False),
        ((LoginKinds((LoginKind.SSH,)), LoginKinds((LoginKind.CONSOLE,))), False),
        ((LoginKinds((LoginKind.CONSOLE,)), source("10.0.0.0/8")), False),
        ((LoginKinds((LoginKind.SSH,)), source("10.0.0.0/8")), True),
        ((HostLabels(labelled(tier="web")),), True),
        ((HostLabels(labelled(stage="prod")), HostLabels(labelled(stage="test"))), False),
        ((AnyOf((hours({5}, 1, 2), source("10.0.0.0/8"))), hours({0}, 1, 2)), True),
        ((AnyOf((hours({5}, 1, 2), hours({6}, 1, 2))), hours({0}, 1, 2)), False),
        ((AllOf((source("10.0.0.0/8"), LoginKinds((LoginKind.CONSOLE,)))),), False),
    ],
)
def test_conditions_that_exclude_each_other_are_an_error(conditions: tuple[Condition, ...], possible: bool) -> None:
    findings = found(good_role(when=conditions))
    assert [(one.rule, one.severity) for one in findings] == ([] if possible else [("never-met", Severity.ERROR)])


def test_a_condition_that_the_role_itself_excludes_is_an_error() -> None:
    role = good_role(hosts=labelled(stage="test"))
    assert "never-met" in rules(replace(role, when=(HostLabels(labelled(stage="prod")),)))
    assert "never-met" not in rules(replace(role, when=(HostLabels(labelled(stage="test")),)))


def test_a_network_of_every_address_is_told() -> None:
    assert rules(good_role(when=(source("0.0.0.0/0"),))) == ["any-source"]
    assert rules(good_role(when=(AnyOf((Live(1), source("::/0"))),))) == ["any-source"]
    assert rules(good_role(when=(source("10.0.0.0/8"),))) == []


def test_a_role_that_gives_nothing_beyond_another_is_told() -> None:
    wide = good_role("wide", commands=(RESTART, STATUS))
    narrow = good_role("narrow", commands=(STATUS,), eligible=(for_a_time("alice"),))
    (one,) = found(wide, narrow)
    assert (one.rule, one.role) == ("redundant-role", "narrow")
    assert "role wide" in one.message
    for different in (
        replace(narrow, eligible=(for_a_time("alice", "dave"),), approvers=Party(frozenset({"carol", "bob"}))),
        replace(narrow, run_as_users=("www-data",)),
        replace(narrow, hosts=Selector({}, all_hosts=True)),
        replace(narrow, max_s=wide.max_s + 1),
        replace(narrow, mfa=False),
        replace(narrow, commands=ALL),
    ):
        assert "redundant-role" not in rules(wide, different)


def test_of_two_roles_that_are_the_same_one_is_told() -> None:
    assert [one.role for one in found(good_role("a"), good_role("b"))] == ["b"]


def test_a_wider_role_that_asks_for_more_makes_none_needless() -> None:
    wide = good_role("wide", commands=(RESTART, STATUS), when=(source("10.0.0.0/8"),))
    narrow = good_role("narrow", commands=(STATUS,))
    assert rules(wide, narrow) == []
    assert rules(replace(wide, approvals=2), narrow) == []
    assert rules(replace(wide, ticket=True), narrow) == []
    assert rules(replace(wide, once=True), narrow) == []


def test_names_nobody_refers_to_are_told_where_they_stand() -> None:
    (one,) = found(good_role(), unused=[("flows", "leads")])
    assert (one.rule, one.message, one.path) == ("unused-name", "flow leads is not used", ("flows", "leads"))


def test_the_end_of_a_year_is_no_cause_for_a_false_alarm() -> None:
    far = Eligibility(Party(frozenset({"alice"})), until=START + int(timedelta(days=365).total_seconds()) * 1_000_000)
    assert rules(policy=good_policy(good_role(eligible=(far,)))) == []
