"""Conditions as expressions: checked when they are read, bounded, and met by a plain true alone (S6)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import cel_expr_python.cel
import pytest

from jit_server.adapters import cel
from jit_server.adapters.cel import CelError, compiled
from jit_server.domain.ask import Ask
from jit_server.domain.policy.check import Check
from jit_server.domain.policy.circumstances import Circumstances, Login, LoginKind, address
from jit_server.domain.policy.conditions import Facts
from jit_server.domain.policy.expression import Expression
from jit_testing.server_fakes import a_host, a_user

NOON = 1_795_435_200_000_000  # 2026-11-23 12:00 UTC, a Monday
FACTS = Facts(
    a_user("alice"),
    ("ops", "dba"),
    a_host("web1", tier="web"),
    "web",
    Ask(("/usr/bin/systemctl", "restart", "nginx"), run_as_user="www-data", exact=True),
    Circumstances(
        at=NOON,
        login=Login(LoginKind.SSH, address("10.1.2.3"), terminal=True),
        duration_s=1_800,
        reason="disk full",
        ticket="INC-7",
        live=2,
    ),
)


def check(text: str, facts: Facts = FACTS) -> Check:
    return Expression(text, compiled(text)).check(facts)


@pytest.mark.parametrize(
    "text",
    [
        "user == 'alice'",
        "'dba' in groups && !('root' in groups)",
        "host == 'web1' && labels.tier == 'web'",
        "role == 'web'",
        "command == '/usr/bin/systemctl' && args == ['restart', 'nginx']",
        "args.exists(one, one == 'nginx')",
        "run_as == 'www-data'",
        "now.getHours('Europe/Berlin') == 13 && now.getDayOfWeek() == 1",
        "now == timestamp('2026-11-23T12:00:00Z')",
        "duration <= duration('30m')",
        "reason.contains('disk') && ticket.matches('^INC-[0-9]+$')",
        "login == 'ssh' && source.startsWith('10.')",
        "live < 3",
        "!has(labels.zone)",
    ],
)
def test_every_variable_says_what_it_is_called_after(text: str) -> None:
    assert check(text).passed
    opposite = check(f"!({text})")
    assert (opposite.passed, opposite.hint) == (False, f"it has to be true: !({text})")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("labels.zone == 'a'", 'key not found in map : "zone"'),
        ("1 / (live - 2) == 1", "divide by zero"),
        ("now.getHours('Nowhere/At_All') > 0", "invalid timezone"),
        ("reason.matches(reason + '[')", "invalid regular expression"),
        ("args[7] == 'x'", "index"),
        ("timestamp(reason) < now", ""),
    ],
)
def test_an_expression_that_fails_refuses_and_says_why(text: str, why: str) -> None:
    failed = check(text)
    assert not failed.passed
    assert why in failed.why
    assert failed.why.endswith("which refuses")
    assert failed.why.isprintable()
    # Neither is its opposite met.
    assert not check(f"!({text})").passed


def test_what_is_a_bool_by_its_type_but_not_by_its_value_refuses() -> None:
    class Odd:
        def __init__(self, kind: Any, value: object) -> None:
            self._kind, self._value = kind, value

        def eval(self, data: object) -> Odd:
            return self

        def type(self) -> Any:
            return self._kind

        def value(self) -> object:
            return self._value

    kinds = cel_expr_python.cel.Type
    for kind, value in ((kinds.ERROR, "true"), (kinds.BOOL, 1), (kinds.STRING, "true"), (kinds.DYN, True)):
        assert not Expression("x", cel._Compiled(Odd(kind, value))).check(FACTS).passed
    assert Expression("x", cel._Compiled(Odd(kinds.BOOL, True))).check(FACTS).passed


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("usr == 'alice'", "undeclared reference to 'usr'", (1, 1)),
        ("user == 'a' &&\n  live == 'b'", "found no matching overload for '_==_' applied to '(int, string)'", (2, 8)),
        ("user", "the expression gives a string, and has to give a bool", (1, 1)),
        ("dyn(true)", "the expression gives a dyn, and has to give a bool", (1, 1)),
        ("", "syntax error: mismatched input '<EOF>'", (1, 1)),
        ("user == 'x' || " * 100 + "true", "the expression has 1504 characters, the limit is 1000", (1, 1)),
        ("(" * 40 + "true" + ")" * 40, "expression recursion limit exceeded", (1, 1)),
        ("[reason]" + ".map(x, x + x)" * 3 + ".size() > 0", "more than 2 of all, exists", (1, 1)),
        ("[1].map //\n (x, [1].map(y, [1].map(z, x)))[0] == [[1]]", "more than 2 of all, exists", (1, 1)),
        ("user.getHours() == 1", "found no matching overload for 'getHours'", (1, 14)),
    ],
)
def test_what_could_never_be_a_condition_is_told_with_its_place(
    text: str, message: str, place: tuple[int, int]
) -> None:
    with pytest.raises(CelError) as caught:
        compiled(text)
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == place
    assert str(caught.value).isprintable()


def test_the_largest_ask_is_answered_in_bounded_time() -> None:
    ask = Ask(("/usr/bin/echo", *(f"{number:060}" for number in range(999))), exact=True)
    heavy = replace(FACTS, ask=ask, circumstances=replace(FACTS.circumstances, reason="r" * 1_000))
    for text in ("args.all(a, args.all(b, a != b))", "args.exists(a, reason.matches(a + '(a|b|c)*[a-z]{1,100}'))"):
        began = time.process_time()
        assert not check(text, heavy).passed
        assert time.process_time() - began < 5
    assert "budget" in check("args.all(a, args.all(b, a != b || a == b))", heavy).why


def test_what_is_still_to_be_given_is_left_open_and_asked_again_with_the_request() -> None:
    draft = replace(FACTS, circumstances=replace(FACTS.circumstances, reason="", draft=True))
    given = replace(FACTS, circumstances=replace(FACTS.circumstances, reason=""))
    assert check("reason.contains('disk')", draft).passed
    assert not check("reason.contains('disk')", given).passed
    assert not check("user == 'bob'", draft).passed


def test_a_server_without_the_library_says_so_and_reads_no_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cel, "cel", None)
    with pytest.raises(CelError, match="needs the library cel-expr-python"):
        compiled("true")


def test_expressions_are_the_same_if_their_texts_are() -> None:
    """A pending request outlives a new version of the policy that says the same (S10)."""
    assert Expression("live < 3", compiled("live < 3")) == Expression("live < 3", compiled("live < 3"))
    assert Expression("live < 3", compiled("live < 3")) != Expression("live < 4", compiled("live < 4"))
    assert str(Expression("live\n  < 3", compiled("live\n  < 3"))) == "live < 3"
