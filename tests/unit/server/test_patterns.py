"""The small language of expressions means to us what it means to sudo, and refuses what means more (SPEC 9.3)."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jit_agent import pattern as agents
from jit_enforcer import pattern as enforcers
from jit_enforcer.errors import Malformed
from jit_server.domain.pattern import Pattern, problem

GOOD = [
    r"^[a-z]+$", r"^-u [a-z_][a-z0-9_-]{0,30}$", r"^restart [a-z0-9@_-]+(\.service)?$", r"^(start|stop|restart) nginx$",
    r"^/var/log/[a-z0-9_-][a-z0-9_.-]*$",
    r"^( [a-z]+)+x$", r"^a\#\$\\\^\.\[\]\(\)\|\*\+\?\{\}$", r"^[-]$", r"^[a-]{2,}$",
    r"^--opt=(a|b),[0-9]{3}:x@y!~%&;<>'`_$",
    '^"x"$', r"^[a-z+]+$", r"^(a|b(c|d)*)?e$", r"^a{3}b{0,2}$", r"^a\\$", r"^[.]/x$",
]  # fmt: skip
# What is wrong with it, as the person reads it, who is to know what to write instead.
REFUSED = {
    "nginx": "has to begin with ^ and end with $",
    "^nginx": "has to begin with ^ and end with $",
    r"^nginx\$": "has to begin with ^ and end with $",
    "^start|stop$": "write ^(one|two)$",
    "^/var/log/.*$": r"write \. for a dot",
    "^[^/]+$": "negated class",
    "^[a z]$": "has a blank",
    "^[[:alnum:]]+$": "write [A-Za-z0-9]",
    "^[a-z/.]+$": "/../",
    "^/var/log(/[a-z.]+)+$": "/../",
    "^/var/log/[a-z.]+$": "/../",
    r"^/srv/\.{2}/x$": "/../",
    r"^(\.\./)?etc$": "/../",
    r"^-I[a-z.]+/x$": "/../",
    r"^(a)\1$": "back-reference",
    r"^\d+$": "write [0-9]",
    r"^\w+$": "write [A-Za-z0-9_]",
    r"^a\-b$": "write -",
    "^(?i)a$": "write both cases",
    "^a{256}$": "is no count",
    "^a{2,1}$": "is no count",
    "^a{0}$": "is no count",
    "^a{x}$": r"write \{",
    "^(a{255}){255}$": "longer than 4096 characters",
    "^((a+)+)+$": "repeated group within a repeated group",
    "^a*$": "matches nothing at all",
    "^(-v)?$": "matches nothing at all",
    "^$": "empty expression",
    "^(a|)$": "empty expression or branch",
    "^a**$": "one of both is enough",
    "^*$": r"write \*",
    "^(a$": r"write \(",
    "^a)$": r"write \)",
    "^[a$": r"write [a-z0-9_-]",
    "^a]$": r"write \]",
    "^a}$": r"write \}",
    "^a#b$": r"write \#",
    "^a^b$": r"write \^",
    "^a$b$": r"write \$",
    "^[a$]$": r"cannot stand in the class",
    "^[+*]$": r"cannot stand in the class",
    "^[aa]$": "names a character twice",
    "^[z-a]$": "write a-z",
    "^[a-z-9]$": "write it last",
    "^[A-z]$": "write it last",
    "^" + "(" * 9 + "a" + ")" * 9 + "$": "nested deeper than 8",
    "^" + "a" * 1_023 + "$": "the limit is 1024",
    "^é$": "printable ASCII",
    "^a\n$": "printable ASCII",
}


class _GlibcRegex(ctypes.Structure):
    _fields_ = (("storage", ctypes.c_char * 256),)


def glibc(expression: str) -> Callable[[str], bool] | None:
    """What sudo calls: regcomp(3) with REG_EXTENDED|REG_NOSUB; None if it does not compile."""
    libc, compiled = ctypes.CDLL(None), _GlibcRegex()
    if libc.regcomp(ctypes.byref(compiled), expression.encode(), 1 | 8) != 0:
        return None
    return lambda text: libc.regexec(ctypes.byref(compiled), text.encode(), 0, None, 0) == 0


@pytest.mark.parametrize("text", GOOD)
def test_an_expression_of_the_language_is_one_to_everybody(text: str) -> None:
    assert problem(text) is None
    assert enforcers.parse(text).regex == text
    assert glibc(text) is not None


@pytest.mark.parametrize(("text", "said"), REFUSED.items())
def test_what_could_mean_more_is_refused_and_the_safe_way_named(text: str, said: str) -> None:
    found = problem(text)
    assert found is not None
    assert said in found
    assert "\n" not in found
    assert not Pattern(text).matches("a")


# What only says more than people mean is for the server to refuse; what is no expression, for the host as well.
MEANINGS = ("/../", "matches nothing at all", "names a character twice")


@pytest.mark.parametrize("text", [text for text, said in REFUSED.items() if said not in MEANINGS])
def test_root_reads_no_expression_outside_the_language(text: str) -> None:
    with pytest.raises(Malformed):
        enforcers.parse(text)


@pytest.mark.parametrize(
    ("expression", "words", "fits"),
    [
        (r"^restart [a-z0-9@_-]+(\.service)?$", ["restart", "nginx"], True),
        (r"^restart [a-z0-9@_-]+(\.service)?$", ["restart", "nginx.service"], True),
        (r"^restart [a-z0-9@_-]+(\.service)?$", ["restart", "nginx", "sshd"], False),
        (r"^restart [a-z0-9@_-]+(\.service)?$", ["restart nginx"], False),
        (r"^restart [a-z0-9@_-]+(\.service)?$", ["restart", "nginx\n"], False),
        (r"^restart [a-z0-9@_-]+(\.service)?$", ["xrestart", "nginx"], False),
        (r"^restart [a-z0-9@_-]+(\.service)?$", [], False),
        (r"^a$", ["a"], True),
        (r"^a$", ["a", ""], False),
        (r"^a $", ["a", ""], False),
        (r"^a{2,3}$", ["aaa"], True),
        (r"^a{2,3}$", ["aaaa"], False),
        (r"^a{2,}$", ["a" * 4_096], True),
        (r"^a{2,}$", ["a" * 4_097], False),
        (r"^[A-C]\#$", ["B#"], True),
        (r"^[A-C]\#$", ["b#"], False),
    ],
)
def test_arguments_are_matched_as_a_whole_and_word_by_word(expression: str, words: list[str], *, fits: bool) -> None:
    assert Pattern(expression).matches_words(words) is fits
    assert enforcers.parse(expression).matches(words) is fits
    assert agents.matches(expression, words) is fits


CHARACTERS = st.sampled_from([*"abc019-_=:,@/ ", r"\.", r"\#", r"\$", r"\*", "[a-c]", "[0-9_-]", "[ab.]", "[a,:=]"])


def expressions() -> st.SearchStrategy[str]:
    """Most of the language, now and then a little beyond it."""
    counted = st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{0,2}", "{1,}"])
    atoms = st.recursive(
        CHARACTERS,
        lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        max_leaves=6,
    )
    rows = st.lists(st.tuples(atoms, counted).map("".join), min_size=1, max_size=6)
    return rows.map(lambda parts: f"^{''.join(parts)}$")


@settings(max_examples=300, deadline=None)
@given(expressions(), st.data())
def test_server_host_and_sudo_agree_on_every_text(expression: str, data: st.DataObject) -> None:
    if problem(expression) is not None:
        return
    near = st.from_regex(expression.replace("^", "\\A", 1)[:-1] + "\\Z", fullmatch=True)
    far = st.text("abc019-_=:,@/ .#$*", max_size=12)
    text = data.draw(near | far)
    compiled = glibc(expression)
    assert compiled is not None
    expected = compiled(text)
    assert Pattern(expression).matches(text) is expected
    words = text.split(" ")
    plain = all(words)
    assert Pattern(expression).matches_words(words) is (expected and plain)
    assert enforcers.parse(expression).matches(words) is (expected and plain)
    assert agents.matches(expression, words) is (expected and plain)


@settings(max_examples=300, deadline=None)
@given(st.text("abz09.-/\\[]()|*+?{},^$# ", max_size=30))
def test_no_text_makes_a_reader_fail_and_what_the_server_takes_the_host_takes(text: str) -> None:
    refused = problem(f"^{text}$")
    agents.matches(f"^{text}$", ["a"])
    if refused is None:
        assert enforcers.parse(f"^{text}$")
    else:
        assert "\n" not in refused


@pytest.mark.parametrize("expression", ["^" + "[a-z]*" * 160 + "x$", "^(a|a|[a-z])*x$", "^(aa|a)*x$"])
def test_no_expression_takes_long(expression: str) -> None:
    assert problem(expression) is None
    began = time.process_time()
    assert not Pattern(expression).matches_words(["a" * 4_096])
    assert not enforcers.parse(expression).matches(["a" * 4_096])
    assert not agents.matches(expression, ["a" * 4_096])
    assert time.process_time() - began < 5
