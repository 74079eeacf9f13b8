"""What callers are told of errors, and what the log shows of outside text."""

from __future__ import annotations

import logging
import sys
import urllib.parse

import grpc
import pytest

from jit_server import errors
from jit_server.adapters.logs import EscapingFormatter
from jit_server.rpc.rate_limit import TooManyCalls
from jit_server.rpc.status import STATUS, status_of


def every_error() -> list[type[errors.JitError]]:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.JitError)]
    return [kind for kind in found if kind is not errors.JitError]


@pytest.mark.parametrize("kind", every_error())
def test_every_domain_error_has_a_status_and_keeps_its_text_code_and_hint(kind: type[errors.JitError]) -> None:
    code, text, metadata = status_of(kind("what happened", hint="jetzt prüfen\n100 %"))
    assert code is STATUS[kind]
    assert code is not grpc.StatusCode.INTERNAL
    assert text == "what happened"
    values = dict(metadata)
    assert values["jit-error-code"] == kind.code
    assert values["jit-error-hint"].isascii()
    assert values["jit-error-hint"].isprintable()
    assert urllib.parse.unquote(values["jit-error-hint"]) == "jetzt prüfen\n100 %"


def test_too_many_calls_is_try_again() -> None:
    code, _, metadata = status_of(TooManyCalls("slow down"))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert metadata == (("jit-error-code", "try_again"),)


@pytest.mark.parametrize("error", [KeyError("hunter2"), RuntimeError("hunter2"), errors.JitError("hunter2")])
def test_an_error_nobody_listed_says_nothing(error: Exception) -> None:
    code, text, metadata = status_of(error)
    assert (code, text) == (grpc.StatusCode.INTERNAL, "")
    assert "hunter2" not in str(metadata)


def test_outside_text_cannot_add_a_line_to_the_log_or_move_a_cursor() -> None:
    hostile = "x\n<0>kernel: panic\x1b[2J\u202e\x9b"
    try:
        raise ValueError(hostile)
    except ValueError:
        record = logging.LogRecord("jit", logging.ERROR, "", 0, "Failed: %s", (hostile,), sys.exc_info())
    lines = EscapingFormatter(priorities=True).format(record).splitlines()
    assert lines[0].startswith("<3>error: jit: Failed: x\\n<0>kernel")
    assert all(line.startswith("<3>") and line.isprintable() for line in lines)
