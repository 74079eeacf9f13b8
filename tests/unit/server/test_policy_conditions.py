"""Conditions on the login, the host, the rotas and live grants: what meets them, and what is said if nothing does."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from jit_server.domain.policy.arrival import LoginKinds, Source, Terminal
from jit_server.domain.policy.circumstances import Circumstances, Login, LoginKind, address
from jit_server.domain.policy.conditions import AllOf, AnyOf, Condition, Facts, HostLabels, Live, OnCall
from jit_testing.server_fakes import START, a_host, a_user, labelled

ALICE, WEB = a_user(), a_host()
OFFICE = Source((ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")))
FROM_OFFICE = Login(LoginKind.SSH, address("10.1.2.3"), terminal=True)


def facts(login: Login = FROM_OFFICE, **known: object) -> Facts:
    return Facts(ALICE, ("ops",), WEB, "web", None, replace(Circumstances(at=START, login=login), **known))  # type: ignore[arg-type]


def ssh(text: str) -> Login:
    return Login(LoginKind.SSH, address(text), terminal=True)


@pytest.mark.parametrize(
    ("source", "met"),
    [
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("9.255.255.255", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        # The same IPv4 address, as a dual-stack sshd tells it.
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        # Not the same: an IPv6 address that only looks like it.
        ("::10.1.2.3", False),
        ("fe80::1%eth0", False),
    ],
)
def test_the_source_of_a_login_is_in_a_network_or_is_not(source: str, met: bool) -> None:
    check = OFFICE.check(facts(ssh(source)))
    assert check.passed is met
    assert check.hint == ("" if met else "log in from 10.0.0.0/8 or 2001:db8::/32")


def test_a_link_local_address_is_in_its_network_whatever_the_link() -> None:
    assert Source((ip_network("fe80::/10"),)).check(facts(ssh("fe80::1%eth0"))).passed


@pytest.mark.parametrize(
    ("login", "why"),
    [
        (Login(), "the host cannot tell by which login you came"),
        (Login(LoginKind.UNKNOWN, address("10.1.2.3"), terminal=True), "the host cannot tell by which login you came"),
        (Login(LoginKind.CONSOLE, None, terminal=True), "this login came over no network"),
        (Login(LoginKind.SSH), "the address this login came from is not known"),
    ],
)
def test_a_login_without_a_known_source_is_from_no_network_not_even_from_all(login: Login, why: str) -> None:
    everywhere = Source((ip_network("0.0.0.0/0"), ip_network("::/0")))
    check = everywhere.check(facts(login))
    assert (check.passed, check.why) == (False, why)
    assert check.hint
    assert everywhere.check(facts()).passed


@pytest.mark.parametrize("kind", [kind for kind in LoginKind if kind is not LoginKind.UNKNOWN])
def test_a_kind_of_login_is_met_by_that_kind_alone(kind: LoginKind) -> None:
    met = [one for one in LoginKind if LoginKinds((kind,)).check(facts(Login(one, terminal=True))).passed]
    assert met == [kind]


def test_an_unknown_login_is_of_no_kind_whatever_is_asked_for() -> None:
    check = LoginKinds(tuple(LoginKind)).check(facts(Login()))
    assert (check.passed, check.why) == (False, "the host cannot tell by which login you came")
    assert LoginKinds((LoginKind.SSH, LoginKind.CONSOLE)).check(facts(Login(LoginKind.OTHER))).hint == (
        "log in by ssh or console"
    )


@pytest.mark.parametrize(
    ("login", "met"),
    [
        (FROM_OFFICE, True),
        (replace(FROM_OFFICE, terminal=False), False),
        (Login(LoginKind.UNKNOWN, None, terminal=True), False),
    ],
)
def test_a_terminal_counts_only_with_a_login_that_is_known(login: Login, met: bool) -> None:
    assert Terminal().check(facts(login)).passed is met


def test_a_condition_on_labels_is_met_on_those_hosts_alone() -> None:
    condition = HostLabels(labelled(tier="web"))
    assert condition.check(facts()).passed
    db = replace(facts(), host=a_host("db1", tier="db"))
    check = condition.check(db)
    assert (check.passed, check.hint) == (False, "ask on a host with tier=web")


@pytest.mark.parametrize(("live", "met"), [(0, True), (1, True), (2, False), (3, False)])
def test_live_grants_are_counted_with_the_one_that_is_asked_for(live: int, met: bool) -> None:
    check = Live(2).check(facts(live=live))
    assert check.passed is met
    assert check.hint == ("" if met else "wait until one ends, or end one: jit drop")


def test_on_call_is_who_a_rota_names_and_a_rota_that_is_silent_names_nobody() -> None:
    dba = OnCall(("dba", "web"))
    assert dba.check(facts(on_call=frozenset({"web"}))).passed
    no = dba.check(facts(on_call=frozenset({"other"}), rotas_heard=frozenset({"dba", "web", "other"})))
    assert (no.passed, no.why) == (False, "alice is not on call in dba or web")
    silent = dba.check(facts(on_call=frozenset(), rotas_heard=frozenset({"web"})))
    assert (silent.passed, silent.why) == (False, "who is on call in dba cannot be told now")
    assert not dba.check(facts(on_call=None)).passed


MET, UNMET = Live(1), OnCall(("dba",))


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        (AnyOf((UNMET, MET)), True),
        (AnyOf((UNMET, UNMET)), False),
        (AllOf((MET, MET)), True),
        (AllOf((MET, UNMET)), False),
        (AnyOf((AllOf((MET, UNMET)), UNMET)), False),
        (AnyOf((AllOf((MET, UNMET)), MET)), True),
        (AnyOf(()), False),
    ],
)
def test_one_of_several_is_enough_for_any_and_none_may_lack_for_all(condition: Condition, met: bool) -> None:
    assert condition.check(facts()).passed is met


def test_what_would_help_names_each_way() -> None:
    check = AnyOf((OFFICE, AllOf((Terminal(), OnCall(("dba",)))))).check(facts(ssh("192.0.2.1"), on_call=frozenset()))
    assert check.hint == "log in from 10.0.0.0/8 or 2001:db8::/32, or ask who is on call in dba, or swap with them"
    assert check.why == (
        "the login came from 192.0.2.1, which is not in 10.0.0.0/8 or 2001:db8::/32; alice is not on call in dba"
    )


def test_conditions_read_as_people_say_them() -> None:
    ways = AnyOf((LoginKinds((LoginKind.CONSOLE,)), AllOf((OFFICE, Terminal()))))
    assert str(ways) == "login by console or (from 10.0.0.0/8, 2001:db8::/32 and from a terminal)"
    assert str(Live(1)) == "at most 1 grant at once"
    assert str(HostLabels(labelled(tier="web"))) == "on tier=web"
    assert str(OnCall(("dba", "web"))) == "on call in dba or web"
