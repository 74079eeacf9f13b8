"""Watching requests: new ones appear by themselves, on a terminal with a bell, elsewhere a line each."""

from __future__ import annotations

import json
from typing import Any

from jit_protos.v1 import common_pb2
from jit_testing.ctl_certificates import Authority
from jit_testing.ctl_values import request
from jit_testing.fake_ctl_server import FakeServer


def test_a_new_request_appears_with_a_bell_and_goes_when_it_is_decided(
    alice: Any, server: FakeServer, on_terminal: Any
) -> None:
    child = on_terminal("requests", "watch", term="xterm")
    server.put(request(1))
    child.expect_exact("req-0000000000000001")
    child.expect_exact("\x07")
    server.put(request(2))
    child.expect_exact("req-0000000000000002")
    child.expect_exact("2 pending")
    alice("requests", "deny", "req-0000000000000001", "-m", "no")
    child.expect_exact("1 pending")
    assert child.interrupt() == 130


def test_quiet_means_no_bell(alice: Any, server: FakeServer, on_terminal: Any) -> None:
    child = on_terminal("requests", "watch", "-q", term="xterm")
    server.put(request(1))
    child.expect_exact("1 pending")
    shown = child.before
    server.put(request(2))
    child.expect_exact("2 pending")
    assert "\x07" not in shown + child.before


def test_jsonl_is_one_request_a_line_at_each_change(alice: Any, server: FakeServer, on_terminal: Any) -> None:
    server.put(request(1))
    child = on_terminal("requests", "watch", "-o", "jsonl", columns=10_000)
    assert json.loads(child.readline())["request_id"] == "req-0000000000000001"
    server.put(request(2))
    assert json.loads(child.readline())["request_id"] == "req-0000000000000002"
    alice("requests", "approve", "req-0000000000000001")
    changed = json.loads(child.readline())
    assert (changed["request_id"], changed["state"]) == ("req-0000000000000001", "approved")
    assert child.interrupt() == 130


def test_a_stream_is_never_one_json_document(alice: Any) -> None:
    for command in (["requests", "watch"], ["audit", "tail"]):
        assert alice(*command, "-o", "json").status == 2


def test_watching_a_server_that_was_never_there_ends_with_69(alice: Any, server: FakeServer) -> None:
    server.__exit__(None, None, None)
    assert alice("requests", "watch").status == 69


def test_watching_goes_on_after_the_server_restarts(authority: Authority, jitctl: Any, on_terminal: Any) -> None:
    with FakeServer(authority) as first:
        jitctl.login(first)
        first.put(request(1))
        child = on_terminal("requests", "watch", "-o", "name")
        child.expect_exact("req-0000000000000001\r\n")
    port = int(first.mtls.rpartition(":")[2])
    with FakeServer(authority, mtls_port=port) as second:
        second.put(request(1, state=common_pb2.REQUEST_STATE_PENDING), request(2))
        child.expect_exact("req-0000000000000002\r\n")
        assert child.interrupt() == 130
